//! What is there already, as the database's own catalogue tells it.

use super::session::Session;
use crate::store::target::Dialect;

/// A column that exists.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) name: String,
    /// Its type in the database's words, in lower case.
    pub(super) kind: String,
    /// Most characters, where the type has such a limit.
    pub(super) length: Option<u64>,
    /// Whether a new row must name it: it takes no null and has no default.
    pub(super) must: bool,
}

/// The columns of a table; none: there is no such table.
pub(super) async fn columns(session: &mut Session, table: &str) -> anyhow::Result<Vec<Found>> {
    let sql = match session.dialect() {
        Dialect::Sqlite => format!(
            "SELECT name || '|' || lower(type) || '||' || (\"notnull\" AND dflt_value IS NULL AND NOT pk) \
             FROM pragma_table_info('{table}')"
        ),
        Dialect::Postgres => format!(
            "SELECT column_name || '|' || data_type || '|' || coalesce(character_maximum_length::text, '') || '|' || \
             (is_nullable = 'NO' AND column_default IS NULL AND is_identity = 'NO' AND is_generated = 'NEVER')::int \
             FROM information_schema.columns WHERE table_schema = current_schema() AND table_name = '{table}'"
        ),
        Dialect::Mysql => format!(
            "SELECT concat(column_name, '|', data_type, '|', coalesce(character_maximum_length, ''), '|', \
             if(is_nullable = 'NO' AND column_default IS NULL AND extra = '', 1, 0)) \
             FROM information_schema.columns WHERE table_schema = database() AND table_name = '{table}'"
        ),
    };
    let rows = session.texts(&sql).await?;
    Ok(rows.iter().filter_map(|row| found(row)).collect())
}

fn found(row: &str) -> Option<Found> {
    let mut parts = row.rsplitn(4, '|');
    let (must, length, kind) = (parts.next()? == "1", parts.next()?.parse().ok(), parts.next()?.to_lowercase());
    Some(Found { name: parts.next()?.to_owned(), kind, length, must })
}

/// The names of a table's indexes.
pub(super) async fn indexes(session: &mut Session, table: &str) -> anyhow::Result<Vec<String>> {
    let sql = match session.dialect() {
        Dialect::Sqlite => format!("SELECT name FROM sqlite_master WHERE type = 'index' AND tbl_name = '{table}'"),
        Dialect::Postgres => format!(
            "SELECT indexname::text FROM pg_indexes WHERE schemaname = current_schema() AND tablename = '{table}'"
        ),
        Dialect::Mysql => format!(
            "SELECT DISTINCT index_name FROM information_schema.statistics \
             WHERE table_schema = database() AND table_name = '{table}'"
        ),
    };
    session.texts(&sql).await
}
