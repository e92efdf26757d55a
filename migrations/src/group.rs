//! Several writes in one transaction, so that one flush to the disk serves them all (group commit).
//!
//! Whoever comes while nobody leads becomes the leader: it takes all that waits, runs one after the other in one
//! transaction and tells each what came of it, after the commit. Those who come meanwhile are the next group, and one
//! of them leads it. No thread is kept for this and nobody waits for a timer, so a single write is as fast as alone.

use std::sync::mpsc::{Sender, channel};
use std::sync::{Mutex, MutexGuard, PoisonError};

use diesel::r2d2;
use diesel::result::Error as QueryError;

use crate::connection::{Connector, Purpose, Session};
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
    /// It fails alone: when `work` returns an error, or the transaction of the group cannot be committed, the others
    /// are run again without it. So `work` may run several times, and only what its last run did remains.
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
                Ok(Message::Outcome(outcome)) => return outcome,
                Ok(Message::Lead) => self.lead(pool, database),
                // The leader panicked in somebody's work, and everything was rolled back.
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
        // Hands over even when somebody's work panics.
        let _handover = Handover(self);
        let mut jobs = {
            let mut state = self.state();
            let count = state.waiting.len().min(MOST_TOGETHER);
            state.waiting.drain(..count).collect::<Vec<_>>()
        };
        match pool.get() {
            Ok(mut session) => run(&mut session, &mut jobs),
            Err(error) => {
                for job in &mut jobs {
                    job.fail(Error::GroupLost {
                        database: database.to_owned(),
                        reason: format!("no connection became free in time: {error}"),
                    });
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

/// Together if possible; whoever stands in the way of the others is run alone afterwards.
fn run(session: &mut Session, jobs: &mut [Box<dyn Job>]) {
    let mut together: Vec<usize> = (0..jobs.len()).collect();
    let mut alone = Vec::new();
    while together.len() > 1 && alone.len() < MOST_REGROUPINGS {
        let result = session.transaction(Purpose::Write, |conn| {
            for number in &together {
                // The numbers are indices of `jobs`.
                if let Some(job) = jobs.get_mut(*number)
                    && job.run(conn) == Ran::Refused
                {
                    return Err(Stop::Refused(*number));
                }
            }
            Ok(())
        });
        match result {
            Ok(()) => together.clear(),
            Err(Stop::Refused(refused)) => {
                together.retain(|number| *number != refused);
                alone.push(refused);
            }
            // Whose fault it is that the whole cannot be committed comes out when each is run alone.
            Err(Stop::Query) => break,
        }
    }
    for number in together.into_iter().chain(alone) {
        if let Some(job) = jobs.get_mut(number) {
            job.run_alone(session);
        }
    }
}

/// Why the transaction of a group was given up.
enum Stop {
    Refused(usize),
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
    Refused,
}

enum Message<T, E> {
    Outcome(Result<T, E>),
    Lead,
}

struct Waiting<T, E, F> {
    work: F,
    outcome: Option<Result<T, E>>,
    sender: Sender<Message<T, E>>,
}

/// A [`Waiting`] whatever it returns.
trait Job: Send {
    fn run(&mut self, conn: &mut AnyConnection) -> Ran;
    fn run_alone(&mut self, session: &mut Session);
    fn fail(&mut self, error: Error);
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
        let outcome = (self.work)(conn);
        let ran = match outcome {
            Ok(_) => Ran::Done,
            Err(_) => Ran::Refused,
        };
        self.outcome = Some(outcome);
        ran
    }

    fn run_alone(&mut self, session: &mut Session) {
        // What an earlier run said was rolled back.
        self.outcome = None;
        self.outcome = Some(session.transaction(Purpose::Write, &mut self.work));
    }

    fn fail(&mut self, error: Error) {
        self.outcome = Some(Err(error.into()));
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
/// With more refusals than this in one group, everybody is run alone.
const MOST_REGROUPINGS: usize = 8;
