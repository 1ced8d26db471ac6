//! The calls that the rest of the service makes, for whichever database there is.

use std::sync::Arc;
use std::time::Duration;

use sqlx::{AssertSqlSafe, Connection as _, Executor as _, MySql, Postgres, Sqlite};

use super::error::StoreError;
use super::pool::Pool;
use super::row::{Row, bind_mysql, bind_postgres, bind_sqlite, read_mysql, read_postgres, read_sqlite};
use super::sql::{self, Condition, Operator, Select, Statement};
use super::target::{Dialect, Target};
use super::writer::Writer;
use crate::model::{Column, Resource, Store, Value};

/// How busy a pool is.
#[derive(Clone, Copy, Debug)]
pub struct Usage {
    /// Connections at work.
    pub busy: u32,
    /// Connections that wait for work.
    pub idle: u32,
    /// The limit.
    pub max: u32,
}

/// A value that a column cannot hold is an error, whatever the server is set to, and is never cut short.
const STRICT: &str = "SET SESSION sql_mode = concat(@@sql_mode, ',STRICT_ALL_TABLES')";

/// A database with its pool.
#[derive(Debug)]
pub enum Database {
    /// One writer at a time, as `SQLite` has it, and readers beside it.
    Sqlite {
        /// Connections for reading.
        read: Pool<Sqlite>,
        /// The one connection for writing.
        write: Arc<Writer>,
    },
    /// PostgreSQL
    Postgres(Pool<Postgres>),
    /// MySQL and `MariaDB`
    Mysql(Pool<MySql>),
}

/// Runs one statement on a leased connection; keeps the connection unless the statement broke it.
macro_rules! run {
    ($pool:expr, $statement:expr, $bind:path, $call:ident) => {{
        let pool = $pool;
        let mut lease = pool.lease().await?;
        let mut query = sqlx::query(AssertSqlSafe($statement.text.as_str()));
        for value in &$statement.values {
            query = $bind(query, value);
        }
        match query.$call(lease.connection()).await {
            Ok(answer) => {
                lease.keep();
                Ok(answer)
            }
            Err(error) => {
                let on_wire = matches!(error, sqlx::Error::Io(_) | sqlx::Error::Protocol(_));
                let error = StoreError::from(error);
                if on_wire {
                    pool.clear();
                } else if matches!(error, StoreError::Unique(_)) {
                    lease.keep();
                }
                Err(error)
            }
        }
    }};
}

/// Runs statements in one transaction on a leased connection, which goes back unless something broke.
macro_rules! together {
    ($pool:expr, $statements:expr, $bind:path) => {{
        let pool = $pool;
        let mut lease = pool.lease().await?;
        let mut transaction = lease.connection().begin().await?;
        let mut done = Ok(());
        for statement in $statements {
            let mut query = sqlx::query(AssertSqlSafe(statement.text.as_str()));
            for value in &statement.values {
                query = $bind(query, value);
            }
            done = transaction.execute(query).await.map(drop);
            if done.is_err() {
                break;
            }
        }
        match done {
            Ok(()) => transaction.commit().await?,
            Err(error) if matches!(error, sqlx::Error::Io(_) | sqlx::Error::Protocol(_)) => {
                pool.clear();
                return Err(error.into());
            }
            Err(error) => {
                transaction.rollback().await?;
                lease.keep();
                return Err(error.into());
            }
        }
        lease.keep();
        Ok(())
    }};
}

impl Database {
    /// Connects to nothing yet. `size` is the limit of connections, `wait` the longest time to get one.
    pub fn new(target: &Target, size: u32, wait: Duration) -> Self {
        match target {
            Target::Sqlite(options, _) => Self::Sqlite {
                read: Pool::new((**options).clone(), size, wait, None),
                write: Arc::new(Writer::new(Pool::new((**options).clone(), 1, wait, None), wait)),
            },
            Target::Postgres(options) => Self::Postgres(Pool::new((**options).clone(), size, wait, None)),
            Target::Mysql(options) => Self::Mysql(Pool::new((**options).clone(), size, wait, Some(STRICT))),
        }
    }

    /// Its SQL.
    pub fn dialect(&self) -> Dialect {
        match self {
            Self::Sqlite { .. } => Dialect::Sqlite,
            Self::Postgres(_) => Dialect::Postgres,
            Self::Mysql(_) => Dialect::Mysql,
        }
    }

    /// Whether it answers.
    pub async fn ping(&self) -> Result<(), StoreError> {
        let mut statement = Statement::new(self.dialect());
        statement.text.push_str("SELECT 1");
        self.twice(&statement).await
    }

    async fn twice(&self, statement: &Statement) -> Result<(), StoreError> {
        match self.execute(statement).await {
            // A connection that was idle while the database restarted fails once: that says nothing about now.
            Err(StoreError::Unavailable(_)) => self.execute(statement).await.map(drop),
            other => other.map(drop),
        }
    }

    /// The rows of a query.
    pub async fn select(&self, resource: &Resource, query: &Select) -> Result<Vec<Row>, StoreError> {
        let statement = sql::select(self.dialect(), resource, query);
        let columns = resource.columns();
        match self.fetch(&statement, &columns, false).await {
            Err(StoreError::Unavailable(_)) => self.fetch(&statement, &columns, false).await,
            other => other,
        }
    }

    /// How many rows there are, whatever the limit and the place of the query.
    pub async fn count(&self, resource: &Resource, query: &Select) -> Result<i64, StoreError> {
        let statement = sql::count(self.dialect(), resource, query);
        let rows = self.fetch(&statement, &[Column { name: "count", store: Store::Int }], false).await?;
        match rows.first().and_then(|row| row.first()) {
            Some(Value::Int(count)) => Ok(*count),
            _ => Err(StoreError::Other("a count had no answer".into())),
        }
    }

    /// Adds rows to tables, all or none.
    pub async fn insert(&self, batches: &[(&Resource, &[Row])]) -> Result<(), StoreError> {
        let mut statements = Vec::new();
        for (resource, rows) in batches {
            // Every database has a limit of values in a statement; SQLite's is the lowest, 32,766.
            for rows in rows.chunks((30_000 / resource.columns().len()).max(1)) {
                statements.push(sql::insert(self.dialect(), resource, rows));
            }
        }
        match statements.as_slice() {
            [] => Ok(()),
            [statement] => self.execute(statement).await.map(drop),
            _ => self.together(statements).await,
        }
    }

    /// Runs statements in one transaction.
    async fn together(&self, statements: Vec<Statement>) -> Result<(), StoreError> {
        match self {
            Self::Sqlite { write, .. } => write.run(statements, false).await.map(drop),
            Self::Postgres(pool) => together!(pool, &statements, bind_postgres),
            Self::Mysql(pool) => together!(pool, &statements, bind_mysql),
        }
    }

    /// Sets columns of the rows for which all conditions hold (callers name a unique one), and answers the row.
    pub async fn update(
        &self,
        resource: &Resource,
        set: &[(String, Value)],
        conditions: &[Condition],
    ) -> Result<Option<Row>, StoreError> {
        let statement = sql::update(self.dialect(), resource, set, conditions);
        if let Self::Mysql(pool) = self {
            return update_mysql(pool, resource, &statement, set, conditions).await;
        }
        Ok(self.fetch(&statement, &resource.columns(), true).await?.pop())
    }

    /// Deletes the rows for which all conditions hold; says how many there were.
    pub async fn delete(&self, resource: &Resource, conditions: &[Condition]) -> Result<u64, StoreError> {
        self.execute(&sql::delete(self.dialect(), resource, conditions)).await
    }

    /// How busy the pool is.
    pub fn usage(&self) -> Usage {
        let (busy, idle, max) = match self {
            Self::Sqlite { read, write } => {
                let (a, b) = (read.usage(), write.pool().usage());
                (a.0 + b.0, a.1 + b.1, a.2 + b.2)
            }
            Self::Postgres(pool) => pool.usage(),
            Self::Mysql(pool) => pool.usage(),
        };
        Usage { busy, idle, max }
    }

    /// Closes the idle connections; none is lent any more.
    pub async fn close(&self) {
        match self {
            Self::Sqlite { read, write } => {
                read.close().await;
                write.pool().close().await;
            }
            Self::Postgres(pool) => pool.close().await,
            Self::Mysql(pool) => pool.close().await,
        }
    }

    async fn fetch(&self, statement: &Statement, columns: &[Column<'_>], write: bool) -> Result<Vec<Row>, StoreError> {
        match self {
            Self::Sqlite { read, write: writer } => {
                let rows = if write {
                    writer.run(vec![statement.clone()], true).await?.rows
                } else {
                    run!(read, statement, bind_sqlite, fetch_all)?
                };
                rows.iter().map(|row| read_sqlite(row, columns)).collect()
            }
            Self::Postgres(pool) => {
                let rows = run!(pool, statement, bind_postgres, fetch_all)?;
                rows.iter().map(|row| read_postgres(row, columns)).collect()
            }
            Self::Mysql(pool) => {
                let rows = run!(pool, statement, bind_mysql, fetch_all)?;
                rows.iter().map(|row| read_mysql(row, columns)).collect()
            }
        }
    }

    async fn execute(&self, statement: &Statement) -> Result<u64, StoreError> {
        Ok(match self {
            Self::Sqlite { write, .. } => write.run(vec![statement.clone()], false).await?.affected,
            Self::Postgres(pool) => run!(pool, statement, bind_postgres, execute)?.rows_affected(),
            Self::Mysql(pool) => run!(pool, statement, bind_mysql, execute)?.rows_affected(),
        })
    }
}

/// MySQL answers no row from an UPDATE: it is read in the same transaction, by the conditions as they are afterwards.
async fn update_mysql(
    pool: &Pool<MySql>,
    resource: &Resource,
    statement: &Statement,
    set: &[(String, Value)],
    conditions: &[Condition],
) -> Result<Option<Row>, StoreError> {
    let moved = |condition: &Condition| {
        let value = set.iter().find(|(name, _)| *name == condition.column).map(|(_, value)| value.clone());
        Condition { value: value.unwrap_or_else(|| condition.value.clone()), ..condition.clone() }
    };
    let conditions = conditions
        .iter()
        .filter(|condition| condition.operator == Operator::Eq && condition.column != "row_version")
        .map(moved)
        .collect();
    let after = sql::select(Dialect::Mysql, resource, &Select { conditions, ..Select::default() });
    let mut lease = pool.lease().await?;
    let answer = async {
        let mut transaction = lease.connection().begin().await?;
        let mut query = sqlx::query(AssertSqlSafe(statement.text.as_str()));
        for value in &statement.values {
            query = bind_mysql(query, value);
        }
        let row = if transaction.execute(query).await?.rows_affected() == 0 {
            None
        } else {
            let mut query = sqlx::query(AssertSqlSafe(after.text.as_str()));
            for value in &after.values {
                query = bind_mysql(query, value);
            }
            transaction.fetch_optional(query).await?
        };
        transaction.commit().await?;
        Ok(row)
    }
    .await;
    match answer {
        Ok(row) => {
            lease.keep();
            row.map(|row| read_mysql(&row, &resource.columns())).transpose()
        }
        Err(error) => {
            if matches!(error, sqlx::Error::Io(_) | sqlx::Error::Protocol(_)) {
                pool.clear();
            }
            Err(StoreError::from(error))
        }
    }
}
