//! Values to statements and rows to values, for each driver.

use sqlx::mysql::{MySqlArguments, MySqlRow};
use sqlx::postgres::{PgArguments, PgRow};
use sqlx::query::Query;
use sqlx::sqlite::{SqliteArguments, SqliteRow};
use sqlx::{MySql, Postgres, Row as _, Sqlite};
use time::{OffsetDateTime, PrimitiveDateTime};
use uuid::Uuid;

use super::error::StoreError;
use crate::clock;
use crate::model::{Column, Store, Value};

/// The values of a row, in the order of [`crate::model::Resource::columns`].
pub type Row = Vec<Value>;

/// A value for a statement, with the type of its column (a null needs it too).
pub(super) type Bound = (Store, Value);

type PgQuery<'q> = Query<'q, Postgres, PgArguments>;
type SqliteQuery<'q> = Query<'q, Sqlite, SqliteArguments>;
type MySqlQuery<'q> = Query<'q, MySql, MySqlArguments>;

pub(super) fn bind_postgres<'q>(query: PgQuery<'q>, (store, value): &Bound) -> PgQuery<'q> {
    match value {
        Value::Null => match store {
            Store::Text | Store::Json => query.bind(None::<String>),
            Store::Int => query.bind(None::<i64>),
            Store::Float => query.bind(None::<f64>),
            Store::Bool => query.bind(None::<bool>),
            Store::Uuid => query.bind(None::<Uuid>),
            Store::Time => query.bind(None::<OffsetDateTime>),
        },
        Value::Text(text) => query.bind(text.clone()),
        Value::Int(number) => query.bind(*number),
        Value::Float(number) => query.bind(*number),
        Value::Bool(flag) => query.bind(*flag),
        Value::Uuid(id) => query.bind(*id),
        Value::Time(at) => query.bind(*at),
        Value::Json(document) => query.bind(document.to_string()),
    }
}

pub(super) fn bind_sqlite<'q>(query: SqliteQuery<'q>, (_, value): &Bound) -> SqliteQuery<'q> {
    match value {
        Value::Null => query.bind(None::<String>),
        Value::Text(text) => query.bind(text.clone()),
        Value::Int(number) => query.bind(*number),
        Value::Float(number) => query.bind(*number),
        Value::Bool(flag) => query.bind(*flag),
        Value::Uuid(id) => query.bind(id.to_string()),
        Value::Time(at) => query.bind(clock::rfc3339(*at)),
        Value::Json(document) => query.bind(document.to_string()),
    }
}

pub(super) fn bind_mysql<'q>(query: MySqlQuery<'q>, (_, value): &Bound) -> MySqlQuery<'q> {
    match value {
        Value::Null => query.bind(None::<String>),
        Value::Text(text) => query.bind(text.clone()),
        Value::Int(number) => query.bind(*number),
        Value::Float(number) => query.bind(*number),
        Value::Bool(flag) => query.bind(*flag),
        Value::Uuid(id) => query.bind(id.to_string()),
        Value::Time(at) => query.bind(PrimitiveDateTime::new(at.date(), at.time())),
        Value::Json(document) => query.bind(document.to_string()),
    }
}

pub(super) fn read_postgres(row: &PgRow, columns: &[Column<'_>]) -> Result<Row, StoreError> {
    let read = |(index, column): (usize, &Column<'_>)| {
        Ok(match column.store {
            Store::Text => row.try_get::<Option<String>, _>(index)?.map(Value::Text),
            Store::Json => row.try_get::<Option<&str>, _>(index)?.map(document).transpose()?,
            Store::Int => row.try_get::<Option<i64>, _>(index)?.map(Value::Int),
            Store::Float => row.try_get::<Option<f64>, _>(index)?.map(Value::Float),
            Store::Bool => row.try_get::<Option<bool>, _>(index)?.map(Value::Bool),
            Store::Uuid => row.try_get::<Option<Uuid>, _>(index)?.map(Value::Uuid),
            Store::Time => row.try_get::<Option<OffsetDateTime>, _>(index)?.map(Value::Time),
        }
        .unwrap_or(Value::Null))
    };
    columns.iter().enumerate().map(read).collect()
}

pub(super) fn read_sqlite(row: &SqliteRow, columns: &[Column<'_>]) -> Result<Row, StoreError> {
    let read = |(index, column): (usize, &Column<'_>)| {
        Ok(match column.store {
            Store::Text => row.try_get::<Option<String>, _>(index)?.map(Value::Text),
            Store::Json => row.try_get::<Option<&str>, _>(index)?.map(document).transpose()?,
            Store::Int => row.try_get::<Option<i64>, _>(index)?.map(Value::Int),
            Store::Float => row.try_get::<Option<f64>, _>(index)?.map(Value::Float),
            Store::Bool => row.try_get::<Option<bool>, _>(index)?.map(Value::Bool),
            Store::Uuid => row.try_get::<Option<&str>, _>(index)?.map(identifier).transpose()?,
            Store::Time => row.try_get::<Option<&str>, _>(index)?.map(moment).transpose()?,
        }
        .unwrap_or(Value::Null))
    };
    columns.iter().enumerate().map(read).collect()
}

pub(super) fn read_mysql(row: &MySqlRow, columns: &[Column<'_>]) -> Result<Row, StoreError> {
    let read = |(index, column): (usize, &Column<'_>)| {
        Ok(match column.store {
            Store::Text => row.try_get::<Option<String>, _>(index)?.map(Value::Text),
            Store::Json => row.try_get::<Option<&str>, _>(index)?.map(document).transpose()?,
            Store::Int => row.try_get::<Option<i64>, _>(index)?.map(Value::Int),
            Store::Float => row.try_get::<Option<f64>, _>(index)?.map(Value::Float),
            Store::Bool => row.try_get::<Option<bool>, _>(index)?.map(Value::Bool),
            Store::Uuid => row.try_get::<Option<&str>, _>(index)?.map(identifier).transpose()?,
            Store::Time => row.try_get::<Option<PrimitiveDateTime>, _>(index)?.map(|at| Value::Time(at.assume_utc())),
        }
        .unwrap_or(Value::Null))
    };
    columns.iter().enumerate().map(read).collect()
}

fn document(text: &str) -> Result<Value, StoreError> {
    serde_json::from_str(text)
        .map(Value::Json)
        .map_err(|error| StoreError::Other(format!("a stored document is no JSON: {error}")))
}

fn identifier(text: &str) -> Result<Value, StoreError> {
    Uuid::try_parse(text)
        .map(Value::Uuid)
        .map_err(|error| StoreError::Other(format!("a stored identifier is no UUID: {error}")))
}

fn moment(text: &str) -> Result<Value, StoreError> {
    clock::parse(text)
        .map(Value::Time)
        .ok_or_else(|| StoreError::Other(format!("a stored timestamp is not RFC 3339: {text}")))
}
