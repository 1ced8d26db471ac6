//! Which database, from `DATABASE_URL` or the variables of the seeds.

use std::path::{Path, PathBuf};
use std::str::FromStr as _;
use std::time::Duration;

use anyhow::{Context as _, bail};
use sqlx::mysql::MySqlConnectOptions;
use sqlx::postgres::PgConnectOptions;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};

/// The SQL that a database speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// `SQLite`
    Sqlite,
    /// PostgreSQL
    Postgres,
    /// MySQL and `MariaDB`
    Mysql,
}

/// A database to connect to.
#[derive(Clone, Debug)]
pub enum Target {
    /// A file.
    Sqlite(Box<SqliteConnectOptions>, PathBuf),
    /// A server.
    Postgres(Box<PgConnectOptions>),
    /// A server.
    Mysql(Box<MySqlConnectOptions>),
}

/// A server given by single values: user, password, host (optionally with a port) and database.
#[derive(Clone, Debug)]
pub struct Parts {
    /// Host name or address, `host:port`, or nothing for this machine.
    pub host: Option<String>,
    /// The account.
    pub user: String,
    /// Its password.
    pub password: Option<String>,
    /// The database.
    pub database: String,
}

impl Target {
    /// Reads `sqlite:///path`, `postgres://...` or `mysql://...`. No error shows the URL, since it holds a password.
    pub fn from_url(url: &str) -> anyhow::Result<Self> {
        let scheme = url.split_once(':').map_or("", |(scheme, _)| scheme);
        match scheme {
            "sqlite" => {
                let path = url.strip_prefix("sqlite://").or_else(|| url.strip_prefix("sqlite:")).unwrap_or_default();
                let path = path.split_once('?').map_or(path, |(path, _)| path);
                if path.is_empty() {
                    bail!("the URL names no file: write `sqlite:///data/crud.db`");
                }
                Ok(Self::sqlite(Path::new(path)))
            }
            "postgres" | "postgresql" => {
                Ok(Self::postgres(PgConnectOptions::from_str(url).context("not a valid URL for PostgreSQL")?))
            }
            "mysql" | "mariadb" => {
                let url = format!("mysql{}", url.trim_start_matches(scheme));
                Ok(Self::mysql(MySqlConnectOptions::from_str(&url).context("not a valid URL for MySQL")?))
            }
            _ => bail!("the scheme must be `sqlite`, `postgres` or `mysql`, for example `sqlite:///data/crud.db`"),
        }
    }

    /// A file, in WAL mode. `synchronous=full`: an answered write outlives a power cut.
    pub fn sqlite(path: &Path) -> Self {
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(Duration::from_secs(5))
            .foreign_keys(true);
        Self::Sqlite(Box::new(options), path.to_owned())
    }

    /// A PostgreSQL by single values.
    pub fn postgres_parts(parts: &Parts) -> anyhow::Result<Self> {
        let mut options = PgConnectOptions::new_without_pgpass().username(&parts.user).database(&parts.database);
        if let Some((host, port)) = parts.address()? {
            options = options.host(&host);
            options = options.port(port.unwrap_or(5432));
        }
        if let Some(password) = &parts.password {
            options = options.password(password);
        }
        Ok(Self::postgres(options))
    }

    /// A MySQL by single values.
    pub fn mysql_parts(parts: &Parts) -> anyhow::Result<Self> {
        let mut options = MySqlConnectOptions::new().username(&parts.user).database(&parts.database);
        if let Some((host, port)) = parts.address()? {
            options = options.host(&host).port(port.unwrap_or(3306));
        }
        if let Some(password) = &parts.password {
            options = options.password(password);
        }
        Ok(Self::mysql(options))
    }

    fn postgres(options: PgConnectOptions) -> Self {
        Self::Postgres(Box::new(options.application_name("crud-server")))
    }

    fn mysql(options: MySqlConnectOptions) -> Self {
        Self::Mysql(Box::new(options.charset("utf8mb4").timezone(Some(String::from("+00:00")))))
    }

    /// Its SQL.
    pub fn dialect(&self) -> Dialect {
        match self {
            Self::Sqlite(..) => Dialect::Sqlite,
            Self::Postgres(_) => Dialect::Postgres,
            Self::Mysql(_) => Dialect::Mysql,
        }
    }

    /// What a person may see of it: no password.
    pub fn describe(&self) -> String {
        match self {
            Self::Sqlite(_, path) => format!("sqlite file {}", path.display()),
            Self::Postgres(options) => format!("postgres at {}:{}", options.get_host(), options.get_port()),
            Self::Mysql(_) => "mysql".to_owned(),
        }
    }
}

impl Parts {
    fn address(&self) -> anyhow::Result<Option<(String, Option<u16>)>> {
        let Some(host) = self.host.as_deref().filter(|host| !host.is_empty()) else {
            return Ok(None);
        };
        // An IPv6 address has more than one colon; with a port it stands in brackets.
        let (name, port) = match host.rsplit_once(':') {
            Some((name, port)) if !name.contains(':') || name.starts_with('[') && name.ends_with(']') => {
                (name, Some(port.parse().context("the port behind the database host must be a number")?))
            }
            _ => (host, None),
        };
        Ok(Some((name.trim_matches(['[', ']']).to_owned(), port)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls() {
        assert!(
            matches!(Target::from_url("sqlite:///data/crud.db"), Ok(Target::Sqlite(_, path)) if path == Path::new("/data/crud.db"))
        );
        assert!(
            matches!(Target::from_url("sqlite:crud.db"), Ok(Target::Sqlite(_, path)) if path == Path::new("crud.db"))
        );
        assert_eq!(Target::from_url("postgresql://u:p@h/d").map(|t| t.dialect()).ok(), Some(Dialect::Postgres));
        assert_eq!(Target::from_url("mariadb://u:p@h/d").map(|t| t.dialect()).ok(), Some(Dialect::Mysql));
        let error = Target::from_url("oracle://u:secret@h").expect_err("unknown");
        assert!(!format!("{error:#}").contains("secret"));
    }

    #[test]
    fn hosts() {
        let at = |host: &str| {
            Parts { host: Some(host.into()), user: "u".into(), password: None, database: "d".into() }
                .address()
                .ok()
                .flatten()
        };
        assert_eq!(at("db"), Some(("db".into(), None)));
        assert_eq!(at("db:5433"), Some(("db".into(), Some(5433))));
        assert_eq!(at("::1"), Some(("::1".into(), None)));
        assert_eq!(at("[::1]:5433"), Some(("::1".into(), Some(5433))));
        assert_eq!(at(""), None);
    }
}
