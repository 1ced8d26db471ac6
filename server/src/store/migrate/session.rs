//! The connection that migrates, and its lock.

use anyhow::Context as _;
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, MySqlConnection, PgConnection, Row as _, SqliteConnection};
use sqlx::{ConnectOptions as _, TypeInfo as _, ValueRef as _};

use crate::store::error::StoreError;
use crate::store::target::{Dialect, Target};

enum Connection {
    Sqlite(SqliteConnection),
    Postgres(PgConnection),
    Mysql(MySqlConnection),
}

pub(super) struct Session {
    connection: Connection,
    /// `MariaDB`, not MySQL.
    pub(super) maria: bool,
}

/// A lock for each database of a server, since the server keeps them all in one list of names.
const MYSQL_LOCK: &str = "concat('crud-', sha1(database()))";

impl Session {
    pub(super) async fn connect(target: &Target) -> anyhow::Result<Self> {
        let connection = match target {
            Target::Sqlite(options, path) => {
                if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
                    std::fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
                }
                Connection::Sqlite(options.connect().await?)
            }
            Target::Postgres(options) => Connection::Postgres(options.connect().await?),
            Target::Mysql(options) => Connection::Mysql(options.connect().await?),
        };
        let mut session = Self { connection, maria: false };
        if matches!(target, Target::Mysql(_)) {
            let version = session.texts("SELECT version()").await?;
            session.maria = version.first().is_some_and(|version| version.contains("MariaDB"));
        }
        Ok(session)
    }

    pub(super) fn dialect(&self) -> Dialect {
        match self.connection {
            Connection::Sqlite(_) => Dialect::Sqlite,
            Connection::Postgres(_) => Dialect::Postgres,
            Connection::Mysql(_) => Dialect::Mysql,
        }
    }

    /// How many rows it changed.
    pub(super) async fn execute(&mut self, sql: &str) -> anyhow::Result<u64> {
        let sql = AssertSqlSafe(sql);
        Ok(match &mut self.connection {
            Connection::Sqlite(connection) => connection.execute(sql).await?.rows_affected(),
            Connection::Postgres(connection) => connection.execute(sql).await?.rows_affected(),
            Connection::Mysql(connection) => connection.execute(sql).await?.rows_affected(),
        })
    }

    /// The first column of each row, as text.
    pub(super) async fn texts(&mut self, sql: &str) -> anyhow::Result<Vec<String>> {
        Ok(self.columns::<1>(sql).await?.into_iter().map(|[text]| text).collect())
    }

    /// The first two columns of each row, as text.
    pub(super) async fn pairs(&mut self, sql: &str) -> anyhow::Result<Vec<(String, String)>> {
        Ok(self.columns::<2>(sql).await?.into_iter().map(|[first, second]| (first, second)).collect())
    }

    async fn columns<const N: usize>(&mut self, sql: &str) -> anyhow::Result<Vec<[String; N]>> {
        macro_rules! fetch {
            ($connection:expr) => {{
                let rows = $connection.fetch_all(AssertSqlSafe(sql)).await?;
                let mut texts = Vec::with_capacity(rows.len());
                for row in &rows {
                    let mut of_row = [const { String::new() }; N];
                    for (index, text) in of_row.iter_mut().enumerate() {
                        let kind = row.try_get_raw(index)?.type_info().name().to_owned();
                        let bytes = || row.try_get::<Vec<u8>, _>(index);
                        *text = row
                            .try_get::<String, _>(index)
                            .or_else(|_| bytes().map(|bytes| String::from_utf8_lossy(&bytes).into_owned()))
                            .with_context(|| format!("a column of type {kind} is not text"))?;
                    }
                    texts.push(of_row);
                }
                Ok(texts)
            }};
        }
        match &mut self.connection {
            Connection::Sqlite(connection) => fetch!(connection),
            Connection::Postgres(connection) => fetch!(connection),
            Connection::Mysql(connection) => fetch!(connection),
        }
    }

    pub(super) async fn lock(&mut self) -> anyhow::Result<()> {
        match self.dialect() {
            Dialect::Sqlite => self.execute("BEGIN IMMEDIATE").await.map(drop),
            // Any constant does: it is this program's key. The lock ends with the transaction.
            Dialect::Postgres => self.execute("BEGIN; SELECT pg_advisory_xact_lock(7239482610)").await.map(drop),
            Dialect::Mysql => {
                let got = self.texts(&format!("SELECT cast(get_lock({MYSQL_LOCK}, 60) AS char)")).await?;
                if got.first().map(String::as_str) == Some("1") {
                    return Ok(());
                }
                Err(StoreError::Unavailable("another replica migrates for more than a minute".into()).into())
            }
        }
    }

    pub(super) async fn unlock(mut self, commit: bool) -> anyhow::Result<()> {
        let sql = match (self.dialect(), commit) {
            (Dialect::Mysql, _) => &format!("DO release_lock({MYSQL_LOCK})"),
            (_, true) => "COMMIT",
            (_, false) => "ROLLBACK",
        };
        self.execute(sql).await?;
        match self.connection {
            Connection::Sqlite(connection) => connection.close().await?,
            Connection::Postgres(connection) => connection.close().await?,
            Connection::Mysql(connection) => connection.close().await?,
        }
        Ok(())
    }

    /// An expression as text.
    pub(super) fn as_text(&self, expression: &str) -> String {
        let kind = if self.dialect() == Dialect::Mysql { "char" } else { "text" };
        format!("cast({expression} AS {kind})")
    }

    /// A name as this database quotes it.
    pub(super) fn quoted(&self, name: &str) -> String {
        let quote = if self.dialect() == Dialect::Mysql { '`' } else { '"' };
        format!("{quote}{name}{quote}")
    }
}
