//! What can go wrong at the database, as the callers need to tell it apart.

use std::fmt;

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
            E::Database(db) if transient(db.code().as_deref()) => Self::Unavailable(error.to_string()),
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

/// Codes by which a database says "not now": SQLSTATE classes 08 (connection), 53 (resources), 57P (shutdown, starting
/// up), 40 (deadlock or serialisation failure), and `SQLite`'s BUSY (5) and LOCKED (6) with their extended forms.
fn transient(code: Option<&str>) -> bool {
    code.is_some_and(|code| {
        if code.len() == 5 {
            return ["08", "53", "57P", "40"].iter().any(|class| code.starts_with(class));
        }
        code.parse::<u32>().is_ok_and(|code| matches!(code & 0xff, 5 | 6))
    })
}
