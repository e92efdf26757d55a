//! Writes that share a transaction: all of them are committed, and none takes another down.
//!
//! One write holds the leader back until the others wait, so that they make one group. On SQLite, and on PostgreSQL
//! when `TEST_DATABASE_URL` is set.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{JoinHandle, ThreadId};
use std::time::{Duration, Instant};

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use migrations::schema::accounts;
use migrations::testing::PostgresSchema;
use migrations::{AnyConnection, Error, Pool};

#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("query: {0}")]
    Query(#[from] diesel::result::Error),
    #[error("database: {0}")]
    Database(#[from] Error),
    #[error("changed my mind")]
    ChangedMyMind,
}

/// A database whose leader is busy until it is let go.
struct Busy {
    pool: Pool,
    release: Sender<()>,
    leader: Option<JoinHandle<Result<usize, Failure>>>,
    _folder: tempfile::TempDir,
    _schema: Option<PostgresSchema>,
}

impl Busy {
    fn on(schema: Option<PostgresSchema>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let url = match &schema {
            Some(schema) => schema.url(),
            None => format!("sqlite:{}", folder.path().join("test.sqlite").display()),
        };
        let pool = Pool::open(&url).unwrap();
        let (entered_sender, entered) = channel();
        let (release, wait): (Sender<()>, Receiver<()>) = channel();
        let first = pool.clone();
        let leader = std::thread::spawn(move || {
            let mut is_first_run = true;
            first.write_together_blocking(move |conn| {
                if std::mem::take(&mut is_first_run) {
                    entered_sender.send(()).unwrap();
                    wait.recv().unwrap();
                }
                insert(conn, "leader")
            })
        });
        entered.recv().unwrap();
        Self {
            pool,
            release,
            leader: Some(leader),
            _folder: folder,
            _schema: schema,
        }
    }

    /// SQLite, and PostgreSQL if there is one.
    fn databases() -> Vec<Self> {
        let postgres = PostgresSchema::from_environment().map(|schema| Self::on(Some(schema)));
        std::iter::once(Self::on(None)).chain(postgres).collect()
    }

    /// Writes in a thread of its own.
    fn spawn<T: Send + 'static>(
        &self,
        work: impl FnMut(&mut AnyConnection) -> Result<T, Failure> + Send + 'static,
    ) -> JoinHandle<Result<T, Failure>> {
        let pool = self.pool.clone();
        std::thread::spawn(move || pool.write_together_blocking(work))
    }

    /// Waits until so many writes are there, and lets the leader go.
    fn release(&self, writes: usize) {
        let patience = Instant::now() + Duration::from_secs(60);
        while self.pool.waiting_together() < writes {
            assert!(Instant::now() < patience, "the writes did not come");
            std::thread::sleep(Duration::from_millis(1));
        }
        self.release.send(()).unwrap();
    }

    fn join_leader(&mut self) {
        self.leader.take().unwrap().join().unwrap().unwrap();
    }

    fn accounts(&self) -> Vec<String> {
        self.pool
            .read_blocking::<_, Failure>(|conn| {
                Ok(accounts::table
                    .select(accounts::id)
                    .order(accounts::id.asc())
                    .load(conn)?)
            })
            .unwrap()
    }
}

fn insert(conn: &mut AnyConnection, id: &str) -> Result<usize, Failure> {
    Ok(diesel::insert_into(accounts::table)
        .values((
            accounts::id.eq(id),
            accounts::kind.eq("organization"),
            accounts::name.eq("Example"),
            accounts::created_at.eq(1_i64),
        ))
        .execute(conn)?)
}

fn count(conn: &mut AnyConnection) -> Result<i64, Failure> {
    Ok(accounts::table.count().get_result(conn)?)
}

#[test]
fn those_who_wait_are_committed_together_and_see_each_other() {
    for mut busy in Busy::databases() {
        let writes: Vec<_> = (0..20)
            .map(|number| {
                busy.spawn(move |conn| {
                    insert(conn, &format!("w{number:02}"))?;
                    Ok((std::thread::current().id(), count(conn)?))
                })
            })
            .collect();
        busy.release(20);
        let ran: Vec<(ThreadId, i64)> = writes.into_iter().map(|write| write.join().unwrap().unwrap()).collect();
        // One of them ran all twenty, each after the other.
        assert!(ran.iter().all(|(thread, _)| *thread == ran[0].0), "{ran:?}");
        let mut counts: Vec<i64> = ran.iter().map(|(_, count)| *count).collect();
        counts.sort_unstable();
        assert_eq!(counts, (2..=21).collect::<Vec<_>>());
        busy.join_leader();
        assert_eq!(busy.pool.read_blocking(count).unwrap(), 21);
    }
}

#[test]
fn whoever_refuses_fails_alone_and_leaves_nothing() {
    for mut busy in Busy::databases() {
        let good: Vec<_> = (0..4)
            .map(|number| busy.spawn(move |conn| insert(conn, &format!("g{number}"))))
            .collect();
        // Changes its mind after it has written.
        let fickle = busy.spawn(|conn| {
            insert(conn, "fickle")?;
            Err::<(), _>(Failure::ChangedMyMind)
        });
        // The database refuses, which spoils a transaction of PostgreSQL as a whole.
        let double = busy.spawn(|conn| {
            insert(conn, "double")?;
            insert(conn, "double")
        });
        busy.release(6);
        for write in good {
            assert_eq!(write.join().unwrap().unwrap(), 1);
        }
        assert!(matches!(fickle.join().unwrap(), Err(Failure::ChangedMyMind)));
        assert!(matches!(double.join().unwrap(), Err(Failure::Query(_))));
        busy.join_leader();
        assert_eq!(busy.accounts(), ["g0", "g1", "g2", "g3", "leader"]);
    }
}

#[test]
fn what_only_fails_at_the_commit_fails_alone() {
    // PostgreSQL has no foreign key here that could be put off.
    let mut busy = Busy::on(None);
    let good: Vec<_> = (0..3)
        .map(|number| busy.spawn(move |conn| insert(conn, &format!("g{number}"))))
        .collect();
    let dangling = busy.spawn(|conn| {
        conn.batch_execute(
            "PRAGMA defer_foreign_keys = ON;
             INSERT INTO principals (id, account_id, role, name, created_at)
             VALUES ('p', 'nobody', 'subscriber', 'P', 1);",
        )?;
        Ok(())
    });
    busy.release(4);
    for write in good {
        write.join().unwrap().unwrap();
    }
    assert!(matches!(dangling.join().unwrap(), Err(Failure::Query(_))));
    busy.join_leader();
    assert_eq!(busy.accounts(), ["g0", "g1", "g2", "leader"]);
}

#[test]
fn a_panic_stays_with_its_caller_and_the_others_are_committed() {
    for mut busy in Busy::databases() {
        let writes: Vec<_> = (0..3)
            .map(|number| busy.spawn(move |conn| insert(conn, &format!("w{number}"))))
            .collect();
        let panicking = busy.spawn(|conn| -> Result<(), Failure> {
            // In a transaction of its own, within that of the group.
            conn.transaction(|conn| {
                insert(conn, "panicking")?;
                panic!("a bug")
            })
        });
        busy.release(4);
        let panic = panicking.join().unwrap_err();
        assert_eq!(panic.downcast_ref(), Some(&"a bug"));
        for write in writes {
            assert_eq!(write.join().unwrap().unwrap(), 1);
        }
        busy.join_leader();
        assert_eq!(busy.accounts(), ["leader", "w0", "w1", "w2"]);
        let again = busy.pool.write_together_blocking(|conn| insert(conn, "after"));
        assert_eq!(again.unwrap(), 1);
    }
}

#[test]
fn many_refusals_cost_the_others_one_repetition() {
    for mut busy in Busy::databases() {
        let runs = Arc::new(AtomicUsize::new(0));
        let good: Vec<_> = (0..10)
            .map(|number| {
                let runs = Arc::clone(&runs);
                busy.spawn(move |conn| {
                    runs.fetch_add(1, Ordering::Relaxed);
                    insert(conn, &format!("g{number}"))
                })
            })
            .collect();
        let bad: Vec<_> = (0..30)
            .map(|_| {
                busy.spawn(|conn| {
                    insert(conn, "bad")?;
                    insert(conn, "bad")
                })
            })
            .collect();
        busy.release(40);
        for write in good {
            assert_eq!(write.join().unwrap().unwrap(), 1);
        }
        for write in bad {
            assert!(matches!(write.join().unwrap(), Err(Failure::Query(_))));
        }
        busy.join_leader();
        assert_eq!(busy.accounts().len(), 11);
        assert!(runs.load(Ordering::Relaxed) <= 20, "{runs:?}");
    }
}

#[test]
fn two_processes_on_one_postgresql_write_groups_in_turn() {
    let Some(schema) = PostgresSchema::from_environment() else {
        return;
    };
    // Two pools know as little of each other as two processes. Everybody counts, which conflicts with everybody.
    let pools = [Pool::open(&schema.url()).unwrap(), Pool::open(&schema.url()).unwrap()];
    let writes: Vec<_> = (0..200)
        .map(|number| {
            let pool = pools[number % 2].clone();
            std::thread::spawn(move || {
                let work = move |conn: &mut AnyConnection| {
                    let before = count(conn)?;
                    insert(conn, &format!("w{number:03}"))?;
                    Ok::<_, Failure>(before)
                };
                match number % 5 {
                    0 => pool.write_blocking(work),
                    _ => pool.write_together_blocking(work),
                }
            })
        })
        .collect();
    let mut seen: Vec<i64> = writes.into_iter().map(|write| write.join().unwrap().unwrap()).collect();
    seen.sort_unstable();
    // Nobody saw what another saw: each came after the other.
    assert_eq!(seen, (0..200).collect::<Vec<_>>());
}
