//! The audit log: who did what when, chained by hashes and signed at checkpoints (BR 5.4, DESIGN invariant 7).
//!
//! A row is written in the transaction it describes. When it cannot be written the transaction fails, so what is
//! not in the log did not happen; nothing is signed before its row is committed.
//!
//! The hash of a row is SHA-256 over a domain separator, the hash of the row before, and every field with its
//! length: change, removal, insertion and reordering break the chain. A whole chain written anew, and rows cut off
//! at the end, are found by the checkpoints, which are signed with a key that signs nothing else.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use keys::{KeyId, KeyStore, SigningKey};
use migrations::{AnyConnection, Pool};
use policies::time::Timestamp;
use sha2::{Digest, Sha256};

use crate::app::{App, on_blocking_thread};
use crate::error::Error;
use crate::signature;
use crate::store;
use crate::store::audit::{AuditRow, CheckpointRow};

/// Appends a row inside the caller's write transaction; when that fails the transaction must fail.
///
/// `details` holds what a reader needs to reconstruct the event: identifiers and hashes, no secrets.
pub fn append(
    conn: &mut AnyConnection,
    now: Timestamp,
    actor: &str,
    action: Action,
    details: &serde_json::Value,
) -> Result<(), Error> {
    let (sequence, previous_hash) = match store::audit::head(conn)? {
        Some(head) => (head.sequence + 1, head.hash),
        None => (FIRST_SEQUENCE, GENESIS.to_vec()),
    };
    let mut row = AuditRow {
        sequence,
        at: now.unix(),
        actor: actor.to_owned(),
        action: action.as_ref().to_owned(),
        details: details.to_string(),
        previous_hash,
        hash: Vec::new(),
    };
    row.hash = hash(&row).to_vec();
    store::audit::insert(conn, &row)?;
    Ok(())
}

/// What happened. The text is stored, so a variant may be added but never renamed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Action {
    AuthorityInitialized,
    OrderPlaced,
    OrderRefused,
    CertificateRecorded,
    CertificateIssued,
    CertificateAbandoned,
    CertificateRevoked,
    CrlNumberTaken,
    CrlPublished,
    RelintFoundErrors,
    AccountCreated,
    PlanChanged,
    PrincipalCreated,
    TokenCreated,
    TokenRevoked,
    ChallengeSent,
    ChallengeAnswered,
    ChallengeRefused,
    CaseOpened,
    DocumentAdded,
    EvidenceRecorded,
    CaseDecided,
    RosterOpened,
    RosterDecided,
    ResponderRecorded,
    ResponderIssued,
    CaaPermitted,
    CaaRefused,
    DomainChallengeBegun,
    DomainValidated,
    DomainNotValidated,
    ExternalKeyCreated,
    ExternalKeyRevoked,
    AcmeAccountCreated,
    AcmeAccountChanged,
    AcmeOrderPlaced,
}

impl Action {
    pub const ALL: [Self; 36] = [
        Self::AuthorityInitialized,
        Self::OrderPlaced,
        Self::OrderRefused,
        Self::CertificateRecorded,
        Self::CertificateIssued,
        Self::CertificateAbandoned,
        Self::CertificateRevoked,
        Self::CrlNumberTaken,
        Self::CrlPublished,
        Self::RelintFoundErrors,
        Self::AccountCreated,
        Self::PlanChanged,
        Self::PrincipalCreated,
        Self::TokenCreated,
        Self::TokenRevoked,
        Self::ChallengeSent,
        Self::ChallengeAnswered,
        Self::ChallengeRefused,
        Self::CaseOpened,
        Self::DocumentAdded,
        Self::EvidenceRecorded,
        Self::CaseDecided,
        Self::RosterOpened,
        Self::RosterDecided,
        Self::ResponderRecorded,
        Self::ResponderIssued,
        Self::CaaPermitted,
        Self::CaaRefused,
        Self::DomainChallengeBegun,
        Self::DomainValidated,
        Self::DomainNotValidated,
        Self::ExternalKeyCreated,
        Self::ExternalKeyRevoked,
        Self::AcmeAccountCreated,
        Self::AcmeAccountChanged,
        Self::AcmeOrderPlaced,
    ];
}

impl AsRef<str> for Action {
    fn as_ref(&self) -> &str {
        match self {
            Self::AuthorityInitialized => "authority-initialized",
            Self::OrderPlaced => "order-placed",
            Self::OrderRefused => "order-refused",
            Self::CertificateRecorded => "certificate-recorded",
            Self::CertificateIssued => "certificate-issued",
            Self::CertificateAbandoned => "certificate-abandoned",
            Self::CertificateRevoked => "certificate-revoked",
            Self::CrlNumberTaken => "crl-number-taken",
            Self::CrlPublished => "crl-published",
            Self::RelintFoundErrors => "relint-found-errors",
            Self::AccountCreated => "account-created",
            Self::PlanChanged => "plan-changed",
            Self::PrincipalCreated => "principal-created",
            Self::TokenCreated => "token-created",
            Self::TokenRevoked => "token-revoked",
            Self::ChallengeSent => "challenge-sent",
            Self::ChallengeAnswered => "challenge-answered",
            Self::ChallengeRefused => "challenge-refused",
            Self::CaseOpened => "case-opened",
            Self::DocumentAdded => "document-added",
            Self::EvidenceRecorded => "evidence-recorded",
            Self::CaseDecided => "case-decided",
            Self::RosterOpened => "roster-opened",
            Self::RosterDecided => "roster-decided",
            Self::ResponderRecorded => "responder-recorded",
            Self::ResponderIssued => "responder-issued",
            Self::CaaPermitted => "caa-permitted",
            Self::CaaRefused => "caa-refused",
            Self::DomainChallengeBegun => "domain-challenge-begun",
            Self::DomainValidated => "domain-validated",
            Self::DomainNotValidated => "domain-not-validated",
            Self::ExternalKeyCreated => "external-key-created",
            Self::ExternalKeyRevoked => "external-key-revoked",
            Self::AcmeAccountCreated => "acme-account-created",
            Self::AcmeAccountChanged => "acme-account-changed",
            Self::AcmeOrderPlaced => "acme-order-placed",
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_ref())
    }
}

impl FromStr for Action {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|action| action.as_ref() == text)
            .ok_or_else(|| format!("{text:?} is not an action of the audit log"))
    }
}

/// One event, as readers of the log see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    pub sequence: i64,
    pub at: Timestamp,
    pub actor: String,
    pub action: String,
    /// JSON.
    pub details: String,
    pub hash: [u8; 32],
}

/// Events after `sequence` in order, at most `limit` and never more than a thousand.
pub async fn events(app: &App, after_sequence: i64, limit: u32) -> Result<Vec<Event>, Error> {
    let limit = i64::from(limit).min(PAGE);
    let rows = app
        .db
        .read(move |conn| Ok::<_, Error>(store::audit::page(conn, after_sequence, limit)?))
        .await?;
    rows.into_iter()
        .map(|row| {
            Ok(Event {
                hash: hash_of_row(&row)?,
                sequence: row.sequence,
                at: Timestamp::from_unix(row.at),
                actor: row.actor,
                action: row.action,
                details: row.details,
            })
        })
        .collect()
}

/// The key that signs checkpoints and nothing else.
#[derive(Clone, Debug)]
pub(crate) struct AuditKey {
    id: KeyId,
    key: Arc<dyn SigningKey>,
}

impl AuditKey {
    /// Opens the key that `init` made.
    pub(crate) fn open(keys: &dyn KeyStore) -> Result<Self, Error> {
        let id = Self::id();
        match keys.open(&id) {
            Ok(key) => Ok(Self { id, key }),
            Err(source) => Err(Error::Key {
                key: id.to_string(),
                source,
            }),
        }
    }

    /// The name of the key in the key store.
    pub(crate) fn id() -> KeyId {
        // A constant of allowed characters and length.
        AUDIT_KEY_ID.parse().expect("a constant key identifier parses")
    }
}

/// Signs the head of the chain, unless that was done already. Returns the row that was signed.
pub async fn checkpoint(app: &App) -> Result<Option<i64>, Error> {
    let (head, newest) = app
        .db
        .read(|conn| Ok::<_, Error>((store::audit::head(conn)?, store::audit::newest_checkpoint(conn)?)))
        .await?;
    let Some(head) = head else { return Ok(None) };
    if newest.is_some_and(|newest| newest.sequence >= head.sequence) {
        return Ok(None);
    }
    let at = app.now().unix();
    let statement = checkpoint_statement(head.sequence, at, &head.hash);
    let audit_key = app.audit_key.clone();
    let signature = on_blocking_thread(move || {
        audit_key.key.sign(&statement).map_err(|source| Error::Key {
            key: audit_key.id.to_string(),
            source,
        })
    })
    .await?;
    let row = CheckpointRow {
        sequence: head.sequence,
        at,
        head_hash: head.hash,
        key_id: app.audit_key.id.to_string(),
        signature: signature.as_bytes().to_vec(),
    };
    app.db
        .write(move |conn| {
            // Another node may have signed the same head in the meantime; one statement is enough.
            let newest = store::audit::newest_checkpoint(conn)?;
            if newest.is_some_and(|newest| newest.sequence >= row.sequence) {
                return Ok::<_, Error>(None);
            }
            store::audit::insert_checkpoint(conn, &row)?;
            Ok(Some(row.sequence))
        })
        .await
}

/// What a complete check of the log found in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verified {
    pub rows: u64,
    pub checkpoints: u64,
    /// The last row that a checkpoint vouches for; later rows are chained, but not signed yet.
    pub signed_up_to: i64,
}

/// Reads the whole log and checks every hash and every checkpoint.
///
/// # Errors
/// [`Error::AuditDamaged`] names the first row that is not as it was written.
pub async fn verify(app: &App) -> Result<Verified, Error> {
    verify_with(&app.db, &*app.audit_key.key).await
}

async fn verify_with(db: &Pool, key: &dyn SigningKey) -> Result<Verified, Error> {
    let mut verified = Verified {
        rows: 0,
        checkpoints: 0,
        signed_up_to: 0,
    };
    let mut previous_hash = GENESIS;
    let mut sequence = FIRST_SEQUENCE - 1;
    loop {
        // 1. One page of rows, and the checkpoints that speak about them.
        let (rows, checkpoints) = db
            .read(move |conn| {
                let rows = store::audit::page(conn, sequence, PAGE)?;
                let checkpoints = store::audit::checkpoints(conn, sequence, PAGE)?;
                Ok::<_, Error>((rows, checkpoints))
            })
            .await?;
        if rows.is_empty() {
            // 4. A checkpoint about rows that are no longer there.
            return match checkpoints.first() {
                None => Ok(verified),
                Some(checkpoint) => Err(Error::AuditDamaged {
                    sequence: sequence + 1,
                    reason: format!(
                        "the row is missing, although a checkpoint vouches for rows up to {}",
                        checkpoint.sequence
                    ),
                }),
            };
        }
        let mut checkpoints = checkpoints.into_iter().peekable();
        for row in rows {
            // 2. The chain.
            sequence += 1;
            let damaged = |reason: &str| {
                Err(Error::AuditDamaged {
                    sequence,
                    reason: reason.to_owned(),
                })
            };
            if row.sequence != sequence {
                return damaged("the row is missing");
            }
            if row.previous_hash != previous_hash {
                return damaged("it does not continue the row before it");
            }
            if row.hash != hash(&row) {
                return damaged("its content is not what was hashed");
            }
            previous_hash = hash(&row);
            verified.rows += 1;
            // 3. The signed statement about this row, if there is one.
            if let Some(checkpoint) = checkpoints.next_if(|checkpoint| checkpoint.sequence == sequence) {
                if checkpoint.head_hash != previous_hash {
                    return damaged("a checkpoint vouches for another content");
                }
                let statement = checkpoint_statement(sequence, checkpoint.at, &checkpoint.head_hash);
                let algorithm = key.algorithm().identifier();
                if !signature::is_valid(key.public_key(), &algorithm, &statement, &checkpoint.signature) {
                    return damaged("the signature of its checkpoint is not valid");
                }
                verified.checkpoints += 1;
                verified.signed_up_to = sequence;
            }
        }
    }
}

/// The canonical bytes of a row are its fields in order; texts and hashes are preceded by their length.
fn hash(row: &AuditRow) -> [u8; 32] {
    let mut digest = Sha256::new();
    digest.update(ROW_SEPARATOR);
    digest.update(row.sequence.to_be_bytes());
    digest.update(row.at.to_be_bytes());
    for field in [
        row.previous_hash.as_slice(),
        row.actor.as_bytes(),
        row.action.as_bytes(),
        row.details.as_bytes(),
    ] {
        // `usize` has at most 64 bits on every platform Rust has.
        digest.update(u64::try_from(field.len()).unwrap_or(u64::MAX).to_be_bytes());
        digest.update(field);
    }
    digest.finalize().into()
}

fn hash_of_row(row: &AuditRow) -> Result<[u8; 32], Error> {
    <[u8; 32]>::try_from(row.hash.as_slice()).map_err(|_| Error::AuditDamaged {
        sequence: row.sequence,
        reason: format!("its hash has {} octets, not 32", row.hash.len()),
    })
}

fn checkpoint_statement(sequence: i64, at: i64, head_hash: &[u8]) -> Vec<u8> {
    let mut statement = CHECKPOINT_SEPARATOR.to_vec();
    statement.extend_from_slice(&sequence.to_be_bytes());
    statement.extend_from_slice(&at.to_be_bytes());
    statement.extend_from_slice(head_hash);
    statement
}

const AUDIT_KEY_ID: &str = "audit";
const FIRST_SEQUENCE: i64 = 1;
/// What the first row continues.
const GENESIS: [u8; 32] = [0; 32];
const ROW_SEPARATOR: &[u8] = b"sealwright audit row 1\0";
const CHECKPOINT_SEPARATOR: &[u8] = b"sealwright audit checkpoint 1\0";
/// Rows per query; a row is small.
const PAGE: i64 = 1000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn actions_are_read_back_as_written() {
        for action in Action::ALL {
            assert_eq!(action.as_ref().parse(), Ok(action));
        }
        assert!("certificate_issued".parse::<Action>().is_err());
    }

    #[test]
    fn invariant_07_every_field_of_a_row_is_hashed() {
        let row = AuditRow {
            sequence: 7,
            at: 1_800_000_000,
            actor: "ab".to_owned(),
            action: "c".to_owned(),
            details: "{}".to_owned(),
            previous_hash: vec![1; 32],
            hash: Vec::new(),
        };
        let changes: [fn(&mut AuditRow); 7] = [
            |row| row.sequence = 8,
            |row| row.at += 1,
            |row| row.actor = "aB".to_owned(),
            |row| row.action = "d".to_owned(),
            |row| row.details = "{ }".to_owned(),
            |row| row.previous_hash[31] = 2,
            // The border between two fields counts as well.
            |row| (row.actor, row.action) = ("a".to_owned(), "bc".to_owned()),
        ];
        for (number, change) in changes.into_iter().enumerate() {
            let mut changed = row.clone();
            change(&mut changed);
            assert_ne!(hash(&changed), hash(&row), "change {number}");
        }
    }
}
