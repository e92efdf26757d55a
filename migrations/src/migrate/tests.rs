//! Up, down, up again; and both databases against `schema.rs`.

use std::collections::BTreeMap;

use diesel::prelude::*;
use diesel::sql_types;

use super::*;
use crate::connection::{Purpose, Session};
use crate::testing::PostgresSchema;
use crate::url::Location;

#[test]
fn sqlite_goes_up_down_and_up() {
    let folder = tempfile::tempdir().unwrap();
    let mut session = sqlite(&folder);
    let AnyConnection::Sqlite(connection) = &mut session.connection else {
        unreachable!("opened as SQLite")
    };
    connection.revert_all_migrations(SQLITE).unwrap();
    assert_eq!(sqlite_columns(connection), BTreeMap::new());
    connection.run_pending_migrations(SQLITE).unwrap();
    assert_eq!(sqlite_columns(connection), declared(as_sqlite));
}

#[test]
fn postgres_goes_up_down_and_up() {
    let Some(schema) = PostgresSchema::from_environment() else {
        return;
    };
    let mut session = postgres(&schema);
    let AnyConnection::Postgres(connection) = &mut session.connection else {
        unreachable!("opened as PostgreSQL")
    };
    connection.revert_all_migrations(POSTGRES).unwrap();
    assert_eq!(postgres_columns(connection), BTreeMap::new());
    connection.run_pending_migrations(POSTGRES).unwrap();
    assert_eq!(postgres_columns(connection), declared(as_postgres));
}

#[test]
fn both_databases_have_the_same_migrations() {
    assert_eq!(folders("sqlite"), folders("postgres"));
    assert!(folders("sqlite").contains(&"0001_certificate_authority".to_owned()));
}

#[test]
fn every_sqlite_table_is_strict() {
    let folder = tempfile::tempdir().unwrap();
    let mut session = sqlite(&folder);
    #[derive(QueryableByName)]
    struct Loose {
        #[diesel(sql_type = sql_types::Text)]
        name: String,
    }
    let loose: Vec<Loose> = diesel::sql_query(
        "SELECT name FROM pragma_table_list WHERE type = 'table' AND strict = 0 \
         AND name NOT LIKE 'sqlite_%' AND name <> '__diesel_schema_migrations'",
    )
    .load(&mut session.connection)
    .unwrap();
    let loose: Vec<String> = loose.into_iter().map(|table| table.name).collect();
    assert_eq!(loose, Vec::<String>::new());
}

fn sqlite(folder: &tempfile::TempDir) -> Session {
    migrated(&Location::parse("sqlite:test.sqlite", folder.path()).unwrap())
}

fn postgres(schema: &PostgresSchema) -> Session {
    migrated(&Location::parse(&schema.url(), std::path::Path::new("")).unwrap())
}

fn migrated(location: &Location) -> Session {
    let mut session = Session::open(location, Purpose::Write).unwrap();
    run_pending(&mut session.connection, "test").unwrap();
    session
}

fn folders(database: &str) -> Vec<String> {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(database);
    let mut names: Vec<String> = std::fs::read_dir(path)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// Table to columns in their order, each as `name TYPE` with ` NOT NULL` where that is so.
type Tables = BTreeMap<String, Vec<String>>;

#[derive(QueryableByName)]
struct Column {
    #[diesel(sql_type = sql_types::Text)]
    table_name: String,
    #[diesel(sql_type = sql_types::Text)]
    column_name: String,
    #[diesel(sql_type = sql_types::Text)]
    data_type: String,
    #[diesel(sql_type = sql_types::Text)]
    is_nullable: String,
}

fn tables(columns: Vec<Column>) -> Tables {
    let mut tables = Tables::new();
    for column in columns {
        let not_null = if column.is_nullable == "YES" { "" } else { " NOT NULL" };
        let line = format!("{} {}{not_null}", column.column_name, column.data_type);
        tables.entry(column.table_name).or_default().push(line);
    }
    tables
}

fn sqlite_columns(connection: &mut SqliteConnection) -> Tables {
    tables(
        diesel::sql_query(
            "SELECT tables.name AS table_name, columns.name AS column_name, columns.type AS data_type, \
             CASE columns.\"notnull\" WHEN 1 THEN 'NO' ELSE 'YES' END AS is_nullable \
             FROM sqlite_schema AS tables, pragma_table_info(tables.name) AS columns \
             WHERE tables.type = 'table' AND tables.name NOT LIKE 'sqlite_%' \
             AND tables.name <> '__diesel_schema_migrations' ORDER BY tables.name, columns.cid",
        )
        .load(connection)
        .unwrap(),
    )
}

fn postgres_columns(connection: &mut PgConnection) -> Tables {
    tables(
        diesel::sql_query(
            "SELECT table_name::text, column_name::text, data_type::text, is_nullable::text \
             FROM information_schema.columns WHERE table_schema = current_schema() \
             AND table_name <> '__diesel_schema_migrations' ORDER BY table_name, ordinal_position",
        )
        .load(connection)
        .unwrap(),
    )
}

fn as_sqlite(diesel_type: &str) -> &'static str {
    match diesel_type {
        "Text" => "TEXT",
        "BigInt" | "Integer" | "Bool" => "INTEGER",
        "Binary" => "BLOB",
        other => panic!("schema.rs uses {other}, which not both databases know"),
    }
}

fn as_postgres(diesel_type: &str) -> &'static str {
    match diesel_type {
        "Text" => "text",
        "BigInt" => "bigint",
        "Integer" => "integer",
        "Bool" => "boolean",
        "Binary" => "bytea",
        other => panic!("schema.rs uses {other}, which not both databases know"),
    }
}

/// The tables as the text of `schema.rs` declares them, which is the same text that the macro reads.
fn declared(database_type: fn(&str) -> &'static str) -> Tables {
    let mut tables = Tables::new();
    for block in include_str!("../schema.rs").split("diesel::table! {").skip(1) {
        let mut lines = block.lines().map(str::trim).filter(|line| !line.is_empty());
        let name = lines.next().and_then(|line| line.split(' ').next()).unwrap();
        let columns = lines
            .map_while(|line| line.strip_suffix(',')?.split_once(" -> "))
            .map(|(column, diesel_type)| {
                match diesel_type
                    .strip_prefix("Nullable<")
                    .and_then(|inner| inner.strip_suffix('>'))
                {
                    Some(inner) => format!("{column} {}", database_type(inner)),
                    None => format!("{column} {} NOT NULL", database_type(diesel_type)),
                }
            })
            .collect();
        tables.insert(name.to_owned(), columns);
    }
    tables
}
