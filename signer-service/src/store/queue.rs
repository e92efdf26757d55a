//! The tables of the queue. Every step of a recipient is a compare-and-set: it names the state, and where it matters
//! the lease, that it starts from, and says whether it was still so.

use std::fmt;
use std::str::FromStr;

use diesel::prelude::*;
use migrations::AnyConnection;
use migrations::schema::{queue_messages, queue_nodes, queue_recipients, queue_secrets};
use migrations::text::AsText;
use policies::time::Timestamp;

/// What has become of a message for one recipient.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RecipientState {
    /// Will be tried, now or later.
    Queued,
    /// Will not be tried until an operator says so.
    Held,
    /// The next mail server has taken charge.
    Delivered,
    /// Given up; the sender was told unless there is none or none that wants to know.
    Bounced,
    /// Removed by an operator, silently.
    Dropped,
}

impl RecipientState {
    pub const ALL: [Self; 5] = [Self::Queued, Self::Held, Self::Delivered, Self::Bounced, Self::Dropped];
}

impl AsRef<str> for RecipientState {
    fn as_ref(&self) -> &str {
        match self {
            Self::Queued => "queued",
            Self::Held => "held",
            Self::Delivered => "delivered",
            Self::Bounced => "bounced",
            Self::Dropped => "dropped",
        }
    }
}

impl fmt::Display for RecipientState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_ref())
    }
}

impl FromStr for RecipientState {
    type Err = UnknownState;

    fn from_str(text: &str) -> Result<Self, UnknownState> {
        Self::ALL
            .into_iter()
            .find(|state| state.as_ref() == text)
            .ok_or(UnknownState)
    }
}

/// A word that is not the state of a recipient.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a state; choose queued, held, delivered, bounced or dropped")]
pub struct UnknownState;

#[derive(Clone, Debug, Insertable, Queryable, Selectable)]
#[diesel(table_name = queue_messages)]
pub(crate) struct MessageRow {
    pub(crate) id: String,
    pub(crate) received_at: i64,
    /// Empty for the null sender.
    pub(crate) reverse_path: String,
    /// RET and ENVID as they were written in MAIL.
    pub(crate) parameters: String,
    pub(crate) smtputf8: bool,
    pub(crate) body_object: String,
    pub(crate) body_offset: i64,
    pub(crate) body_octets: i64,
    pub(crate) open_recipients: i64,
    pub(crate) kept_until: i64,
}

#[derive(Clone, Debug, Insertable, Queryable, Selectable)]
#[diesel(table_name = queue_recipients)]
pub(crate) struct RecipientRow {
    pub(crate) message_id: String,
    pub(crate) number: i64,
    pub(crate) address: String,
    /// NOTIFY and ORCPT as they were written in RCPT.
    pub(crate) parameters: String,
    pub(crate) state: AsText<RecipientState>,
    pub(crate) attempts: i64,
    pub(crate) next_attempt_at: i64,
    pub(crate) delay_notice_sent: bool,
    pub(crate) lease_node: Option<String>,
    pub(crate) last_reply: Option<String>,
    pub(crate) updated_at: i64,
}

/// A message and those of its recipients that a query was about.
#[derive(Clone, Debug)]
pub(crate) struct Queued {
    pub(crate) message: MessageRow,
    pub(crate) recipients: Vec<RecipientRow>,
}

/// What is to be written down about one recipient after an attempt.
#[derive(Clone, Debug)]
pub(crate) enum Fate {
    Delivered,
    Bounced,
    /// The next attempt, and whether the sender is told of the delay.
    Deferred {
        next_attempt_at: Timestamp,
        notice: bool,
    },
    /// Not tried after all, so nothing is counted.
    Untried {
        next_attempt_at: Timestamp,
    },
}

#[derive(Clone, Debug)]
pub(crate) struct Outcome {
    pub(crate) message_id: String,
    pub(crate) fates: Vec<(i64, Fate, Option<String>)>,
}

pub(crate) fn insert(conn: &mut AnyConnection, messages: &[Queued]) -> QueryResult<()> {
    let rows: Vec<MessageRow> = messages.iter().map(|queued| queued.message.clone()).collect();
    let recipients: Vec<RecipientRow> = messages.iter().flat_map(|queued| queued.recipients.clone()).collect();
    match conn {
        // One prepared statement, run again and again, is the fastest where there is no network in between.
        AnyConnection::Sqlite(sqlite) => {
            for row in rows {
                diesel::insert_into(queue_messages::table).values(row).execute(sqlite)?;
            }
            for row in recipients {
                diesel::insert_into(queue_recipients::table)
                    .values(row)
                    .execute(sqlite)?;
            }
        }
        AnyConnection::Postgres(postgres) => {
            for rows in rows.chunks(ROWS_PER_STATEMENT) {
                diesel::insert_into(queue_messages::table)
                    .values(rows)
                    .execute(postgres)?;
            }
            for rows in recipients.chunks(ROWS_PER_STATEMENT) {
                diesel::insert_into(queue_recipients::table)
                    .values(rows)
                    .execute(postgres)?;
            }
        }
    }
    Ok(())
}

/// Writes down what `node` has found out. Gives the numbers of the recipients for whom it was news.
///
/// A delivery is a fact and counts whoever holds the lease by now. Everything else is an intention, and only that of
/// the one who holds the lease counts: so a sender is told once.
pub(crate) fn record(conn: &mut AnyConnection, node: &str, outcome: &Outcome, now: Timestamp) -> QueryResult<Vec<i64>> {
    let mut news = Vec::new();
    let mut closed = 0_i64;
    for (number, fate, reply) in &outcome.fates {
        let row = queue_recipients::table.find((outcome.message_id.clone(), *number));
        let open = [AsText(RecipientState::Queued), AsText(RecipientState::Held)];
        let end = |state: RecipientState| {
            (
                queue_recipients::state.eq(AsText(state)),
                queue_recipients::attempts.eq(queue_recipients::attempts + 1),
                queue_recipients::lease_node.eq(None::<String>),
                queue_recipients::last_reply.eq(reply.clone()),
                queue_recipients::updated_at.eq(now.unix()),
            )
        };
        let leased = queue_recipients::lease_node.eq(Some(node.to_owned()));
        let changed = match fate {
            Fate::Delivered => {
                let open = row.clone().filter(queue_recipients::state.eq_any(open));
                let changed = diesel::update(open).set(end(RecipientState::Delivered)).execute(conn)?;
                if changed == 0 {
                    // Dropped while it was on its way, or given up by another node: what has happened has happened.
                    diesel::update(row.filter(queue_recipients::state.ne(AsText(RecipientState::Delivered))))
                        .set(end(RecipientState::Delivered))
                        .execute(conn)?;
                }
                closed += i64::from(changed == 1);
                changed
            }
            Fate::Bounced => {
                let mine = row.filter(queue_recipients::state.eq_any(open)).filter(leased);
                let changed = diesel::update(mine).set(end(RecipientState::Bounced)).execute(conn)?;
                closed += i64::from(changed == 1);
                changed
            }
            Fate::Deferred {
                next_attempt_at,
                notice,
            } => {
                let mine = row.filter(leased);
                let changed = diesel::update(mine)
                    .set((
                        queue_recipients::attempts.eq(queue_recipients::attempts + 1),
                        queue_recipients::next_attempt_at.eq(next_attempt_at.unix()),
                        queue_recipients::lease_node.eq(None::<String>),
                        queue_recipients::last_reply.eq(reply.clone()),
                        queue_recipients::updated_at.eq(now.unix()),
                    ))
                    .execute(conn)?;
                if *notice && changed == 1 {
                    diesel::update(queue_recipients::table.find((outcome.message_id.clone(), *number)))
                        .set(queue_recipients::delay_notice_sent.eq(true))
                        .execute(conn)?;
                }
                changed
            }
            Fate::Untried { next_attempt_at } => diesel::update(row.filter(leased))
                .set((
                    queue_recipients::next_attempt_at.eq(next_attempt_at.unix()),
                    queue_recipients::lease_node.eq(None::<String>),
                ))
                .execute(conn)?,
        };
        if changed == 1 {
            news.push(*number);
        }
    }
    if closed > 0 {
        close(conn, &outcome.message_id, closed)?;
    }
    Ok(news)
}

fn close(conn: &mut AnyConnection, message_id: &str, recipients: i64) -> QueryResult<()> {
    diesel::update(queue_messages::table.find(message_id.to_owned()))
        .set(queue_messages::open_recipients.eq(queue_messages::open_recipients - recipients))
        .execute(conn)?;
    Ok(())
}

/// Leases what is due and not leased by a node that is alive: up to `most` messages, those first that wait longest.
pub(crate) fn claim(conn: &mut AnyConnection, node: &str, now: Timestamp, most: i64) -> QueryResult<Vec<Queued>> {
    // A node knows that it is alive itself, whatever a clock that jumped says.
    let alive: Vec<String> = queue_nodes::table
        .filter(
            queue_nodes::alive_until
                .gt(now.unix())
                .or(queue_nodes::id.eq(node.to_owned())),
        )
        .select(queue_nodes::id)
        .load(conn)?;
    let due = || {
        queue_recipients::table
            .filter(queue_recipients::state.eq(AsText(RecipientState::Queued)))
            .filter(queue_recipients::next_attempt_at.le(now.unix()))
            .filter(
                queue_recipients::lease_node
                    .is_null()
                    .or(queue_recipients::lease_node.ne_all(alive.clone())),
            )
    };
    let mut ids: Vec<String> = due()
        .order(queue_recipients::next_attempt_at.asc())
        .select(queue_recipients::message_id)
        .limit(most)
        .load(conn)?;
    ids.sort_unstable();
    ids.dedup();
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let rows: Vec<RecipientRow> = due()
        .filter(queue_recipients::message_id.eq_any(ids.clone()))
        .order((queue_recipients::message_id.asc(), queue_recipients::number.asc()))
        .select(RecipientRow::as_select())
        .load(conn)?;
    diesel::update(due().filter(queue_recipients::message_id.eq_any(ids.clone())))
        .set(queue_recipients::lease_node.eq(Some(node.to_owned())))
        .execute(conn)?;
    let messages: Vec<MessageRow> = queue_messages::table
        .filter(queue_messages::id.eq_any(ids))
        .select(MessageRow::as_select())
        .load(conn)?;
    let mut claimed: Vec<Queued> = messages
        .into_iter()
        .map(|message| Queued {
            message,
            recipients: Vec::new(),
        })
        .collect();
    claimed.sort_by(|a, b| a.message.id.cmp(&b.message.id));
    for row in rows {
        if let Ok(index) = claimed.binary_search_by(|queued| queued.message.id.cmp(&row.message_id)) {
            claimed[index].recipients.push(row);
        }
    }
    Ok(claimed)
}

/// Says that a node is alive, and forgets those that have not for a day.
pub(crate) fn stay_alive(conn: &mut AnyConnection, node: &str, now: Timestamp, until: Timestamp) -> QueryResult<()> {
    let changed = diesel::update(queue_nodes::table.find(node.to_owned()))
        .set(queue_nodes::alive_until.eq(until.unix()))
        .execute(conn)?;
    if changed == 0 {
        diesel::insert_into(queue_nodes::table)
            .values((
                queue_nodes::id.eq(node.to_owned()),
                queue_nodes::alive_until.eq(until.unix()),
            ))
            .execute(conn)?;
        diesel::delete(queue_nodes::table.filter(queue_nodes::alive_until.lt(now.unix() - 86_400))).execute(conn)?;
    }
    Ok(())
}

/// Gives up every lease of a node that stops.
pub(crate) fn leave(conn: &mut AnyConnection, node: &str) -> QueryResult<()> {
    diesel::update(queue_recipients::table.filter(queue_recipients::lease_node.eq(Some(node.to_owned()))))
        .set(queue_recipients::lease_node.eq(None::<String>))
        .execute(conn)?;
    diesel::delete(queue_nodes::table.find(node.to_owned())).execute(conn)?;
    Ok(())
}

/// The secret with this name, made of `fresh` if there was none.
pub(crate) fn secret(conn: &mut AnyConnection, name: &str, fresh: &[u8]) -> QueryResult<Vec<u8>> {
    let known = queue_secrets::table
        .find(name.to_owned())
        .select(queue_secrets::octets)
        .first::<Vec<u8>>(conn)
        .optional()?;
    if let Some(known) = known {
        return Ok(known);
    }
    diesel::insert_into(queue_secrets::table)
        .values((
            queue_secrets::name.eq(name.to_owned()),
            queue_secrets::octets.eq(fresh.to_vec()),
        ))
        .execute(conn)?;
    Ok(fresh.to_vec())
}

/// Of these objects, those with a body that is still needed.
pub(crate) fn needed_objects(conn: &mut AnyConnection, objects: &[String], now: Timestamp) -> QueryResult<Vec<String>> {
    queue_messages::table
        .filter(queue_messages::body_object.eq_any(objects.to_vec()))
        .filter(
            queue_messages::open_recipients
                .gt(0)
                .or(queue_messages::kept_until.gt(now.unix())),
        )
        .select(queue_messages::body_object)
        .distinct()
        .load(conn)
}

/// Forgets messages that were done before `before`, at most so many; tells how many and the objects they were in.
pub(crate) fn forget(conn: &mut AnyConnection, before: Timestamp, most: i64) -> QueryResult<(usize, Vec<String>)> {
    let done: Vec<(String, String)> = queue_messages::table
        .filter(queue_messages::open_recipients.eq(0))
        .filter(queue_messages::kept_until.lt(before.unix()))
        .filter(queue_messages::received_at.lt(before.unix()))
        .select((queue_messages::id, queue_messages::body_object))
        .limit(most)
        .load(conn)?;
    let (ids, mut objects): (Vec<String>, Vec<String>) = done.into_iter().unzip();
    if !ids.is_empty() {
        diesel::delete(queue_recipients::table.filter(queue_recipients::message_id.eq_any(ids.clone())))
            .execute(conn)?;
        diesel::delete(queue_messages::table.filter(queue_messages::id.eq_any(ids.clone()))).execute(conn)?;
    }
    objects.sort_unstable();
    objects.dedup();
    Ok((ids.len(), objects))
}

/// Messages with a recipient in `state`, or with an open one, the oldest first; with all their recipients.
pub(crate) fn list(conn: &mut AnyConnection, state: Option<RecipientState>, most: i64) -> QueryResult<Vec<Queued>> {
    let mut query = queue_messages::table
        .select(MessageRow::as_select())
        .order((queue_messages::received_at.asc(), queue_messages::id.asc()))
        .limit(most)
        .into_boxed();
    query = match state {
        None => query.filter(queue_messages::open_recipients.gt(0)),
        Some(state) => query.filter(
            queue_messages::id.eq_any(
                queue_recipients::table
                    .filter(queue_recipients::state.eq(AsText(state)))
                    .select(queue_recipients::message_id),
            ),
        ),
    };
    let messages: Vec<MessageRow> = query.load(conn)?;
    with_recipients(conn, messages)
}

pub(crate) fn find(conn: &mut AnyConnection, id: &str) -> QueryResult<Option<Queued>> {
    let message = queue_messages::table
        .find(id.to_owned())
        .select(MessageRow::as_select())
        .first(conn)
        .optional()?;
    Ok(with_recipients(conn, message.into_iter().collect())?.pop())
}

pub(crate) fn with_recipients(conn: &mut AnyConnection, messages: Vec<MessageRow>) -> QueryResult<Vec<Queued>> {
    let mut found = Vec::with_capacity(messages.len());
    for message in messages {
        let recipients = queue_recipients::table
            .filter(queue_recipients::message_id.eq(message.id.clone()))
            .order(queue_recipients::number.asc())
            .select(RecipientRow::as_select())
            .load(conn)?;
        found.push(Queued { message, recipients });
    }
    Ok(found)
}

/// Lets every open recipient of a message be tried at once; tells how many there are.
pub(crate) fn retry(conn: &mut AnyConnection, id: &str, now: Timestamp) -> QueryResult<usize> {
    let open = queue_recipients::table
        .filter(queue_recipients::message_id.eq(id.to_owned()))
        .filter(queue_recipients::state.eq_any([AsText(RecipientState::Queued), AsText(RecipientState::Held)]));
    diesel::update(open)
        .set((
            queue_recipients::state.eq(AsText(RecipientState::Queued)),
            queue_recipients::next_attempt_at.eq(now.unix()),
            queue_recipients::updated_at.eq(now.unix()),
        ))
        .execute(conn)
}

/// Keeps the recipients of a message that are queued from being tried; tells how many there are.
pub(crate) fn hold(conn: &mut AnyConnection, id: &str, now: Timestamp) -> QueryResult<usize> {
    let queued = queue_recipients::table
        .filter(queue_recipients::message_id.eq(id.to_owned()))
        .filter(queue_recipients::state.eq(AsText(RecipientState::Queued)));
    diesel::update(queued)
        .set((
            queue_recipients::state.eq(AsText(RecipientState::Held)),
            queue_recipients::updated_at.eq(now.unix()),
        ))
        .execute(conn)
}

/// Gives up the open recipients of a message without telling anybody; tells how many there were.
pub(crate) fn drop_open(conn: &mut AnyConnection, id: &str, now: Timestamp) -> QueryResult<usize> {
    let open = queue_recipients::table
        .filter(queue_recipients::message_id.eq(id.to_owned()))
        .filter(queue_recipients::state.eq_any([AsText(RecipientState::Queued), AsText(RecipientState::Held)]));
    let dropped = diesel::update(open)
        .set((
            queue_recipients::state.eq(AsText(RecipientState::Dropped)),
            queue_recipients::lease_node.eq(None::<String>),
            queue_recipients::updated_at.eq(now.unix()),
        ))
        .execute(conn)?;
    close(conn, id, i64::try_from(dropped).unwrap_or(i64::MAX))?;
    Ok(dropped)
}

/// What is in the queue.
#[derive(Clone, Debug)]
pub(crate) struct Counts {
    /// How many recipients are in each of the open states.
    pub(crate) recipients: Vec<(RecipientState, i64)>,
    /// When the oldest open message came.
    pub(crate) oldest: Option<i64>,
}

pub(crate) fn counts(conn: &mut AnyConnection) -> QueryResult<Counts> {
    let counted: Vec<(AsText<RecipientState>, i64)> = queue_recipients::table
        .filter(queue_recipients::state.eq_any([AsText(RecipientState::Queued), AsText(RecipientState::Held)]))
        .group_by(queue_recipients::state)
        .select((queue_recipients::state, diesel::dsl::count_star()))
        .load(conn)?;
    let oldest = queue_messages::table
        .filter(queue_messages::open_recipients.gt(0))
        .select(diesel::dsl::min(queue_messages::received_at))
        .first(conn)?;
    Ok(Counts {
        recipients: counted.into_iter().map(|(state, count)| (state.0, count)).collect(),
        oldest,
    })
}

/// PostgreSQL takes 65,535 parameters per statement; a recipient has eleven.
const ROWS_PER_STATEMENT: usize = 1000;
