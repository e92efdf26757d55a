//! Several writes in one transaction, so that one flush to the disk serves them all (group commit).
//!
//! Whoever comes while nobody leads becomes the leader: it takes all that waits, runs one after the other in one
//! transaction and tells each what came of it, after the commit. Those who come meanwhile are the next group, and one
//! of them leads it. No thread is kept for this and nobody waits for a timer, so a single write is as fast as alone.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Sender, channel};
use std::sync::{Mutex, MutexGuard, PoisonError};

use diesel::connection::TransactionManager;
use diesel::r2d2;
use diesel::result::Error as QueryError;

use crate::connection::{Connector, Manager, Session};
use crate::{AnyConnection, Error};

/// The writes to one database that wait to be committed together.
#[derive(Default)]
pub(crate) struct Group(Mutex<State>);

#[derive(Default)]
struct State {
    waiting: Vec<Box<dyn Job>>,
    /// Whether somebody is at work, or was told to go to work.
    is_led: bool,
}

impl std::fmt::Debug for Group {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Group").finish_non_exhaustive()
    }
}

impl Group {
    /// Runs `work` in a transaction that it may share with others, and returns after the commit.
    ///
    /// It fails alone: what it wrote before it returned an error is rolled back to a savepoint, and when the transaction of
    /// the group cannot be committed, each is run in one of its own. So `work` may run several times, and only what its
    /// last run did remains. When it panics, its caller does.
    pub(crate) fn write<T, E, F>(&self, pool: &r2d2::Pool<Connector>, database: &str, work: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<QueryError> + From<Error> + Send + 'static,
        F: FnMut(&mut AnyConnection) -> Result<T, E> + Send + 'static,
    {
        let (sender, receiver) = channel();
        let job = Box::new(Waiting {
            work,
            outcome: None,
            is_over: false,
            sender,
        });
        let leads = {
            let mut state = self.state();
            state.waiting.push(job);
            !std::mem::replace(&mut state.is_led, true)
        };
        if leads {
            self.lead(pool, database);
        }
        loop {
            match receiver.recv() {
                Ok(Message::Outcome(Outcome::Returned(result))) => return result,
                Ok(Message::Outcome(Outcome::Panicked(panic))) => resume_unwind(panic),
                Ok(Message::Lead) => self.lead(pool, database),
                // The leader's thread ended without a word: nothing was committed.
                Err(_) => {
                    return Err(Error::GroupLost {
                        database: database.to_owned(),
                        reason: "the thread that wrote for several callers was stopped".to_owned(),
                    }
                    .into());
                }
            }
        }
    }

    /// How many wait for the leader.
    pub(crate) fn waiting(&self) -> usize {
        self.state().waiting.len()
    }

    /// Works off what waits now, and hands over.
    fn lead(&self, pool: &r2d2::Pool<Connector>, database: &str) {
        // Hands over even when this thread panics.
        let _handover = Handover(self);
        let mut jobs = {
            let mut state = self.state();
            let count = state.waiting.len().min(MOST_TOGETHER);
            state.waiting.drain(..count).collect::<Vec<_>>()
        };
        // A panic costs the connection: what it left undone is done on another one.
        while jobs.iter().any(|job| !job.is_over()) {
            match pool.get() {
                Ok(mut session) => run(&mut session, &mut jobs),
                Err(error) => {
                    for job in jobs.iter_mut().filter(|job| !job.is_over()) {
                        job.fail(Error::GroupLost {
                            database: database.to_owned(),
                            reason: format!("no connection became free in time: {error}"),
                        });
                    }
                }
            }
        }
        for job in jobs {
            job.tell();
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing is called with the lock held that could leave the state half changed.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Makes the first of those who wait the next leader.
struct Handover<'a>(&'a Group);

impl Drop for Handover<'_> {
    fn drop(&mut self) {
        let mut state = self.0.state();
        while let Some(next) = state.waiting.first() {
            if next.appoint() {
                return;
            }
            // Its thread is gone, and nobody waits for what would come of it.
            state.waiting.remove(0);
        }
        state.is_led = false;
    }
}

/// Brings every job to its end, or stops after a panic.
fn run(session: &mut Session, jobs: &mut [Box<dyn Job>]) {
    let mut jobs: Vec<_> = jobs.iter_mut().filter(|job| !job.is_over()).collect();
    if jobs.len() > 1 {
        // 1. Mostly nobody fails, and nothing but the jobs is sent to the database.
        // 2. Somebody did: once more, with a savepoint before each, so that one failure costs the others one repetition
        //    and a hundred cost no more.
        for isolation in [Isolation::None, Isolation::Savepoints] {
            match run_together(session, &mut jobs, isolation) {
                Ok(()) => {
                    for job in jobs {
                        job.end();
                    }
                    return;
                }
                Err(Stop::Failed) => {}
                Err(Stop::Panicked) => return session.spoil(),
                Err(Stop::Query) => break,
            }
        }
    }
    // 3. Whose fault it is that the whole cannot be committed comes out when each is run alone.
    for job in jobs {
        if job.run_alone(session) == Ran::Panicked {
            return session.spoil();
        }
    }
}

fn run_together(session: &mut Session, jobs: &mut [&mut Box<dyn Job>], isolation: Isolation) -> Result<(), Stop> {
    let conflict = session.conflict();
    session.transaction_alone(|conn| {
        for job in jobs.iter_mut() {
            if isolation == Isolation::Savepoints {
                Manager::begin_transaction(conn)?;
            }
            match (job.run(conn), isolation) {
                (Ran::Panicked, _) => return Err(Stop::Panicked),
                // The server gave up the whole transaction, whatever this job makes of it: all are run again.
                (Ran::Failed, _) if conflict.load(Ordering::Relaxed) => return Err(Stop::Query),
                (Ran::Failed, Isolation::None) => return Err(Stop::Failed),
                (Ran::Done, Isolation::None) => {}
                (Ran::Failed, Isolation::Savepoints) => Manager::rollback_transaction(conn)?,
                (Ran::Done, Isolation::Savepoints) => Manager::commit_transaction(conn)?,
            }
        }
        Ok(())
    })
}

/// Whether a job that fails takes the transaction of the others with it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Isolation {
    None,
    Savepoints,
}

/// Why the transaction of a group was given up.
enum Stop {
    Failed,
    Panicked,
    Query,
}

impl From<QueryError> for Stop {
    fn from(_: QueryError) -> Self {
        Self::Query
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Ran {
    Done,
    Failed,
    Panicked,
}

enum Message<T, E> {
    Outcome(Outcome<T, E>),
    Lead,
}

enum Outcome<T, E> {
    Returned(Result<T, E>),
    Panicked(Box<dyn Any + Send>),
}

struct Waiting<T, E, F> {
    work: F,
    /// Of the last run, which may have been rolled back since.
    outcome: Option<Outcome<T, E>>,
    /// Whether the outcome is final.
    is_over: bool,
    sender: Sender<Message<T, E>>,
}

/// A [`Waiting`] whatever it returns.
trait Job: Send {
    fn run(&mut self, conn: &mut AnyConnection) -> Ran;
    fn run_alone(&mut self, session: &mut Session) -> Ran;
    fn fail(&mut self, error: Error);
    fn is_over(&self) -> bool;
    /// The outcome of the last run is final.
    fn end(&mut self);
    /// Ends the wait of the caller.
    fn tell(self: Box<Self>);
    /// Asks the caller to lead. `false` when it is gone.
    fn appoint(&self) -> bool;
}

impl<T, E, F> Job for Waiting<T, E, F>
where
    T: Send + 'static,
    E: From<QueryError> + From<Error> + Send + 'static,
    F: FnMut(&mut AnyConnection) -> Result<T, E> + Send + 'static,
{
    fn run(&mut self, conn: &mut AnyConnection) -> Ran {
        // Whatever the panic left half done is not looked at again: neither `work` nor the connection.
        match catch_unwind(AssertUnwindSafe(|| (self.work)(conn))) {
            Ok(result) => {
                let ran = match result {
                    Ok(_) => Ran::Done,
                    Err(_) => Ran::Failed,
                };
                self.outcome = Some(Outcome::Returned(result));
                ran
            }
            Err(panic) => {
                self.outcome = Some(Outcome::Panicked(panic));
                self.is_over = true;
                Ran::Panicked
            }
        }
    }

    fn run_alone(&mut self, session: &mut Session) -> Ran {
        let result = catch_unwind(AssertUnwindSafe(|| session.transaction_alone(&mut self.work)));
        self.is_over = true;
        match result {
            Ok(result) => {
                self.outcome = Some(Outcome::Returned(result));
                Ran::Done
            }
            Err(panic) => {
                self.outcome = Some(Outcome::Panicked(panic));
                Ran::Panicked
            }
        }
    }

    fn fail(&mut self, error: Error) {
        self.outcome = Some(Outcome::Returned(Err(error.into())));
        self.is_over = true;
    }

    fn is_over(&self) -> bool {
        self.is_over
    }

    fn end(&mut self) {
        self.is_over = true;
    }

    fn tell(self: Box<Self>) {
        if let Some(outcome) = self.outcome {
            // Nobody listens any more when the caller's thread was stopped; the database has it all the same.
            let _ = self.sender.send(Message::Outcome(outcome));
        }
    }

    fn appoint(&self) -> bool {
        self.sender.send(Message::Lead).is_ok()
    }
}

/// Bounds how long one transaction keeps other processes waiting; a group of this size takes some 50 ms.
const MOST_TOGETHER: usize = 256;
