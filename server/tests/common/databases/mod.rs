//! Real databases, each server started for one test in a folder of its own.

mod mariadb;
mod postgres;
mod sqlite;

use std::net::TcpListener;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use crud_server::store::Target;
use sqlx::{AssertSqlSafe, ConnectOptions as _, Executor as _, Row as _};

pub use mariadb::MariaDb;
pub use postgres::Postgres;
pub use sqlite::Sqlite;

/// A database server (or a folder of files) that a server under test can be pointed at.
pub trait Database {
    /// For `DATABASE_URL`.
    fn url(&self) -> String;

    /// The URL of another database on it, new and empty.
    fn fresh(&self) -> String;
}

/// A server that can be stopped and started again, with its data.
pub trait Stoppable: Database {
    fn down(&mut self);

    fn up(&mut self);
}

/// One behaviour, on the empty database of this URL.
pub type Case = (&'static str, fn(&str));

/// Each case on each of the three kinds of database: three tests.
#[macro_export]
macro_rules! on_each_database {
    ($($case:ident),+ $(,)?) => {
        const CASES: &[common::databases::Case] = &[$((stringify!($case), $case)),+];

        #[test]
        fn on_sqlite() {
            common::databases::run(&common::databases::Sqlite::start(), CASES);
        }

        #[test]
        fn on_postgres() {
            if !common::databases::left_out("on_postgres") {
                common::databases::run(&common::databases::Postgres::start(), CASES);
            }
        }

        #[test]
        fn on_mariadb() {
            if !common::databases::left_out("on_mariadb") {
                common::databases::run(&common::databases::MariaDb::start(), CASES);
            }
        }
    };
}

/// Runs the cases one after another; a failure is told with the name of its case.
#[expect(clippy::print_stderr, reason = "shown when a case fails")]
pub fn run(database: &dyn Database, cases: &[Case]) {
    for (name, case) in cases {
        eprintln!("case {name}");
        case(&database.fresh());
    }
}

/// The first column of a statement's rows, as text.
pub fn sql(url: &str, statement: &str) -> Vec<String> {
    Held::new(url, &[]).run(statement)
}

/// A connection, with whatever locks its statements took. Closed when dropped.
pub struct Held {
    runtime: tokio::runtime::Runtime,
    connection: Connection,
}

enum Connection {
    Sqlite(sqlx::SqliteConnection),
    Postgres(sqlx::PgConnection),
    Mysql(sqlx::MySqlConnection),
}

impl Held {
    pub fn new(url: &str, statements: &[&str]) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let connection = runtime.block_on(async {
            match Target::from_url(url).expect("a URL") {
                Target::Sqlite(options, _) => options.connect().await.map(Connection::Sqlite),
                Target::Postgres(options) => options.connect().await.map(Connection::Postgres),
                Target::Mysql(options) => options.connect().await.map(Connection::Mysql),
            }
        });
        let mut held = Self { runtime, connection: connection.expect("connected") };
        for statement in statements {
            held.run(statement);
        }
        held
    }

    pub fn run(&mut self, statement: &str) -> Vec<String> {
        macro_rules! texts {
            ($connection:expr) => {{
                let rows = $connection.fetch_all(AssertSqlSafe(statement)).await.expect(statement);
                rows.iter().map(|row| row.try_get_unchecked::<String, _>(0).expect("text")).collect()
            }};
        }
        self.runtime.block_on(async {
            match &mut self.connection {
                Connection::Sqlite(connection) => texts!(connection),
                Connection::Postgres(connection) => texts!(connection),
                Connection::Mysql(connection) => texts!(connection),
            }
        })
    }
}

/// Whether tests with other parts than Rust are to be left out, which is said aloud.
#[expect(clippy::print_stderr, reason = "a test that is left out says so")]
pub fn left_out(test: &str) -> bool {
    let out = std::env::var_os("CRUD_TEST_NO_LAB").is_some_and(|value| value == "1");
    if out {
        eprintln!("SKIPPED {test}: CRUD_TEST_NO_LAB=1");
    }
    out
}

pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a free port").port()
}

pub fn is_root() -> bool {
    Command::new("id").arg("-u").output().is_ok_and(|output| output.stdout.starts_with(b"0"))
}

/// A name that no other database of this process has.
fn new_name() -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    format!("test{}", COUNT.fetch_add(1, Ordering::Relaxed))
}

fn text(path: &Path) -> String {
    path.display().to_string()
}
