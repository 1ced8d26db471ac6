//! What can go wrong at the database, as the callers need to tell it apart.

use std::fmt;

use sqlx::error::DatabaseError;
use sqlx::mysql::MySqlDatabaseError;

/// A failed database call.
#[derive(Debug)]
pub enum StoreError {
    /// The database does not answer (yet, or any more): worth trying again.
    Unavailable(String),
    /// A unique index refused the row: the name of the index, or `table.column` where the database says that.
    Unique(String),
    /// The server shuts down.
    Closed,
    /// Anything else: a bug, or a table that somebody changed.
    Other(String),
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unavailable(text) => write!(f, "the database is not available: {text}"),
            Self::Unique(text) => write!(f, "a unique index refused the row: {text}"),
            Self::Closed => write!(f, "the server is shutting down"),
            Self::Other(text) => write!(f, "{text}"),
        }
    }
}

impl std::error::Error for StoreError {}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        use sqlx::Error as E;
        match &error {
            E::Io(_) | E::Tls(_) | E::Protocol(_) | E::PoolTimedOut | E::PoolClosed | E::WorkerCrashed => {
                Self::Unavailable(error.to_string())
            }
            E::Database(db) if db.is_unique_violation() => {
                Self::Unique(db.constraint().map_or_else(|| refused(db.message()), str::to_owned))
            }
            E::Database(db) if transient(&**db) => Self::Unavailable(error.to_string()),
            _ => Self::Other(error.to_string()),
        }
    }
}

/// What a message names: `UNIQUE constraint failed: table.column` in `SQLite`, `Duplicate entry '...' for key 'index'` in
/// `MariaDB` (MySQL writes `table.index`), where the entry is the client's.
fn refused(message: &str) -> String {
    if let Some((_, key)) = message.rsplit_once(" for key ") {
        let key = key.trim_matches('\'');
        return key.rsplit('.').next().unwrap_or(key).to_owned();
    }
    message.rsplit(": ").next().unwrap_or(message).to_owned()
}

/// Whether the database says "not now": SQLSTATE classes 08 (connection), 53 (resources), 57P (shutdown, starting up), 40
/// (deadlock or serialisation failure); `SQLite`'s BUSY (5) and LOCKED (6) with their extended forms; and those of MySQL's
/// own numbers that have no class: 1205 (lock wait timeout), 1203 and 1226 (too many connections of one account), 1290
/// and 1836 (read only, as while roles change).
fn transient(error: &(dyn DatabaseError + 'static)) -> bool {
    if let Some(mysql) = error.try_downcast_ref::<MySqlDatabaseError>()
        && matches!(mysql.number(), 1203 | 1205 | 1226 | 1290 | 1836)
    {
        return true;
    }
    error.code().is_some_and(|code| {
        if code.len() == 5 {
            return ["08", "53", "57P", "40"].iter().any(|class| code.starts_with(class));
        }
        code.parse::<u32>().is_ok_and(|code| matches!(code & 0xff, 5 | 6))
    })
}

/// Whether a failed start may go well later: what is transient, and an account or a database that is not made yet, as
/// when the database's container comes up beside this one.
pub fn may_pass(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| match cause.downcast_ref::<sqlx::Error>() {
        Some(sqlx::Error::Io(_) | sqlx::Error::Tls(_) | sqlx::Error::Protocol(_)) => true,
        Some(sqlx::Error::Database(db)) => {
            // PostgreSQL: no such database, wrong password, no such account. MySQL: access denied, no such database.
            transient(&**db)
                || match db.try_downcast_ref::<MySqlDatabaseError>() {
                    Some(mysql) => matches!(mysql.number(), 1044 | 1045 | 1049),
                    None => matches!(db.code().as_deref(), Some("3D000" | "28P01" | "28000")),
                }
        }
        Some(_) => false,
        None => matches!(cause.downcast_ref::<StoreError>(), Some(StoreError::Unavailable(_))),
    })
}
