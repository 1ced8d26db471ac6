//! The peer that a Rust programmer would write by hand for this one table: axum and sqlx with its own pool, typed rows,
//! no declaration, no validation beyond the types, no log, no metrics.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use sqlx::postgres::{PgPool, PgPoolOptions, PgRow};
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteRow, SqliteSynchronous,
};
use sqlx::{FromRow, Row as _};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use uuid::Uuid;

const SELECT: &str = "SELECT id, name, age, email, created_at, updated_at FROM employees WHERE id = $1";
const LIST: &str =
    "SELECT id, name, age, email, created_at, updated_at FROM employees ORDER BY created_at, id LIMIT 51";
const INSERT: &str = "INSERT INTO employees (id, name, age, email, created_at, updated_at, row_version) \
                      VALUES ($1, $2, $3, $4, $5, $6, 1)";

/// As it is answered; times are text already, as they would be by a serialiser.
#[derive(Serialize)]
struct Employee {
    id: String,
    name: String,
    age: i64,
    email: String,
    created_at: String,
    updated_at: String,
}

#[derive(Serialize)]
struct Page {
    items: Vec<Employee>,
}

#[derive(Deserialize)]
struct New {
    name: String,
    age: i64,
    email: String,
}

impl FromRow<'_, PgRow> for Employee {
    fn from_row(row: &PgRow) -> sqlx::Result<Self> {
        let time = |index: usize| row.try_get(index).map(text);
        Ok(Self {
            id: row.try_get::<Uuid, _>(0)?.to_string(),
            name: row.try_get(1)?,
            age: row.try_get(2)?,
            email: row.try_get(3)?,
            created_at: time(4)?,
            updated_at: time(5)?,
        })
    }
}

impl FromRow<'_, SqliteRow> for Employee {
    fn from_row(row: &SqliteRow) -> sqlx::Result<Self> {
        Ok(Self {
            id: row.try_get(0)?,
            name: row.try_get(1)?,
            age: row.try_get(2)?,
            email: row.try_get(3)?,
            created_at: row.try_get(4)?,
            updated_at: row.try_get(5)?,
        })
    }
}

fn text(at: OffsetDateTime) -> String {
    at.format(&Rfc3339).unwrap_or_default()
}

/// What goes wrong at the database.
struct Failure(sqlx::Error);

impl From<sqlx::Error> for Failure {
    fn from(error: sqlx::Error) -> Self {
        Self(error)
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        match self.0 {
            sqlx::Error::RowNotFound => StatusCode::NOT_FOUND.into_response(),
            sqlx::Error::Database(error) if error.is_unique_violation() => StatusCode::CONFLICT.into_response(),
            _ => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
        }
    }
}

async fn get_postgres(State(pool): State<PgPool>, Path(id): Path<Uuid>) -> Result<Json<Employee>, Failure> {
    Ok(Json(sqlx::query_as(SELECT).bind(id).fetch_one(&pool).await?))
}

async fn list_postgres(State(pool): State<PgPool>) -> Result<Json<Page>, Failure> {
    let mut items: Vec<Employee> = sqlx::query_as(LIST).fetch_all(&pool).await?;
    items.truncate(50);
    Ok(Json(Page { items }))
}

async fn create_postgres(
    State(pool): State<PgPool>,
    Json(new): Json<New>,
) -> Result<(StatusCode, Json<Employee>), Failure> {
    let (id, now) = (Uuid::now_v7(), OffsetDateTime::now_utc());
    let query = sqlx::query(INSERT).bind(id).bind(&new.name).bind(new.age).bind(&new.email).bind(now).bind(now);
    query.execute(&pool).await?;
    Ok((StatusCode::CREATED, Json(new.made(id, now))))
}

/// One connection for writing, as SQLite has one writer.
struct Sqlite {
    read: SqlitePool,
    write: SqlitePool,
}

async fn get_sqlite(State(database): State<Arc<Sqlite>>, Path(id): Path<Uuid>) -> Result<Json<Employee>, Failure> {
    Ok(Json(sqlx::query_as(SELECT).bind(id.to_string()).fetch_one(&database.read).await?))
}

async fn list_sqlite(State(database): State<Arc<Sqlite>>) -> Result<Json<Page>, Failure> {
    let mut items: Vec<Employee> = sqlx::query_as(LIST).fetch_all(&database.read).await?;
    items.truncate(50);
    Ok(Json(Page { items }))
}

async fn create_sqlite(
    State(database): State<Arc<Sqlite>>,
    Json(new): Json<New>,
) -> Result<(StatusCode, Json<Employee>), Failure> {
    let (id, now) = (Uuid::now_v7(), OffsetDateTime::now_utc());
    let query = sqlx::query(INSERT).bind(id.to_string()).bind(&new.name).bind(new.age).bind(&new.email);
    query.bind(text(now)).bind(text(now)).execute(&database.write).await?;
    Ok((StatusCode::CREATED, Json(new.made(id, now))))
}

impl New {
    fn made(self, id: Uuid, now: OffsetDateTime) -> Employee {
        let Self { name, age, email } = self;
        Employee { id: id.to_string(), name, age, email, created_at: text(now), updated_at: text(now) }
    }
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let (url, port) = (std::env::var("DATABASE_URL")?, std::env::var("PORT")?);
    // As many connections as the server has when nobody says otherwise.
    let size = 8;
    let router = if let Some(path) = url.strip_prefix("sqlite://") {
        let options = SqliteConnectOptions::new().filename(path).journal_mode(SqliteJournalMode::Wal);
        let options = options.synchronous(SqliteSynchronous::Full);
        let read = SqlitePoolOptions::new().max_connections(size).connect_with(options.clone()).await?;
        let write = SqlitePoolOptions::new().max_connections(1).connect_with(options).await?;
        Router::new()
            .route("/api/employees", get(list_sqlite).post(create_sqlite))
            .route("/api/employees/{id}", get(get_sqlite))
            .with_state(Arc::new(Sqlite { read, write }))
    } else {
        let pool = PgPoolOptions::new().max_connections(size).connect(&url).await?;
        Router::new()
            .route("/api/employees", get(list_postgres).post(create_postgres))
            .route("/api/employees/{id}", get(get_postgres))
            .with_state(pool)
    };
    let listener = tokio::net::TcpListener::bind(format!("127.0.0.1:{port}")).await?;
    serve(listener, router).await
}

/// `axum::serve` by hand, since the server's features of axum are without it.
async fn serve(listener: tokio::net::TcpListener, router: Router) -> anyhow::Result<()> {
    use hyper_util::rt::TokioIo;
    use hyper_util::service::TowerToHyperService;
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let service = TowerToHyperService::new(router.clone());
        tokio::spawn(hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service));
    }
}
