//! Stores a domain type by its text form, so that the domain crates stay free of diesel.

use std::fmt;
use std::str::FromStr;

use diesel::backend::Backend;
use diesel::deserialize::{self, FromSql, FromSqlRow};
use diesel::expression::AsExpression;
use diesel::serialize::{self, Output, ToSql};
use diesel::sql_types::Text;

/// A value that is written with `AsRef<str>` and read back with `FromStr`.
///
/// A row whose text no longer parses is an error of that query, never a silent default.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, AsExpression, FromSqlRow)]
#[diesel(sql_type = Text)]
pub struct AsText<T>(pub T);

impl<T, DB> FromSql<Text, DB> for AsText<T>
where
    DB: Backend,
    String: FromSql<Text, DB>,
    T: FromStr,
    T::Err: fmt::Display,
{
    fn from_sql(raw: DB::RawValue<'_>) -> deserialize::Result<Self> {
        let text = String::from_sql(raw)?;
        match text.parse() {
            Ok(value) => Ok(Self(value)),
            Err(error) => Err(format!("the stored text {text:?} does not parse: {error}").into()),
        }
    }
}

impl<T, DB> ToSql<Text, DB> for AsText<T>
where
    DB: Backend,
    str: ToSql<Text, DB>,
    T: AsRef<str> + fmt::Debug,
{
    fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, DB>) -> serialize::Result {
        <str as ToSql<Text, DB>>::to_sql(self.0.as_ref(), out)
    }
}
