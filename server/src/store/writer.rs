//! The one connection that writes to an `SQLite` file.
//!
//! A commit waits for the disk, and only one can at a time. So what comes in meanwhile is written together by the next transaction: each
//! caller is still answered only behind the commit that holds its rows, and a statement that is refused (a value that is taken) is
//! refused alone.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sqlx::sqlite::{SqliteConnection, SqliteRow};
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, Sqlite};
use tokio::sync::oneshot;

use super::error::StoreError;
use super::pool::Pool;
use super::row::bind_sqlite;
use super::sql::Statement;

/// Most callers whose work goes into one transaction.
const MOST: usize = 128;

/// `SQLITE_CONSTRAINT`: the statement has no effect, and the transaction goes on.
const CONSTRAINT: u32 = 19;

/// What statements did.
#[derive(Debug, Default)]
pub(super) struct Answer {
    /// The rows that the last one returned, where they were asked for.
    pub(super) rows: Vec<SqliteRow>,
    /// How many rows were changed.
    pub(super) affected: u64,
}

/// Writes for all callers.
#[derive(Debug)]
pub struct Writer {
    /// Of one connection.
    pool: Pool<Sqlite>,
    /// The longest time that a caller waits.
    wait: Duration,
    queue: Mutex<Queue>,
}

#[derive(Debug, Default)]
struct Queue {
    jobs: VecDeque<Job>,
    /// Whether somebody empties it.
    running: bool,
}

/// Statements of one caller: all or none.
#[derive(Debug)]
struct Job {
    statements: Vec<Statement>,
    rows: bool,
    reply: oneshot::Sender<Result<Answer, StoreError>>,
}

impl Writer {
    pub(super) fn new(pool: Pool<Sqlite>, wait: Duration) -> Self {
        Self { pool, wait, queue: Mutex::default() }
    }

    pub(super) fn pool(&self) -> &Pool<Sqlite> {
        &self.pool
    }

    /// Runs statements, all or none; answers when they are on the disk.
    pub(super) async fn run(self: &Arc<Self>, statements: Vec<Statement>, rows: bool) -> Result<Answer, StoreError> {
        let (reply, answer) = oneshot::channel();
        let idle = {
            let mut queue = self.queue();
            queue.jobs.push_back(Job { statements, rows, reply });
            !std::mem::replace(&mut queue.running, true)
        };
        if idle {
            // On its own, since a caller may go away in the middle and others wait for the same commit.
            tokio::spawn(Arc::clone(self).empty());
        }
        match tokio::time::timeout(self.wait, answer).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => Err(StoreError::Other("the writer ended without an answer".into())),
            Err(_) => Err(StoreError::Unavailable("the database was busy for too long".into())),
        }
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes what waits, until nothing does.
    async fn empty(self: Arc<Self>) {
        /// Lets the next caller begin anew behind a panic.
        struct Ended<'w>(&'w Writer);
        impl Drop for Ended<'_> {
            fn drop(&mut self) {
                if std::thread::panicking() {
                    self.0.queue().running = false;
                }
            }
        }
        let _ended = Ended(&self);
        loop {
            let jobs: Vec<Job> = {
                let mut queue = self.queue();
                let count = queue.jobs.len().min(MOST);
                if count == 0 {
                    queue.running = false;
                    return;
                }
                // Who waits no more was told that nothing was written.
                queue.jobs.drain(..count).filter(|job| !job.reply.is_closed()).collect()
            };
            self.write(jobs).await;
        }
    }

    async fn write(&self, jobs: Vec<Job>) {
        let mut lease = match self.pool.lease().await {
            Ok(lease) => lease,
            Err(error) => return refuse(jobs, &error),
        };
        let connection = lease.connection();
        if jobs.len() > 1 {
            match together(connection, &jobs).await {
                Ok(Some(answers)) => {
                    lease.keep();
                    return jobs.into_iter().zip(answers).for_each(|(job, answer)| job.answer(answer));
                }
                // What is wrong is told to whom it concerns: each goes alone.
                Ok(None) => {}
                Err(error) => return refuse(jobs, &error),
            }
        }
        let mut answers = Vec::with_capacity(jobs.len());
        for job in &jobs {
            answers.push(run(connection, job).await);
        }
        if answers.iter().all(|answer| answer.as_ref().err().is_none_or(is_constraint)) {
            lease.keep();
        }
        jobs.into_iter().zip(answers).for_each(|(job, answer)| job.answer(answer));
    }
}

impl Job {
    fn answer(self, answer: sqlx::Result<Answer>) {
        // A caller that went away needs no answer.
        let _gone = self.reply.send(answer.map_err(StoreError::from));
    }
}

fn refuse(jobs: Vec<Job>, error: &StoreError) {
    for job in jobs {
        let error = match error {
            StoreError::Closed => StoreError::Closed,
            StoreError::Unavailable(text) => StoreError::Unavailable(text.clone()),
            other => StoreError::Other(other.to_string()),
        };
        let _gone = job.reply.send(Err(error));
    }
}

/// All jobs in one transaction; none where it could not go on, and then nothing was written.
async fn together(
    connection: &mut SqliteConnection,
    jobs: &[Job],
) -> Result<Option<Vec<sqlx::Result<Answer>>>, StoreError> {
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    let mut answers = Vec::with_capacity(jobs.len());
    for job in jobs {
        let answer = run(&mut transaction, job).await;
        if answer.as_ref().is_err_and(|error| !is_constraint(error)) {
            transaction.rollback().await?;
            return Ok(None);
        }
        answers.push(answer);
    }
    transaction.commit().await?;
    Ok(Some(answers))
}

/// One job's statements: several are a transaction, or a savepoint within one.
async fn run(connection: &mut SqliteConnection, job: &Job) -> sqlx::Result<Answer> {
    if let [statement] = job.statements.as_slice() {
        return one(connection, statement, job.rows).await;
    }
    let mut transaction = connection.begin().await?;
    let mut answer = Answer::default();
    for statement in &job.statements {
        match one(&mut transaction, statement, job.rows).await {
            Ok(Answer { rows, affected }) => answer = Answer { rows, affected: answer.affected + affected },
            Err(error) => {
                transaction.rollback().await?;
                return Err(error);
            }
        }
    }
    transaction.commit().await?;
    Ok(answer)
}

async fn one(connection: &mut SqliteConnection, statement: &Statement, rows: bool) -> sqlx::Result<Answer> {
    let mut query = sqlx::query(AssertSqlSafe(statement.text.as_str()));
    for value in &statement.values {
        query = bind_sqlite(query, value);
    }
    if rows {
        return Ok(Answer { rows: connection.fetch_all(query).await?, affected: 0 });
    }
    Ok(Answer { rows: vec![], affected: connection.execute(query).await?.rows_affected() })
}

fn is_constraint(error: &sqlx::Error) -> bool {
    let code =
        error.as_database_error().and_then(sqlx::error::DatabaseError::code).and_then(|code| code.parse::<u32>().ok());
    code.is_some_and(|code| code & 0xff == CONSTRAINT)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::model::{Store, Value};
    use crate::store::target::{Dialect, Target};

    fn writer(path: &Path) -> Arc<Writer> {
        let Target::Sqlite(options, _) = Target::sqlite(path) else { panic!("a file") };
        let wait = Duration::from_secs(20);
        Arc::new(Writer::new(Pool::new(*options, 1, wait, None), wait))
    }

    fn statement(text: &str, values: &[i64]) -> Statement {
        let mut statement = Statement::new(Dialect::Sqlite);
        statement.text.push_str(text);
        statement.values.extend(values.iter().map(|value| (Store::Int, Value::Int(*value))));
        statement
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn callers_are_written_together_and_refused_alone() {
        let folder = tempfile::tempdir().expect("a folder");
        let writer = writer(&folder.path().join("w.db"));
        let table = statement("CREATE TABLE t (n INTEGER PRIMARY KEY, by INTEGER)", &[]);
        writer.run(vec![table], false).await.expect("a table");
        // Each value is asked for twice at once, every other time as one of two statements.
        let insert = |n: i64, by: i64| statement("INSERT INTO t VALUES ($1, $2)", &[n, by]);
        let jobs: Vec<_> = (0..400)
            .map(|by| {
                let (writer, n) = (Arc::clone(&writer), by % 200);
                let mut statements = vec![insert(n, by)];
                if by % 2 == 1 {
                    statements.insert(0, insert(1000 + by, by));
                }
                tokio::spawn(async move { (by, writer.run(statements, false).await) })
            })
            .collect();
        let mut written = vec![];
        for job in jobs {
            match job.await.expect("no panic") {
                (by, Ok(_)) => written.push(by),
                (_, Err(StoreError::Unique(_))) => {}
                (by, Err(error)) => panic!("{by}: {error}"),
            }
        }
        assert_eq!(written.len(), 200, "one of two");
        // What was refused left nothing, what was answered is there.
        let rows = writer.run(vec![statement("SELECT count(*) FROM t", &[])], true).await.expect("a count").rows;
        let count: i64 = sqlx::Row::get(&rows[0], 0);
        let odd = written.iter().filter(|by| **by % 2 == 1).count();
        assert_eq!(usize::try_from(count).expect("a count"), 200 + odd);
    }

    #[tokio::test]
    async fn who_waits_no_more_writes_nothing() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("w.db");
        let writer = writer(&path);
        writer.run(vec![statement("CREATE TABLE t (n INTEGER)", &[])], false).await.expect("a table");
        // Another process holds the file.
        let Target::Sqlite(options, _) = Target::sqlite(&path) else { panic!("a file") };
        let mut other = sqlx::ConnectOptions::connect(&*options).await.expect("a connection");
        other.execute("BEGIN IMMEDIATE").await.expect("begun");
        let first = tokio::spawn({
            let writer = Arc::clone(&writer);
            async move { writer.run(vec![statement("INSERT INTO t VALUES (1)", &[])], false).await }
        });
        while !writer.queue().jobs.is_empty() || !writer.queue().running {
            tokio::task::yield_now().await;
        }
        let second = tokio::time::timeout(
            Duration::from_millis(20),
            writer.run(vec![statement("INSERT INTO t VALUES (2)", &[])], false),
        );
        assert!(second.await.is_err(), "it waits behind the first");
        other.execute("COMMIT").await.expect("given back");
        first.await.expect("no panic").expect("written");
        let rows = writer.run(vec![statement("SELECT n FROM t", &[])], true).await.expect("rows").rows;
        let found: Vec<i64> = rows.iter().map(|row| sqlx::Row::get(row, 0)).collect();
        assert_eq!(found, [1]);
    }
}
