//! Every setting: a flag and an environment variable each.

use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::auth::Role;
use crate::log::Level;
use crate::store::{Parts, Target};

/// The CRUD service that crudctl rolls out: declared resources over `SQLite`, PostgreSQL or MySQL.
#[derive(Debug, Parser)]
#[command(name = "crud-server", version, about, long_about = None)]
pub struct Cli {
    /// What to do; without one: serve.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// The settings.
    #[command(flatten)]
    pub settings: Settings,
}

/// What the program does.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Serve (the default).
    Serve {
        /// What to serve.
        #[arg(value_enum, default_value = "all")]
        service: Service,
    },
    /// Copy the SQLite database to a file, while the server may go on writing.
    Backup {
        /// The copy; a file that is there is replaced.
        file: std::path::PathBuf,
    },
    /// Make, list and revoke API keys.
    #[command(subcommand)]
    Key(KeyCommand),
    /// Ask the server on this machine for /healthz: exit 0 if it is alive, 1 if not.
    Healthcheck {
        /// What is served, for its port.
        #[arg(value_enum, default_value = "all")]
        service: Service,
    },
}

/// What is done with API keys.
#[derive(Debug, Subcommand)]
pub enum KeyCommand {
    /// Make a key and print it: it is shown this once.
    Create {
        /// Whose it is.
        #[arg(long)]
        name: String,
        /// What it may do.
        #[arg(long, value_enum)]
        role: Role,
    },
    /// Print name, role and time of every key.
    List,
    /// Forget a key; running servers know it for up to 10 seconds more.
    Revoke {
        /// Whose it is.
        name: String,
    },
}

/// Who may use the API.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Auth {
    /// Everybody.
    Off,
    /// Whoever has a key (`crud-server key create`), or a token that one of `JWKS` signed.
    Keys,
}

/// The services in this program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Service {
    /// All resources, on port 8080.
    All,
    /// Seed 003: the hardware, on port 5001.
    Hardware,
    /// Seed 003: the page that shows the hardware, on port 5000. It needs no database.
    Portal,
}

/// The settings.
#[derive(Clone, Debug, Args)]
pub struct Settings {
    /// Port to listen on; without one: 8080, for `hardware` 5001, for `portal` 5000.
    #[arg(long, env = "PORT", global = true)]
    pub port: Option<u16>,
    /// Address to listen on.
    #[arg(long, env = "BIND", default_value = "0.0.0.0", global = true)]
    pub bind: std::net::IpAddr,
    /// Database: sqlite:///data/crud.db, postgres://user:password@host/name or mysql://user:password@host/name.
    #[arg(long, env = "DATABASE_URL", hide_env_values = true, global = true)]
    pub database_url: Option<String>,
    /// PostgreSQL account, when there is no DATABASE_URL.
    #[arg(long, env = "DB_USERNAME", global = true)]
    pub db_username: Option<String>,
    /// PostgreSQL host, or host:port.
    #[arg(long, env = "DB_URL", global = true)]
    pub db_url: Option<String>,
    /// PostgreSQL database.
    #[arg(long, env = "DB_NAME", global = true)]
    pub db_name: Option<String>,
    /// MySQL host, or host:port, when there is no DATABASE_URL.
    #[arg(long, env = "MYSQL_HOST", global = true)]
    pub mysql_host: Option<String>,
    /// MySQL account.
    #[arg(long, env = "MYSQL_USER", global = true)]
    pub mysql_user: Option<String>,
    /// MySQL database.
    #[arg(long, env = "MYSQL_DATABASE", global = true)]
    pub mysql_database: Option<String>,
    /// Resources, separated by commas: a path adds a declaration (or a folder of them), a name selects; without names
    /// all are served.
    #[arg(long, env = "CRUD_RESOURCES", value_delimiter = ',', global = true)]
    pub crud_resources: Vec<String>,
    /// Most database connections.
    #[arg(long, env = "DATABASE_POOL", default_value_t = 16, global = true, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub database_pool: u32,
    /// Seconds to wait for a database connection before the answer is 503.
    #[arg(long, env = "DATABASE_WAIT", default_value_t = 5, global = true)]
    pub database_wait: u64,
    /// Seconds that requests in flight get to end after SIGTERM.
    #[arg(long, env = "GRACE_SECONDS", default_value_t = 20, global = true)]
    pub grace_seconds: u64,
    /// Largest request body in bytes.
    #[arg(long, env = "MAX_BODY_BYTES", default_value_t = 1_048_576, global = true)]
    pub max_body_bytes: usize,
    /// Seconds that one request may take.
    #[arg(long, env = "REQUEST_TIMEOUT", default_value_t = 30, global = true)]
    pub request_timeout: u64,
    /// Hours for which the answer to a request with an Idempotency-Key is kept.
    #[arg(long, env = "IDEMPOTENCY_HOURS", default_value_t = 24, global = true)]
    pub idempotency_hours: u32,
    /// Who may use the API: `off` for everybody, `keys` for whoever has an API key or a token.
    #[arg(long, env = "AUTH", value_enum, ignore_case = true, default_value = "off", global = true)]
    pub auth: Auth,
    /// With AUTH=keys: the public keys (a JWK set, in a file or at a URL) of who signs the tokens that are taken, too.
    #[arg(long, env = "JWKS", global = true)]
    pub jwks: Option<String>,
    /// What a token must have as `iss`.
    #[arg(long, env = "JWT_ISSUER", global = true)]
    pub jwt_issuer: Option<String>,
    /// What a token must have in `aud`.
    #[arg(long, env = "JWT_AUDIENCE", global = true)]
    pub jwt_audience: Option<String>,
    /// The claim of a token that names its role: reader, writer or admin, or a list of them.
    #[arg(long, env = "JWT_ROLE_CLAIM", default_value = "role", global = true)]
    pub jwt_role_claim: String,
    /// Origins whose pages may use the API from a browser, separated by commas; `*` for any. None: no CORS.
    #[arg(long, env = "CORS_ORIGINS", value_delimiter = ',', global = true)]
    pub cors_origins: Vec<String>,
    /// Requests a second of one client, and as many at once; more are 429. 0: no limit.
    #[arg(long, env = "RATE_LIMIT", default_value_t = 0, global = true)]
    pub rate_limit: u32,
    /// Proxies before this service, each of which appends to X-Forwarded-For: who asks is what the first of them saw.
    #[arg(long, env = "PROXY_HOPS", default_value_t = 0, global = true)]
    pub proxy_hops: usize,
    /// Where the portal asks for the hardware: a host, or host:port (5001 without one).
    #[arg(long, env = "HARDWARE_HOST", default_value = "localhost", global = true)]
    pub hardware_host: String,
    /// Seconds that the portal waits for the hardware service before it shows what it knew.
    #[arg(long, env = "HARDWARE_TIMEOUT", default_value_t = 2, global = true)]
    pub hardware_timeout: u64,
    /// Seconds for which the portal shows an answer without asking again.
    #[arg(long, env = "CACHE_SECONDS", default_value_t = 30, global = true)]
    pub cache_seconds: u64,
    /// How much is logged; `info` has one line a request.
    #[arg(long, env = "LOG_LEVEL", value_enum, ignore_case = true, default_value = "info", global = true)]
    pub log_level: Level,
    /// The version that /version and the header x-crud-version name.
    #[arg(long, env = "CRUD_VERSION", default_value = env!("CARGO_PKG_VERSION"), global = true)]
    pub crud_version: String,
}

/// Where the data is when nothing is said.
const DEFAULT_DATABASE: &str = "sqlite:///data/crud.db";

impl Settings {
    /// The database, by `DATABASE_URL`, else the variables of the seeds, else the file of the image's volume. Passwords
    /// come from the environment alone (`DB_PASSWORD`, `MYSQL_PASSWORD`): a flag would show them in process lists.
    pub fn target(&self) -> anyhow::Result<Target> {
        if let Some(url) = self.database_url.as_deref().filter(|url| !url.is_empty()) {
            return Target::from_url(url).context("DATABASE_URL");
        }
        let postgres = parts(["DB_URL", "DB_USERNAME", "DB_NAME"], [&self.db_url, &self.db_username, &self.db_name])?;
        let mysql = parts(
            ["MYSQL_HOST", "MYSQL_USER", "MYSQL_DATABASE"],
            [&self.mysql_host, &self.mysql_user, &self.mysql_database],
        )?;
        let password = |name: &str| std::env::var(name).ok();
        match (postgres, mysql) {
            (None, None) => Target::from_url(DEFAULT_DATABASE),
            (Some(parts), None) => {
                Target::postgres_parts(&Parts { password: password("DB_PASSWORD"), ..parts }).context("DB_URL")
            }
            (None, Some(parts)) => {
                Target::mysql_parts(&Parts { password: password("MYSQL_PASSWORD"), ..parts }).context("MYSQL_HOST")
            }
            (Some(_), Some(_)) => bail!("DB_* and MYSQL_* name two databases: set one of them, or DATABASE_URL"),
        }
    }

    /// Where to listen.
    pub fn port(&self, service: Service) -> u16 {
        self.port.unwrap_or(match service {
            Service::All => 8080,
            Service::Hardware => 5001,
            Service::Portal => 5000,
        })
    }

    /// The words that select resources: its own for the hardware service, unless others are given.
    pub fn resources(&self, service: Service) -> Vec<String> {
        let given = !self.crud_resources.iter().all(String::is_empty);
        if service == Service::Hardware && !given { vec!["hardware".into()] } else { self.crud_resources.clone() }
    }

    /// The longest wait for a connection.
    pub fn wait(&self) -> Duration {
        Duration::from_secs(self.database_wait)
    }
}

/// Host, account and database, if any of them is given; the password is still to come.
fn parts(names: [&str; 3], values: [&Option<String>; 3]) -> anyhow::Result<Option<Parts>> {
    let [host, user, database] = values.map(|value| value.clone().filter(|value| !value.is_empty()));
    if host.is_none() && user.is_none() && database.is_none() {
        return Ok(None);
    }
    let (Some(user), Some(database)) = (user, database) else {
        bail!("{} and {} belong together: set both, or DATABASE_URL", names[1], names[2]);
    };
    Ok(Some(Parts { host, user, password: None, database }))
}
