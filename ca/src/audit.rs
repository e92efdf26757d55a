//! The audit log: who did what when, chained by hashes and signed at checkpoints (BR 5.4, DESIGN invariant 7).
//!
//! A row is written in the transaction it describes. When it cannot be written the transaction fails, so what is
//! not in the log did not happen; nothing is signed before its row is committed.
//!
//! The hash of a row is SHA-256 over a domain separator, the hash of the row before, and every field with its
//! length: change, removal, insertion and reordering break the chain. A whole chain written anew, and rows cut off
//! at the end, are found by the checkpoints, which are signed with a key that signs nothing else. A checkpoint is a
//! signed note about a Merkle tree over the rows (c2sp.org/tlog-checkpoint) as well: kept elsewhere, it shows later that
//! the log was not rewritten, and with a short proof that one row is in it.

mod action;
mod checkpoint;
mod note;
mod proof;
mod tree;
mod verify;

use migrations::AnyConnection;
use policies::time::Timestamp;
use sha2::{Digest, Sha256};

use crate::app::App;
use crate::error::Error;
use crate::store;
use crate::store::audit::AuditRow;

pub use action::Action;
pub(crate) use checkpoint::AuditKey;
pub use checkpoint::{checkpoint, origin};
pub use note::{AuditPublicKey, TreeHead};
pub(crate) use proof::{RowProof, prove_row};
pub use proof::{newest_note, prove};
pub use verify::{Verified, verify, verify_against};

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

/// What the signatures of checkpoints are checked with.
pub fn public_key(app: &App) -> Result<AuditPublicKey, Error> {
    app.audit_key.public_key()
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

/// What the hash of a row and its leaf in the tree cover: its fields in order, texts and hashes preceded by their length.
fn canonical(row: &AuditRow) -> Vec<u8> {
    let mut bytes = ROW_SEPARATOR.to_vec();
    bytes.extend_from_slice(&row.sequence.to_be_bytes());
    bytes.extend_from_slice(&row.at.to_be_bytes());
    for field in [
        row.previous_hash.as_slice(),
        row.actor.as_bytes(),
        row.action.as_bytes(),
        row.details.as_bytes(),
    ] {
        // `usize` has at most 64 bits on every platform Rust has.
        bytes.extend_from_slice(&u64::try_from(field.len()).unwrap_or(u64::MAX).to_be_bytes());
        bytes.extend_from_slice(field);
    }
    bytes
}

fn hash(row: &AuditRow) -> [u8; 32] {
    Sha256::digest(canonical(row)).into()
}

fn hash_of_row(row: &AuditRow) -> Result<[u8; 32], Error> {
    <[u8; 32]>::try_from(row.hash.as_slice()).map_err(|_| Error::AuditDamaged {
        sequence: row.sequence,
        reason: format!("its hash has {} octets, not 32", row.hash.len()),
    })
}

const FIRST_SEQUENCE: i64 = 1;
/// What the first row continues.
const GENESIS: [u8; 32] = [0; 32];
const ROW_SEPARATOR: &[u8] = b"sealwright audit row 1\0";
/// Rows per query; a row is small.
const PAGE: i64 = 1000;

#[cfg(test)]
mod tests {
    use super::*;

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
