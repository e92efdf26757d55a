//! Group commit: what many connections want to be durable becomes one object and one transaction.
//!
//! Two stages in a row, each taking whatever has gathered while it was busy: bodies are written to the object storage,
//! then rows to the database. Nobody waits for a timer, and one who is alone waits for nobody.
//! A message counts as accepted when its entry is answered with `Ok`, which is after both.

use std::sync::Arc;

use bytes::Bytes;
use migrations::Pool;
use object_store::PutPayload;
use policies::time::Clock;
use tokio::sync::{mpsc, oneshot};

use super::bodies::{Bodies, BodyError};
use super::crash;
use crate::store::queue::{self as store, Outcome, Queued};
use crate::store::queue_submissions::{self as submissions, NewSubmission};

/// What shall be written down together, or not at all.
#[derive(Clone, Debug, Default)]
pub(crate) struct Entry {
    /// New messages with their octets. The rows do not know yet where these will lie.
    pub(crate) messages: Vec<(Queued, Bytes)>,
    pub(crate) outcome: Option<Outcome>,
    /// The request that has brought the messages, if it came by HTTP.
    pub(crate) submission: Option<NewSubmission>,
}

/// Why an entry was not written down.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum NotDurable {
    #[error("the message body could not be stored")]
    Body(#[source] Arc<BodyError>),
    #[error("the queue could not be written")]
    Database(#[source] Arc<CommitError>),
    #[error("the queue has stopped")]
    Stopped,
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum CommitError {
    #[error("the database refused a query")]
    Query(#[from] diesel::result::Error),
    #[error("the database is not available")]
    Database(#[from] migrations::Error),
}

impl NotDurable {
    /// Whether room is what was missing, of whichever of the two.
    pub(crate) fn is_full(&self) -> bool {
        match self {
            Self::Body(_) => true,
            Self::Database(error) => error.is_full(),
            Self::Stopped => false,
        }
    }
}

impl CommitError {
    /// diesel has no kind for it: SQLITE_FULL, and SQLSTATE 53100 of PostgreSQL with the words of the operating system.
    fn is_full(&self) -> bool {
        let mut cause: Option<&dyn std::error::Error> = Some(self);
        while let Some(error) = cause {
            let words = error.to_string();
            if words.contains("disk is full") || words.contains("No space left on device") {
                return true;
            }
            cause = error.source();
        }
        false
    }
}

/// The new messages, with the places of their bodies.
#[derive(Debug, Default)]
pub(crate) struct Written {
    pub(crate) messages: Vec<Queued>,
}

#[derive(Debug)]
struct Waiting {
    entry: Entry,
    done: oneshot::Sender<Result<Written, NotDurable>>,
}

/// The way to durability. Clones share it; when the last one is dropped, both stages end.
#[derive(Clone, Debug)]
pub(crate) struct Committer {
    bodies: mpsc::Sender<Waiting>,
    rows: mpsc::Sender<Vec<Waiting>>,
}

impl Committer {
    pub(crate) fn start(bodies: Bodies, db: Pool, clock: Arc<dyn Clock>, node: String) -> Self {
        let (to_bodies, from_bodies) = mpsc::channel(WAITING);
        let (to_rows, from_rows) = mpsc::channel(WAITING);
        tokio::spawn(write_bodies(from_bodies, to_rows.downgrade(), bodies, node.clone()));
        tokio::spawn(write_rows(from_rows, db, clock, node));
        Self {
            bodies: to_bodies,
            rows: to_rows,
        }
    }

    /// Returns when the entry is durable, or certainly not going to be.
    pub(crate) async fn commit(&self, entry: Entry) -> Result<Written, NotDurable> {
        let (done, written) = oneshot::channel();
        let waiting = Waiting { entry, done };
        let sent = match waiting.entry.messages.is_empty() {
            true => self.rows.send(vec![waiting]).await.is_ok(),
            false => self.bodies.send(waiting).await.is_ok(),
        };
        match sent {
            true => written.await.unwrap_or(Err(NotDurable::Stopped)),
            false => Err(NotDurable::Stopped),
        }
    }
}

async fn write_bodies(
    mut entries: mpsc::Receiver<Waiting>,
    rows: mpsc::WeakSender<Vec<Waiting>>,
    bodies: Bodies,
    node: String,
) {
    let mut number = 0_u64;
    while let Some(first) = entries.recv().await {
        let mut group = vec![first];
        let mut octets = octets_in(&group[0]);
        while group.len() < MOST_ENTRIES && octets < ENOUGH_OCTETS {
            let Ok(next) = entries.try_recv() else { break };
            octets += octets_in(&next);
            group.push(next);
        }
        number += 1;
        let object = format!("{node}-{number:08}.mail");
        let mut parts = Vec::new();
        let mut offset = 0_i64;
        for (queued, body) in group.iter_mut().flat_map(|waiting| &mut waiting.entry.messages) {
            let length = i64::try_from(body.len()).unwrap_or(i64::MAX);
            queued.message.body_object.clone_from(&object);
            queued.message.body_offset = offset;
            queued.message.body_octets = length;
            offset += length;
            parts.push(body.clone());
        }
        crash::point("before bodies");
        match bodies.put(&object, parts.into_iter().collect::<PutPayload>()).await {
            Ok(()) => {
                crash::point("after bodies");
                // The committer holds the sender as long as anybody waits for an answer.
                if let Some(rows) = rows.upgrade() {
                    let _ = rows.send(group).await;
                }
            }
            Err(error) => {
                let error = Arc::new(error);
                tracing::error!(error = %error, cause = ?error.source, messages = group.len(), "message bodies could not be stored");
                for waiting in group {
                    let _ = waiting.done.send(Err(NotDurable::Body(error.clone())));
                }
            }
        }
    }
}

async fn write_rows(mut groups: mpsc::Receiver<Vec<Waiting>>, db: Pool, clock: Arc<dyn Clock>, node: String) {
    while let Some(mut group) = groups.recv().await {
        while group.len() < MOST_ENTRIES {
            let Ok(more) = groups.try_recv() else { break };
            group.extend(more);
        }
        crash::point("before rows");
        let (entries, done): (Vec<Entry>, Vec<_>) =
            group.into_iter().map(|waiting| (waiting.entry, waiting.done)).unzip();
        let entries = Arc::new(entries);
        match write(&db, &clock, &node, entries.clone(), 0..done.len()).await {
            Ok(written) => {
                crash::point("after rows");
                for (done, written) in done.into_iter().zip(written) {
                    let _ = done.send(Ok(written));
                }
            }
            // One of them may be to blame, and the others must not suffer for it. New messages stay together: an object
            // may be deleted as soon as no row needs it, so all rows of one are written at once or never.
            Err(error) => {
                let alone = |entry: &Entry| entry.messages.is_empty() && entries.len() > 1;
                let mut failed = Vec::new();
                for (index, done) in done.into_iter().enumerate() {
                    if entries.get(index).is_some_and(alone) {
                        let one = write(&db, &clock, &node, entries.clone(), index..index + 1).await;
                        let _ = done.send(one.map(|mut written| written.pop().unwrap_or_default()));
                    } else {
                        failed.push(done);
                    }
                }
                for done in failed {
                    let _ = done.send(Err(error.clone()));
                }
            }
        }
    }
}

async fn write(
    db: &Pool,
    clock: &Arc<dyn Clock>,
    node: &str,
    entries: Arc<Vec<Entry>>,
    range: std::ops::Range<usize>,
) -> Result<Vec<Written>, NotDurable> {
    let (node, now) = (node.to_owned(), clock.now());
    let work = move |conn: &mut migrations::AnyConnection| {
        let entries = entries.get(range.clone()).unwrap_or_default();
        let mut written: Vec<Written> = Vec::with_capacity(entries.len());
        for entry in entries {
            // A notice is sent by the one whose finding counted.
            let wanted = match &entry.outcome {
                Some(outcome) => !store::record(conn, &node, outcome, now)?.is_empty(),
                None => true,
            };
            let messages = entry.messages.iter().filter(|_| wanted);
            written.push(Written {
                messages: messages.map(|(queued, _)| queued.clone()).collect(),
            });
        }
        let rows: Vec<Queued> = written.iter().flat_map(|written| &written.messages).cloned().collect();
        store::insert(conn, &rows)?;
        for (entry, written) in entries.iter().zip(&written) {
            if let Some(submission) = &entry.submission {
                submissions::insert(conn, submission, &written.messages)?;
            }
        }
        Ok::<_, CommitError>(written)
    };
    db.write(work).await.map_err(|error| {
        tracing::error!(%error, cause = ?std::error::Error::source(&error), "the queue could not be written");
        NotDurable::Database(Arc::new(error))
    })
}

fn octets_in(waiting: &Waiting) -> usize {
    waiting.entry.messages.iter().map(|(_, body)| body.len()).sum()
}

/// More wait in their connections, which is where back-pressure belongs.
const WAITING: usize = 512;
const MOST_ENTRIES: usize = 512;
/// An object is read in ranges and deleted whole, so it should not grow without need.
const ENOUGH_OCTETS: usize = 8 * 1024 * 1024;

#[cfg(test)]
mod tests {
    use diesel::result::{DatabaseErrorKind, Error as QueryError};

    use super::*;

    #[test]
    fn a_full_disk_is_told_from_other_failures() {
        let query = |words: &str| {
            let error = QueryError::DatabaseError(DatabaseErrorKind::Unknown, Box::new(words.to_owned()));
            NotDurable::Database(Arc::new(CommitError::Query(error))).is_full()
        };
        assert!(query("database or disk is full"));
        assert!(query("could not extend file \"base/5/16402\": No space left on device"));
        assert!(!query("database is locked"));
        assert!(!NotDurable::Database(Arc::new(CommitError::Query(QueryError::NotFound))).is_full());
    }
}
