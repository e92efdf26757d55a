//! The tables `certificates` and `certificate_evidence`.

use std::fmt;
use std::str::FromStr;

use crate::crl::Scope;
use crate::error::Error;
pub(crate) use ca_api::CertificateState as Worth;
use diesel::prelude::*;
use migrations::schema::{certificate_evidence, certificates};
use migrations::{AnyConnection, AsText};
use policies::key_use::KeyUse;
use policies::tier::{Generation, Tier};

/// How far a certificate came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CertificateState {
    /// The row is committed; a signature may exist, but nobody was given it.
    Recorded,
    /// Signed, checked and stored.
    Signed,
    /// Given up between recording and storing; revoked, so that a signature that may exist is worthless.
    Abandoned,
}

impl AsRef<str> for CertificateState {
    fn as_ref(&self) -> &str {
        match self {
            Self::Recorded => "recorded",
            Self::Signed => "signed",
            Self::Abandoned => "abandoned",
        }
    }
}

impl fmt::Display for CertificateState {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_ref())
    }
}

impl FromStr for CertificateState {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "recorded" => Ok(Self::Recorded),
            "signed" => Ok(Self::Signed),
            "abandoned" => Ok(Self::Abandoned),
            other => Err(format!("{other:?} is not a state of a certificate")),
        }
    }
}

#[derive(Clone, Debug, Insertable, Queryable, Selectable)]
#[diesel(table_name = certificates)]
pub(crate) struct CertificateRow {
    pub(crate) id: String,
    pub(crate) issuer_id: String,
    pub(crate) serial: String,
    pub(crate) account_id: String,
    pub(crate) order_id: String,
    pub(crate) tier: AsText<Tier>,
    pub(crate) generation: AsText<Generation>,
    pub(crate) profile_sha256: Vec<u8>,
    pub(crate) mailbox: String,
    pub(crate) subject: String,
    pub(crate) tbs: Vec<u8>,
    pub(crate) tbs_sha256: Vec<u8>,
    pub(crate) state: AsText<CertificateState>,
    pub(crate) certificate: Option<Vec<u8>>,
    pub(crate) not_before: i64,
    pub(crate) not_after: i64,
    pub(crate) recorded_at: i64,
    pub(crate) signed_at: Option<i64>,
    pub(crate) revoked_at: Option<i64>,
    pub(crate) revocation_reason: Option<String>,
    pub(crate) spki_sha256: Option<Vec<u8>>,
    pub(crate) key_use: AsText<KeyUse>,
    /// [`Scope::stored`] of the list that the certificate names.
    pub(crate) crl_shard: i32,
}

impl CertificateRow {
    /// The list that the certificate names.
    pub(crate) fn scope(&self) -> Result<Scope, Error> {
        Scope::from_stored(self.crl_shard).ok_or_else(|| Error::Row {
            kind: "certificate",
            id: self.id.clone(),
            reason: format!("it names the shard {}", self.crl_shard),
        })
    }
}

pub(crate) fn insert(conn: &mut AnyConnection, row: &CertificateRow) -> QueryResult<()> {
    diesel::insert_into(certificates::table).values(row).execute(conn)?;
    Ok(())
}

/// Ties a certificate to a proof it rests on; the foreign keys refuse proofs that are not in the database.
pub(crate) fn link_evidence(conn: &mut AnyConnection, certificate_id: &str, evidence_id: &str) -> QueryResult<()> {
    diesel::insert_into(certificate_evidence::table)
        .values((
            certificate_evidence::certificate_id.eq(certificate_id),
            certificate_evidence::evidence_id.eq(evidence_id),
        ))
        .execute(conn)?;
    Ok(())
}

/// The proofs a certificate rests on.
pub(crate) fn evidence_of(conn: &mut AnyConnection, certificate_id: &str) -> QueryResult<Vec<String>> {
    certificate_evidence::table
        .filter(certificate_evidence::certificate_id.eq(certificate_id))
        .select(certificate_evidence::evidence_id)
        .order(certificate_evidence::evidence_id.asc())
        .load(conn)
}

/// recorded → signed. `false` when the row is no longer `recorded`: the signature must then not be handed out.
pub(crate) fn mark_signed(conn: &mut AnyConnection, id: &str, der: &[u8], at: i64) -> QueryResult<bool> {
    let changed = diesel::update(
        certificates::table
            .filter(certificates::id.eq(id))
            .filter(certificates::state.eq(AsText(CertificateState::Recorded))),
    )
    .set((
        certificates::state.eq(AsText(CertificateState::Signed)),
        certificates::certificate.eq(Some(der)),
        certificates::signed_at.eq(Some(at)),
    ))
    .execute(conn)?;
    Ok(changed == 1)
}

/// recorded → abandoned and revoked, without a reason code. `false` when the row is no longer `recorded`.
pub(crate) fn abandon(conn: &mut AnyConnection, id: &str, at: i64) -> QueryResult<bool> {
    let changed = diesel::update(
        certificates::table
            .filter(certificates::id.eq(id))
            .filter(certificates::state.eq(AsText(CertificateState::Recorded))),
    )
    .set((
        certificates::state.eq(AsText(CertificateState::Abandoned)),
        certificates::revoked_at.eq(Some(at)),
    ))
    .execute(conn)?;
    Ok(changed == 1)
}

/// Revokes what is not revoked yet. `false` when it was.
pub(crate) fn revoke(conn: &mut AnyConnection, id: &str, at: i64, reason: Option<&str>) -> QueryResult<bool> {
    let changed = diesel::update(
        certificates::table
            .filter(certificates::id.eq(id))
            .filter(certificates::revoked_at.is_null()),
    )
    .set((
        certificates::revoked_at.eq(Some(at)),
        certificates::revocation_reason.eq(reason),
    ))
    .execute(conn)?;
    Ok(changed == 1)
}

/// Puts the reason keyCompromise in place of another one (RFC 5280 section 5.3.1 lets a CA correct a reason).
pub(crate) fn set_revocation_reason(conn: &mut AnyConnection, id: &str, reason: &str) -> QueryResult<()> {
    diesel::update(certificates::table.filter(certificates::id.eq(id)))
        .set(certificates::revocation_reason.eq(Some(reason)))
        .execute(conn)?;
    Ok(())
}

pub(crate) fn find(conn: &mut AnyConnection, id: &str) -> QueryResult<Option<CertificateRow>> {
    certificates::table
        .filter(certificates::id.eq(id))
        .select(CertificateRow::as_select())
        .first(conn)
        .optional()
}

pub(crate) fn find_by_serial(
    conn: &mut AnyConnection,
    issuer_id: &str,
    serial: &str,
) -> QueryResult<Option<CertificateRow>> {
    certificates::table
        .filter(certificates::issuer_id.eq(issuer_id))
        .filter(certificates::serial.eq(serial))
        .select(CertificateRow::as_select())
        .first(conn)
        .optional()
}

/// Certificates of a mailbox, of any account, that are signed and neither revoked nor expired, the newest first.
pub(crate) fn valid_of_mailbox(
    conn: &mut AnyConnection,
    mailbox: &str,
    instant: i64,
    limit: i64,
) -> QueryResult<Vec<CertificateRow>> {
    certificates::table
        .filter(certificates::mailbox.eq(mailbox))
        .filter(certificates::state.eq(AsText(CertificateState::Signed)))
        .filter(certificates::revoked_at.is_null())
        .filter(certificates::not_after.ge(instant))
        .select(CertificateRow::as_select())
        .order(certificates::id.desc())
        .limit(limit)
        .load(conn)
}

/// Rows that an issuance left in `recorded`.
pub(crate) fn recorded(conn: &mut AnyConnection, limit: i64) -> QueryResult<Vec<CertificateRow>> {
    certificates::table
        .filter(certificates::state.eq(AsText(CertificateState::Recorded)))
        .select(CertificateRow::as_select())
        .order(certificates::recorded_at.asc())
        .limit(limit)
        .load(conn)
}

/// What stands on a CRL.
#[derive(Clone, Debug, Queryable, Selectable)]
#[diesel(table_name = certificates)]
pub(crate) struct RevokedRow {
    pub(crate) serial: String,
    pub(crate) revoked_at: Option<i64>,
    pub(crate) revocation_reason: Option<String>,
}

/// What was revoked and had not expired at `since`, in the order of the serials, after the serial `after`.
pub(crate) fn revoked(
    conn: &mut AnyConnection,
    issuer_id: &str,
    scope: Scope,
    since: i64,
    after: Option<&str>,
    limit: i64,
) -> QueryResult<Vec<RevokedRow>> {
    let mut query = certificates::table
        .filter(certificates::issuer_id.eq(issuer_id.to_owned()))
        .filter(certificates::revoked_at.is_not_null())
        .filter(certificates::not_after.ge(since))
        // No serial is empty.
        .filter(certificates::serial.gt(after.unwrap_or_default().to_owned()))
        .select(RevokedRow::as_select())
        .order(certificates::serial.asc())
        .limit(limit)
        .into_boxed();
    if let Scope::Shard(_) = scope {
        query = query.filter(certificates::crl_shard.eq(scope.stored()));
    }
    query.load(conn)
}

/// When the issuer's certificates of a scope were last revoked.
pub(crate) fn last_revocation(conn: &mut AnyConnection, issuer_id: &str, scope: Scope) -> QueryResult<Option<i64>> {
    // The newest row rather than a maximum: both databases take it from the end of an index.
    let mut query = certificates::table
        .filter(certificates::issuer_id.eq(issuer_id.to_owned()))
        .filter(certificates::revoked_at.is_not_null())
        .select(certificates::revoked_at)
        .order(certificates::revoked_at.desc())
        .into_boxed();
    if let Scope::Shard(_) = scope {
        query = query.filter(certificates::crl_shard.eq(scope.stored()));
    }
    Ok(query.first::<Option<i64>>(conn).optional()?.flatten())
}

/// Identifiers and serials of certificates that are signed and neither revoked nor expired, after the identifier `after`.
pub(crate) fn valid_serials(
    conn: &mut AnyConnection,
    issuer_id: &str,
    instant: i64,
    after: Option<&str>,
    limit: i64,
) -> QueryResult<Vec<(String, String)>> {
    certificates::table
        .filter(certificates::issuer_id.eq(issuer_id))
        .filter(certificates::state.eq(AsText(CertificateState::Signed)))
        .filter(certificates::revoked_at.is_null())
        .filter(certificates::not_after.ge(instant))
        // No identifier is empty.
        .filter(certificates::id.gt(after.unwrap_or_default().to_owned()))
        .select((certificates::id, certificates::serial))
        .order(certificates::id.asc())
        .limit(limit)
        .load(conn)
}

/// Certificates whose key was not written down, oldest first.
pub(crate) fn without_key(conn: &mut AnyConnection, limit: i64) -> QueryResult<Vec<CertificateRow>> {
    certificates::table
        .filter(certificates::spki_sha256.is_null())
        .select(CertificateRow::as_select())
        .order(certificates::id.asc())
        .limit(limit)
        .load(conn)
}

pub(crate) fn set_key(conn: &mut AnyConnection, id: &str, spki_sha256: &[u8]) -> QueryResult<()> {
    diesel::update(certificates::table.filter(certificates::id.eq(id)))
        .set(certificates::spki_sha256.eq(Some(spki_sha256)))
        .execute(conn)?;
    Ok(())
}

/// Certificates of a key that neither are revoked nor expired before `instant`.
pub(crate) fn unrevoked_of_key(
    conn: &mut AnyConnection,
    spki_sha256: &[u8],
    instant: i64,
) -> QueryResult<Vec<CertificateRow>> {
    certificates::table
        .filter(certificates::spki_sha256.eq(Some(spki_sha256)))
        .filter(certificates::revoked_at.is_null())
        .filter(certificates::not_after.ge(instant))
        .select(CertificateRow::as_select())
        .order(certificates::id.asc())
        .load(conn)
}

/// The mailboxes of an account that hold a certificate of a tier at an instant: recorded or signed, neither revoked
/// nor expired.
pub(crate) fn holders(
    conn: &mut AnyConnection,
    account_id: &str,
    tier: Tier,
    instant: i64,
) -> QueryResult<Vec<String>> {
    certificates::table
        .filter(certificates::account_id.eq(account_id))
        .filter(certificates::tier.eq(AsText(tier)))
        .filter(certificates::revoked_at.is_null())
        .filter(certificates::not_after.ge(instant))
        .select(certificates::mailbox)
        .distinct()
        .order(certificates::mailbox.asc())
        .load(conn)
}

/// The serials of the certificates of a tier that one mailbox of an account holds at an instant.
pub(crate) fn held(
    conn: &mut AnyConnection,
    account_id: &str,
    tier: Tier,
    mailbox: &str,
    instant: i64,
) -> QueryResult<Vec<String>> {
    certificates::table
        .filter(certificates::account_id.eq(account_id))
        .filter(certificates::mailbox.eq(mailbox))
        .filter(certificates::tier.eq(AsText(tier)))
        .filter(certificates::state.eq(AsText(CertificateState::Signed)))
        .filter(certificates::revoked_at.is_null())
        .filter(certificates::not_after.ge(instant))
        .select(certificates::serial)
        .order(certificates::id.asc())
        .load(conn)
}

/// Certificates that are signed, not revoked and end after `from` and at or before `until`, after the identifier `after`.
pub(crate) fn ending(
    conn: &mut AnyConnection,
    from: i64,
    until: i64,
    after: Option<&str>,
    limit: i64,
) -> QueryResult<Vec<CertificateRow>> {
    let mut query = certificates::table
        .filter(certificates::state.eq(AsText(CertificateState::Signed)))
        .filter(certificates::revoked_at.is_null())
        .filter(certificates::not_after.gt(from))
        .filter(certificates::not_after.le(until))
        .select(CertificateRow::as_select())
        .order(certificates::id.asc())
        .limit(limit)
        .into_boxed();
    if let Some(after) = after {
        query = query.filter(certificates::id.gt(after.to_owned()));
    }
    query.load(conn)
}

/// Whether the mailbox holds a certificate of the same tier and account, for the same use or for both, that ends later.
pub(crate) fn is_renewed(conn: &mut AnyConnection, row: &CertificateRow) -> QueryResult<bool> {
    let later: i64 = certificates::table
        .filter(certificates::account_id.eq(&row.account_id))
        .filter(certificates::mailbox.eq(&row.mailbox))
        .filter(certificates::tier.eq(row.tier))
        .filter(certificates::key_use.eq_any([row.key_use, AsText(KeyUse::Both)]))
        .filter(certificates::state.eq(AsText(CertificateState::Signed)))
        .filter(certificates::revoked_at.is_null())
        .filter(certificates::not_after.gt(row.not_after))
        .count()
        .get_result(conn)?;
    Ok(later > 0)
}

/// What `page` leaves out.
#[derive(Clone, Debug, Default)]
pub(crate) struct Filter {
    pub(crate) account_id: Option<String>,
    pub(crate) mailbox: Option<String>,
    pub(crate) tier: Option<Tier>,
    pub(crate) key_use: Option<KeyUse>,
    /// What the certificates are worth at an instant.
    pub(crate) worth: Option<(Worth, i64)>,
    pub(crate) state: Option<CertificateState>,
    /// Only certificates whose notAfter is at or after this second.
    pub(crate) not_expired_at: Option<i64>,
}

/// Certificates in the order of their identifiers, after the identifier `after`.
pub(crate) fn page(
    conn: &mut AnyConnection,
    filter: &Filter,
    after: Option<&str>,
    limit: i64,
) -> QueryResult<Vec<CertificateRow>> {
    let mut query = certificates::table
        .select(CertificateRow::as_select())
        .order(certificates::id.asc())
        .limit(limit)
        .into_boxed();
    if let Some(account_id) = &filter.account_id {
        query = query.filter(certificates::account_id.eq(account_id.clone()));
    }
    if let Some(mailbox) = &filter.mailbox {
        query = query.filter(certificates::mailbox.eq(mailbox.clone()));
    }
    if let Some(tier) = filter.tier {
        query = query.filter(certificates::tier.eq(AsText(tier)));
    }
    if let Some(key_use) = filter.key_use {
        query = query.filter(certificates::key_use.eq(AsText(key_use)));
    }
    if let Some((worth, instant)) = filter.worth {
        let stored = match worth {
            Worth::Recorded => CertificateState::Recorded,
            Worth::Abandoned => CertificateState::Abandoned,
            Worth::Valid | Worth::Expired | Worth::Revoked => CertificateState::Signed,
        };
        query = query.filter(certificates::state.eq(AsText(stored)));
        query = match worth {
            Worth::Recorded | Worth::Abandoned => query,
            Worth::Revoked => query.filter(certificates::revoked_at.is_not_null()),
            Worth::Valid => query
                .filter(certificates::revoked_at.is_null())
                .filter(certificates::not_after.ge(instant)),
            Worth::Expired => query
                .filter(certificates::revoked_at.is_null())
                .filter(certificates::not_after.lt(instant)),
        };
    }
    if let Some(state) = filter.state {
        query = query.filter(certificates::state.eq(AsText(state)));
    }
    if let Some(instant) = filter.not_expired_at {
        query = query.filter(certificates::not_after.ge(instant));
    }
    if let Some(after) = after {
        query = query.filter(certificates::id.gt(after.to_owned()));
    }
    query.load(conn)
}
