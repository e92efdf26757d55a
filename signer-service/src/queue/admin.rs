//! What an operator sees of the queue and does to it; from any process that can open the database.

use policies::time::Timestamp;
use serde::Serialize;

use crate::error::Error;
use crate::gateway::Gateway;
use crate::store::queue::{self as store, Queued, RecipientState};

/// A message in the queue.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ListedMessage {
    pub id: String,
    pub received_at: String,
    /// Empty for notifications.
    pub sender: String,
    pub octets: i64,
    /// Where its octets lie.
    pub body_object: String,
    pub body_offset: i64,
    pub recipients: Vec<ListedRecipient>,
}

/// One recipient of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ListedRecipient {
    pub address: String,
    pub state: String,
    pub attempts: i64,
    /// When it is tried next; only while it is queued.
    pub next_attempt_at: Option<String>,
    /// The node that is delivering to it now.
    pub node: Option<String>,
    /// What the other side said last.
    pub last_reply: Option<String>,
    pub updated_at: String,
}

/// What can be done to a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Intervention {
    /// Try now what is queued or held.
    Retry,
    /// Keep from being tried.
    Hold,
    /// Give up silently.
    Drop,
}

impl Gateway {
    /// Messages that are not done, or those with a recipient in `state`; the oldest first, at most so many.
    ///
    /// # Errors
    /// The database is not available.
    pub async fn list_queue(&self, state: Option<RecipientState>, most: i64) -> Result<Vec<ListedMessage>, Error> {
        let listed = self
            .db
            .read(move |conn| store::list(conn, state, most).map_err(Error::from))
            .await?;
        Ok(listed.into_iter().map(listed_message).collect())
    }

    /// One message; `None` if it was never here or is forgotten.
    ///
    /// # Errors
    /// The database is not available.
    pub async fn show_queued(&self, id: &str) -> Result<Option<ListedMessage>, Error> {
        let id = id.to_owned();
        let found = self
            .db
            .read(move |conn| store::find(conn, &id).map_err(Error::from))
            .await?;
        Ok(found.map(listed_message))
    }

    /// The octets of a message as they are sent; `None` if it was never here, or they are kept no longer.
    ///
    /// # Errors
    /// The database or the storage is not available.
    pub async fn queued_octets(&self, id: &str) -> Result<Option<bytes::Bytes>, Error> {
        let Some(message) = self.show_queued(id).await? else {
            return Ok(None);
        };
        let offset = |number: i64| u64::try_from(number).unwrap_or(0);
        let (start, length) = (offset(message.body_offset), offset(message.octets));
        let bodies = super::Bodies::open(&self.config.queue.storage)?;
        match bodies.get(&message.body_object, start..start + length).await {
            Ok(octets) => Ok(Some(octets)),
            Err(error) if error.is_missing() => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Does something to the open recipients of messages; tells how many of each there were.
    ///
    /// # Errors
    /// The database is not available.
    pub async fn intervene(&self, ids: Vec<String>, intervention: Intervention) -> Result<Vec<(String, usize)>, Error> {
        let now = self.clock.now();
        self.db
            .write(move |conn| {
                let change = match intervention {
                    Intervention::Retry => store::retry,
                    Intervention::Hold => store::hold,
                    Intervention::Drop => store::drop_open,
                };
                ids.iter()
                    .map(|id| Ok((id.clone(), change(conn, id, now)?)))
                    .collect::<Result<Vec<_>, Error>>()
            })
            .await
    }
}

pub(crate) fn listed_message(queued: Queued) -> ListedMessage {
    let time = |seconds| Timestamp::from_unix(seconds).to_string();
    ListedMessage {
        id: queued.message.id,
        received_at: time(queued.message.received_at),
        sender: queued.message.reverse_path,
        octets: queued.message.body_octets,
        body_object: queued.message.body_object,
        body_offset: queued.message.body_offset,
        recipients: queued
            .recipients
            .into_iter()
            .map(|row| ListedRecipient {
                address: row.address,
                next_attempt_at: (row.state.0 == RecipientState::Queued).then(|| time(row.next_attempt_at)),
                state: row.state.0.to_string(),
                attempts: row.attempts,
                node: row.lease_node,
                last_reply: row.last_reply,
                updated_at: time(row.updated_at),
            })
            .collect(),
    }
}
