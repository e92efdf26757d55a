//! Both databases, opened, migrated, raced and refused. PostgreSQL takes part when `TEST_DATABASE_URL` is set.

use diesel::prelude::*;
use migrations::schema::{accounts, audit_log};
use migrations::testing::PostgresSchema;
use migrations::{AnyConnection, Error, Pool};

#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("query")]
    Query(#[from] diesel::result::Error),
    #[error("database")]
    Database(#[from] Error),
    #[error("changed my mind")]
    ChangedMyMind,
}

struct Database {
    url: String,
    _folder: tempfile::TempDir,
    _schema: Option<PostgresSchema>,
}

/// A fresh database of each kind there is.
fn databases() -> Vec<Database> {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}", folder.path().join("test.sqlite").display());
    let mut databases = vec![Database {
        url,
        _folder: folder,
        _schema: None,
    }];
    if let Some(schema) = PostgresSchema::from_environment() {
        let folder = tempfile::tempdir().unwrap();
        databases.push(Database {
            url: schema.url(),
            _folder: folder,
            _schema: Some(schema),
        });
    }
    databases
}

fn insert_account(connection: &mut AnyConnection, id: &str) -> QueryResult<usize> {
    diesel::insert_into(accounts::table)
        .values((
            accounts::id.eq(id),
            accounts::kind.eq("organization"),
            accounts::name.eq("Example"),
            accounts::created_at.eq(1_i64),
        ))
        .execute(connection)
}

fn count_accounts(pool: &Pool) -> i64 {
    pool.read_blocking::<_, Failure>(|connection| Ok(accounts::table.count().get_result(connection)?))
        .unwrap()
}

#[test]
fn nodes_that_start_together_migrate_once() {
    for database in databases() {
        let starting: Vec<_> = (0..8)
            .map(|_| {
                let url = database.url.clone();
                std::thread::spawn(move || Pool::open(&url))
            })
            .collect();
        for node in starting {
            let pool = node.join().unwrap().unwrap();
            assert_eq!(count_accounts(&pool), 0);
        }
    }
}

#[test]
fn what_was_written_is_there_after_opening_again() {
    for database in databases() {
        let pool = Pool::open(&database.url).unwrap();
        pool.write_blocking::<_, Failure>(|connection| Ok(insert_account(connection, "a")?))
            .unwrap();
        drop(pool);
        assert_eq!(count_accounts(&Pool::open(&database.url).unwrap()), 1);
    }
}

#[test]
fn a_failed_write_leaves_nothing() {
    for database in databases() {
        let pool = Pool::open(&database.url).unwrap();
        let result = pool.write_blocking::<(), _>(|connection| {
            insert_account(connection, "a")?;
            Err(Failure::ChangedMyMind)
        });
        assert!(matches!(result, Err(Failure::ChangedMyMind)));
        assert_eq!(count_accounts(&pool), 0);
    }
}

#[test]
fn a_read_cannot_write() {
    for database in databases() {
        let pool = Pool::open(&database.url).unwrap();
        let result = pool.read_blocking::<_, Failure>(|connection| Ok(insert_account(connection, "a")?));
        assert!(matches!(result, Err(Failure::Query(_))), "{result:?}");
        assert_eq!(count_accounts(&pool), 0);
        // On PostgreSQL the same connection serves a write next: it must be allowed to again.
        pool.write_blocking::<_, Failure>(|connection| Ok(insert_account(connection, "a")?))
            .unwrap();
    }
}

#[test]
fn a_row_without_its_account_is_refused() {
    use migrations::schema::principals;
    for database in databases() {
        let pool = Pool::open(&database.url).unwrap();
        let result = pool.write_blocking::<_, Failure>(|connection| {
            Ok(diesel::insert_into(principals::table)
                .values((
                    principals::id.eq("p"),
                    principals::account_id.eq("nobody"),
                    principals::role.eq("subscriber"),
                    principals::name.eq("P"),
                    principals::created_at.eq(1_i64),
                ))
                .execute(connection)?)
        });
        assert!(
            matches!(
                result,
                Err(Failure::Query(diesel::result::Error::DatabaseError(
                    diesel::result::DatabaseErrorKind::ForeignKeyViolation,
                    _
                )))
            ),
            "{result:?}"
        );
    }
}

/// Reads the head of the log and appends to it, as the audit log does: the pattern that loses updates when
/// transactions are not serialized.
fn append(connection: &mut AnyConnection) -> Result<(), Failure> {
    let head: Option<i64> = audit_log::table
        .select(diesel::dsl::max(audit_log::sequence))
        .first(connection)?;
    diesel::insert_into(audit_log::table)
        .values((
            audit_log::sequence.eq(head.unwrap_or(0) + 1),
            audit_log::at.eq(1_i64),
            audit_log::actor.eq("test"),
            audit_log::action.eq("test"),
            audit_log::details.eq("{}"),
            audit_log::previous_hash.eq(vec![0_u8; 32]),
            audit_log::hash.eq(vec![0_u8; 32]),
        ))
        .execute(connection)?;
    Ok(())
}

#[test]
fn concurrent_appends_of_two_nodes_all_succeed() {
    for database in databases() {
        let nodes = [Pool::open(&database.url).unwrap(), Pool::open(&database.url).unwrap()];
        let writers: Vec<_> = (0..6)
            .map(|index| {
                let pool = nodes[index % 2].clone();
                std::thread::spawn(move || {
                    for _ in 0..10 {
                        pool.write_blocking(append).unwrap();
                    }
                })
            })
            .collect();
        for writer in writers {
            writer.join().unwrap();
        }
        let count = nodes[0]
            .read_blocking::<i64, Failure>(|connection| Ok(audit_log::table.count().get_result(connection)?))
            .unwrap();
        assert_eq!(count, 60);
    }
}

#[tokio::test]
async fn async_calls_reach_the_database_and_hand_errors_back() {
    for database in databases() {
        let url = database.url.clone();
        let pool = tokio::task::spawn_blocking(move || Pool::open(&url))
            .await
            .unwrap()
            .unwrap();
        let id = String::from("a");
        pool.write::<_, Failure, _>(move |connection| Ok(insert_account(connection, &id)?))
            .await
            .unwrap();
        let names: Vec<String> = pool
            .read::<_, Failure, _>(|connection| Ok(accounts::table.select(accounts::name).load(connection)?))
            .await
            .unwrap();
        assert_eq!(names, ["Example"]);
        let again = pool
            .write::<_, Failure, _>(|connection| Ok(insert_account(connection, "a")?))
            .await;
        assert!(matches!(
            again,
            Err(Failure::Query(diesel::result::Error::DatabaseError(
                diesel::result::DatabaseErrorKind::UniqueViolation,
                _
            )))
        ));
    }
}

#[tokio::test]
async fn a_panic_in_a_write_rolls_back_and_leaves_the_pool_usable() {
    for database in databases() {
        let pool = Pool::open(&database.url).unwrap();
        let panicking = pool.clone();
        let outcome = tokio::spawn(async move {
            panicking
                .write::<(), Failure, _>(|connection| {
                    insert_account(connection, "a")?;
                    panic!("on purpose");
                })
                .await
        })
        .await;
        assert!(outcome.unwrap_err().is_panic());
        assert_eq!(count_accounts(&pool), 0);
        pool.write_blocking::<_, Failure>(|connection| Ok(insert_account(connection, "a")?))
            .unwrap();
    }
}

#[test]
fn a_newer_schema_is_refused() {
    for database in databases() {
        let pool = Pool::open(&database.url).unwrap();
        pool.write_blocking::<_, Failure>(|connection| {
            diesel::sql_query("INSERT INTO __diesel_schema_migrations (version) VALUES ('9999')")
                .execute(connection)?;
            Ok(())
        })
        .unwrap();
        drop(pool);
        let error = Pool::open(&database.url).unwrap_err();
        assert!(
            matches!(&error, Error::NewerSchema { version, .. } if version == "9999"),
            "{error}"
        );
        assert!(!error.is_temporary());
        assert!(error.to_string().contains("made by a newer program"), "{error}");
    }
}

#[test]
fn an_unknown_scheme_is_refused() {
    for url in ["mysql://localhost/ca", "ca.sqlite"] {
        let error = Pool::open(url).unwrap_err();
        assert!(matches!(error, Error::UnknownScheme { .. }), "{error}");
    }
}

#[test]
fn an_unreachable_server_is_temporary_and_named_without_its_password() {
    // A port that was free a moment ago: nobody listens.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let error = Pool::open(&format!("postgres://ca:secret@127.0.0.1:{port}/ca")).unwrap_err();
    assert!(matches!(error, Error::Unreachable { .. }), "{error}");
    assert!(error.is_temporary());
    assert!(
        error
            .to_string()
            .contains(&format!("postgres://ca@127.0.0.1:{port}/ca")),
        "{error}"
    );
    assert!(!format!("{error} {error:?}").contains("secret"));
}

#[test]
fn a_folder_that_is_not_there_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("missing").join("ca.sqlite");
    let error = Pool::open(&format!("sqlite:{}", path.display())).unwrap_err();
    assert!(
        matches!(&error, Error::File { path: named, .. } if *named == path),
        "{error}"
    );
}

#[test]
fn a_file_that_is_no_database_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(
        folder.path().join("ca.sqlite"),
        "Dear diary, this is not a database at all.\n".repeat(100),
    )
    .unwrap();
    let error = Pool::open_in(folder.path(), "sqlite:ca.sqlite").unwrap_err();
    assert!(
        matches!(error, Error::Settings { .. } | Error::Migration { .. }),
        "{error}"
    );
}

#[cfg(unix)]
#[test]
fn the_file_is_readable_by_its_owner_only() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let pool = Pool::open_in(folder.path(), "sqlite:ca.sqlite").unwrap();
    pool.write_blocking::<_, Failure>(|connection| Ok(insert_account(connection, "a")?))
        .unwrap();
    for entry in std::fs::read_dir(folder.path()).unwrap() {
        let entry = entry.unwrap();
        assert_eq!(
            entry.metadata().unwrap().permissions().mode() & 0o777,
            0o600,
            "{:?}",
            entry.file_name()
        );
    }
}
