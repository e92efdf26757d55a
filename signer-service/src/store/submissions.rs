//! The table `gateway_submissions`: what was handed in under which idempotency key, and what became of it.

use diesel::prelude::*;
use migrations::AnyConnection;
use migrations::schema::gateway_submissions as table;
use policies::time::{Span, Timestamp};

#[derive(Clone, Debug, Insertable, Queryable, Selectable)]
#[diesel(table_name = table)]
struct SubmissionRow {
    token_id: String,
    idempotency_key: String,
    /// SHA-256 of envelope and message.
    request_hash: String,
    /// JSON; absent while it is under way.
    answer: Option<String>,
    created_at: i64,
}

/// What a request finds under its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Claim {
    /// Nothing: the request is ours to do.
    Ours,
    UnderWay,
    AnotherRequest,
    Answered(String),
}

/// Claims a key. A request that was under way when the gateway died can be claimed again after a quarter of an hour;
/// whether its message went out nobody knows then.
pub(crate) fn claim(
    conn: &mut AnyConnection,
    token_id: &str,
    key: &str,
    request_hash: &str,
    now: Timestamp,
) -> QueryResult<Claim> {
    diesel::delete(table::table.filter(table::created_at.lt(now.minus(KEPT).unix()))).execute(conn)?;
    let known: Option<SubmissionRow> = table::table
        .filter(table::token_id.eq(token_id.to_owned()))
        .filter(table::idempotency_key.eq(key.to_owned()))
        .select(SubmissionRow::as_select())
        .first(conn)
        .optional()?;
    match known {
        Some(row) if row.request_hash != request_hash => return Ok(Claim::AnotherRequest),
        Some(SubmissionRow {
            answer: Some(answer), ..
        }) => return Ok(Claim::Answered(answer)),
        Some(row) if row.created_at > now.minus(ABANDONED).unix() => return Ok(Claim::UnderWay),
        Some(_) => {
            give_up(conn, token_id, key)?;
        }
        None => {}
    }
    let row = SubmissionRow {
        token_id: token_id.to_owned(),
        idempotency_key: key.to_owned(),
        request_hash: request_hash.to_owned(),
        answer: None,
        created_at: now.unix(),
    };
    match diesel::insert_into(table::table).values(&row).execute(conn) {
        Ok(_) => Ok(Claim::Ours),
        // Another node was faster.
        Err(diesel::result::Error::DatabaseError(diesel::result::DatabaseErrorKind::UniqueViolation, _)) => {
            Ok(Claim::UnderWay)
        }
        Err(error) => Err(error),
    }
}

/// Writes the answer down, or frees the key where there is none. An answer that is there stays: an error after the
/// commit does not take back what was committed.
pub(crate) fn settle(conn: &mut AnyConnection, token_id: &str, key: &str, answer: Option<&str>) -> QueryResult<()> {
    let Some(answer) = answer else {
        return give_up(conn, token_id, key);
    };
    let row = table::table
        .filter(table::token_id.eq(token_id.to_owned()))
        .filter(table::idempotency_key.eq(key.to_owned()));
    diesel::update(row)
        .set(table::answer.eq(Some(answer.to_owned())))
        .execute(conn)?;
    Ok(())
}

fn give_up(conn: &mut AnyConnection, token_id: &str, key: &str) -> QueryResult<()> {
    let row = table::table
        .filter(table::answer.is_null())
        .filter(table::token_id.eq(token_id.to_owned()))
        .filter(table::idempotency_key.eq(key.to_owned()));
    diesel::delete(row).execute(conn)?;
    Ok(())
}

/// How long an answer is repeated.
const KEPT: Span = Span::days(2);

/// Longer than any message takes.
const ABANDONED: Span = Span::minutes(15);
