//! The table `recipient_certificates`: certificates of others, by mailbox.

use std::fmt;
use std::str::FromStr;

use diesel::prelude::*;
use migrations::AnyConnection;
use migrations::schema::recipient_certificates as table;
use migrations::text::AsText;
use policies::mailbox::Mailbox;
use policies::time::Timestamp;

/// Whether a certificate is encrypted to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Approval {
    /// Seen in signed mail, and waiting.
    Offered,
    Approved,
    Rejected,
}

impl AsRef<str> for Approval {
    fn as_ref(&self) -> &str {
        match self {
            Self::Offered => "offered",
            Self::Approved => "approved",
            Self::Rejected => "rejected",
        }
    }
}

impl FromStr for Approval {
    type Err = UnknownApproval;

    fn from_str(text: &str) -> Result<Self, UnknownApproval> {
        let all = [Self::Offered, Self::Approved, Self::Rejected];
        all.into_iter()
            .find(|state| state.as_ref() == text)
            .ok_or(UnknownApproval)
    }
}

/// A state that this version does not know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a state of a recipient's certificate")]
pub struct UnknownApproval;

impl fmt::Display for Approval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_ref())
    }
}

#[derive(Clone, Debug, Insertable, Queryable, Selectable)]
#[diesel(table_name = table)]
pub(crate) struct CertificateRow {
    /// The canonical form of the mailbox.
    pub(crate) mailbox: String,
    /// SHA-256 of the certificate, in lower-case hexadecimal.
    pub(crate) fingerprint: String,
    pub(crate) state: AsText<Approval>,
    pub(crate) chain_pem: String,
    pub(crate) capabilities: String,
    pub(crate) not_after: i64,
    pub(crate) first_seen_at: i64,
    pub(crate) last_seen_at: i64,
}

/// The newest first.
pub(crate) fn approved(conn: &mut AnyConnection, mailbox: &Mailbox) -> QueryResult<Vec<CertificateRow>> {
    table::table
        .filter(table::mailbox.eq(mailbox.as_ref().to_owned()))
        .filter(table::state.eq(AsText(Approval::Approved)))
        .select(CertificateRow::as_select())
        .order(table::last_seen_at.desc())
        .limit(MOST_OF_ONE)
        .load(conn)
}

/// All, or those in one state, by mailbox.
pub(crate) fn list(conn: &mut AnyConnection, state: Option<Approval>) -> QueryResult<Vec<CertificateRow>> {
    let mut query = table::table.select(CertificateRow::as_select()).into_boxed();
    if let Some(state) = state {
        query = query.filter(table::state.eq(AsText(state)));
    }
    query
        .order((
            table::mailbox.asc(),
            table::last_seen_at.desc(),
            table::fingerprint.asc(),
        ))
        .load(conn)
}

/// What became of a certificate that was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Seen {
    /// It is new.
    Stored,
    /// It was there already, and stays what it was.
    Known,
    /// The mailbox has too many already.
    TooMany,
}

/// Writes a certificate down, or that it was seen again with these capabilities.
///
/// `trust` makes a new one approved, if the mailbox has none yet: a second one may be somebody else's.
pub(crate) fn see(conn: &mut AnyConnection, row: &CertificateRow, trust: bool) -> QueryResult<Seen> {
    let same = table::table
        .filter(table::mailbox.eq(row.mailbox.clone()))
        .filter(table::fingerprint.eq(row.fingerprint.clone()));
    let changed = diesel::update(same)
        .set((
            table::last_seen_at.eq(row.last_seen_at),
            table::capabilities.eq(row.capabilities.clone()),
        ))
        .execute(conn)?;
    if changed > 0 {
        return Ok(Seen::Known);
    }
    let count: i64 = table::table
        .filter(table::mailbox.eq(row.mailbox.clone()))
        .count()
        .get_result(conn)?;
    if count >= MOST_OF_ONE {
        return Ok(Seen::TooMany);
    }
    let mut row = row.clone();
    if trust && count == 0 {
        row.state = AsText(Approval::Approved);
    }
    diesel::insert_into(table::table).values(&row).execute(conn)?;
    Ok(Seen::Stored)
}

/// Says yes or no to a certificate of a mailbox; gives how many there were.
pub(crate) fn decide(
    conn: &mut AnyConnection,
    mailbox: &Mailbox,
    fingerprint: &str,
    state: Approval,
    now: Timestamp,
) -> QueryResult<usize> {
    let named = table::table
        .filter(table::mailbox.eq(mailbox.as_ref().to_owned()))
        .filter(table::fingerprint.eq(fingerprint.to_owned()));
    diesel::update(named)
        .set((table::state.eq(AsText(state)), table::last_seen_at.eq(now.unix())))
        .execute(conn)
}

/// Whoever sends signed mail can make one more with each message.
const MOST_OF_ONE: i64 = 20;
