//! The table `queue_submissions`: which queued messages one HTTP request has brought, so that its sender can ask for them.

use diesel::prelude::*;
use migrations::AnyConnection;
use migrations::schema::{queue_messages, queue_submissions as table};

use super::queue::{MessageRow, Queued, with_recipients};
use super::submissions;

/// What is written down together with the messages of a request.
#[derive(Clone, Debug)]
pub(crate) struct NewSubmission {
    pub(crate) id: String,
    /// Who has handed it in, and may ask.
    pub(crate) token_id: String,
    pub(crate) idempotency_key: Option<String>,
    /// JSON; what a repeated request is answered.
    pub(crate) answer: String,
}

/// The messages, and the answer under the idempotency key: both or neither, so that a crash cannot make two of one.
pub(crate) fn insert(conn: &mut AnyConnection, submission: &NewSubmission, messages: &[Queued]) -> QueryResult<()> {
    for queued in messages {
        diesel::insert_into(table::table)
            .values((
                table::message_id.eq(queued.message.id.clone()),
                table::submission_id.eq(submission.id.clone()),
                table::token_id.eq(submission.token_id.clone()),
            ))
            .execute(conn)?;
    }
    if let Some(key) = &submission.idempotency_key {
        submissions::settle(conn, &submission.token_id, key, Some(&submission.answer))?;
    }
    Ok(())
}

/// What became of a submission of this token; empty if there is none, or nothing is known of it any more.
pub(crate) fn find(conn: &mut AnyConnection, submission_id: &str, token_id: &str) -> QueryResult<Vec<Queued>> {
    let messages: Vec<MessageRow> = table::table
        .inner_join(queue_messages::table)
        .filter(table::submission_id.eq(submission_id.to_owned()))
        .filter(table::token_id.eq(token_id.to_owned()))
        .order(queue_messages::id.asc())
        .select(MessageRow::as_select())
        .load(conn)?;
    with_recipients(conn, messages)
}
