//! Real databases, each started for one test in a folder of its own.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

/// A database that a server can be pointed at.
pub trait Database {
    /// For `DATABASE_URL`.
    fn url(&self) -> String;
}

/// A file.
pub struct Sqlite {
    folder: TempDir,
}

impl Sqlite {
    pub fn start() -> Self {
        Self { folder: TempDir::new().expect("a folder") }
    }

    pub fn file(&self) -> PathBuf {
        self.folder.path().join("data/crud.db")
    }
}

impl Database for Sqlite {
    fn url(&self) -> String {
        format!("sqlite://{}", self.file().display())
    }
}

/// A PostgreSQL server. Stopped when dropped.
pub struct Postgres {
    folder: TempDir,
    programs: PathBuf,
    pub port: u16,
    /// Who runs it, since PostgreSQL refuses root.
    account: Option<&'static str>,
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

impl Postgres {
    pub const USER: &'static str = "crud";
    pub const PASSWORD: &'static str = "cr@d:pass";

    pub fn start() -> Self {
        let programs = Self::programs();
        let folder = TempDir::new().expect("a folder");
        let account = is_root().then_some("postgres");
        if let Some(account) = account {
            let status = Command::new("chown").arg(account).arg(folder.path()).status().expect("chown");
            assert!(status.success(), "no account `{account}`: install the Debian package `postgresql`");
        }
        let mut server = Self { folder, programs, port: free_port(), account };
        let secret = server.folder.path().join("password");
        std::fs::write(&secret, Self::PASSWORD).expect("written");
        server.run(
            "initdb",
            &["-U", Self::USER, "-A", "scram-sha-256", "--pwfile", &text(&secret), "-E", "UTF8", "--no-sync"],
            true,
        );
        server.up();
        server
    }

    fn programs() -> PathBuf {
        let mut versions: Vec<PathBuf> = std::fs::read_dir("/usr/lib/postgresql")
            .map(|entries| entries.flatten().map(|entry| entry.path().join("bin")).collect())
            .unwrap_or_default();
        versions.retain(|path| path.join("initdb").exists());
        versions.sort();
        versions
            .pop()
            .expect("PostgreSQL is missing: install the Debian package `postgresql` (or set CRUD_TEST_NO_LAB=1)")
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn run(&self, program: &str, arguments: &[&str], must: bool) {
        let program = self.programs.join(program);
        let mut command = match self.account {
            Some(account) => {
                let mut command = Command::new("runuser");
                command.args(["-u", account, "--"]).arg(&program);
                command
            }
            None => Command::new(&program),
        };
        let log = self.folder.path().join("tool.log");
        let out = std::fs::File::create(&log).expect("a log");
        let again = out.try_clone().expect("a log");
        command.args(["-D", &text(&self.data())]).args(arguments);
        // To a file: a server that is started in the background would keep a pipe open.
        let status =
            command.stdin(Stdio::null()).stdout(out).stderr(again).current_dir("/").status().expect("it starts");
        let said = std::fs::read_to_string(&log).unwrap_or_default();
        assert!(status.success() || !must, "{} failed: {said}", program.display());
    }

    /// Starts it (again), on another port if that one is taken by now.
    pub fn up(&mut self) {
        let options = format!(
            "-c listen_addresses=127.0.0.1 -c port={} -c unix_socket_directories={} -c max_connections=120",
            self.port,
            self.folder.path().display()
        );
        let log = self.folder.path().join("data/server.log");
        self.run("pg_ctl", &["-w", "-l", &text(&log), "-o", &options, "start"], true);
    }

    pub fn down(&self) {
        self.run("pg_ctl", &["-w", "-m", "fast", "stop"], true);
    }

    pub fn host(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }
}

impl Database for Postgres {
    fn url(&self) -> String {
        format!("postgres://{}:cr%40d%3Apass@127.0.0.1:{}/postgres", Self::USER, self.port)
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        self.run("pg_ctl", &["-w", "-m", "immediate", "stop"], false);
    }
}

fn text(path: &Path) -> String {
    path.display().to_string()
}
