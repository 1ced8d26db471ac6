//! A bounded pool of database connections.
//!
//! `sqlx::Pool` asks the server for a sign of life each time a connection comes back, which doubles the round trips of
//! a service whose requests are single statements. This pool trusts a connection whose last statement ended well and
//! drops every other one: also the connection of a request whose client went away in the middle of an answer.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use sqlx::{ConnectOptions, Connection, Database, Executor};
use tokio::sync::{Semaphore, SemaphorePermit};

use super::error::StoreError;

/// Connections of one kind, at most `max` at once.
#[derive(Debug)]
pub struct Pool<D: Database> {
    options: <D::Connection as Connection>::Options,
    idle: Mutex<Vec<D::Connection>>,
    permits: Semaphore,
    max: u32,
    wait: Duration,
    setup: Option<&'static str>,
}

/// A connection on loan. It goes back to the pool by [`Lease::keep`]; dropped, it is closed.
#[derive(Debug)]
pub struct Lease<'p, D: Database> {
    pool: &'p Pool<D>,
    connection: Option<D::Connection>,
    _permit: SemaphorePermit<'p>,
}

impl<D: Database> Pool<D>
where
    for<'c> &'c mut D::Connection: Executor<'c, Database = D>,
{
    /// No connection is opened yet. `wait` bounds the time to get one, queueing and connecting together; `setup` is a
    /// statement that each new connection begins with.
    pub fn new(
        options: <D::Connection as Connection>::Options,
        max: u32,
        wait: Duration,
        setup: Option<&'static str>,
    ) -> Self {
        Self { options, idle: Mutex::new(Vec::new()), permits: Semaphore::new(max as usize), max, wait, setup }
    }

    /// An idle connection, or a new one.
    pub async fn lease(&self) -> Result<Lease<'_, D>, StoreError> {
        let get = async {
            let permit = self.permits.acquire().await.map_err(|_| StoreError::Closed)?;
            let idle = self.lock().pop();
            let connection = match idle {
                Some(connection) => connection,
                None => self.connect().await?,
            };
            Ok(Lease { pool: self, connection: Some(connection), _permit: permit })
        };
        tokio::time::timeout(self.wait, get)
            .await
            .unwrap_or(Err(StoreError::Unavailable("no connection became free in time".into())))
    }

    async fn connect(&self) -> Result<D::Connection, StoreError> {
        let mut connection = self.options.connect().await?;
        if let Some(setup) = self.setup {
            connection.execute(setup).await?;
        }
        Ok(connection)
    }

    /// Forgets the idle connections: called when one turned out dead, since its siblings most likely are too.
    pub fn clear(&self) {
        self.lock().clear();
    }

    /// (connections at work, idle connections, limit)
    pub fn usage(&self) -> (u32, u32, u32) {
        let free = u32::try_from(self.permits.available_permits()).unwrap_or(self.max);
        let idle = u32::try_from(self.lock().len()).unwrap_or(u32::MAX);
        (self.max.saturating_sub(free), idle, self.max)
    }

    /// Lets nobody lease any more and closes the idle connections with the protocol's goodbye.
    pub async fn close(&self) {
        self.permits.close();
        let idle = std::mem::take(&mut *self.lock());
        for connection in idle {
            if let Err(error) = connection.close().await {
                crate::log::debug("closing a connection", &[("error", error.to_string())]);
            }
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<D::Connection>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<D: Database> Lease<'_, D>
where
    for<'c> &'c mut D::Connection: Executor<'c, Database = D>,
{
    /// The connection itself.
    pub fn connection(&mut self) -> &mut D::Connection {
        self.connection.as_mut().expect("taken only by `keep`, which consumes the lease")
    }

    /// Gives the connection back: only after its statement or transaction has ended well.
    pub fn keep(mut self) {
        if let Some(connection) = self.connection.take()
            && !self.pool.permits.is_closed()
        {
            self.pool.lock().push(connection);
        }
    }
}
