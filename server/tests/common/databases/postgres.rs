//! PostgreSQL, from Debian's package.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use tempfile::TempDir;

use super::{Database, Stoppable, free_port, is_root, new_name, sql, text};

/// A PostgreSQL server. Stopped when dropped.
pub struct Postgres {
    folder: TempDir,
    programs: PathBuf,
    pub port: u16,
    /// Who runs it, since PostgreSQL refuses root.
    account: Option<&'static str>,
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

    fn url_of(&self, database: &str) -> String {
        format!("postgres://{}:cr%40d%3Apass@127.0.0.1:{}/{database}", Self::USER, self.port)
    }

    pub fn host(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }
}

impl Database for Postgres {
    fn url(&self) -> String {
        self.url_of("postgres")
    }

    fn fresh(&self) -> String {
        let name = new_name();
        sql(&self.url(), &format!("CREATE DATABASE {name}"));
        self.url_of(&name)
    }
}

impl Stoppable for Postgres {
    fn down(&mut self) {
        self.run("pg_ctl", &["-w", "-m", "fast", "stop"], true);
    }

    /// Starts it (again), on another port if that one is taken by now.
    fn up(&mut self) {
        let options = format!(
            "-c listen_addresses=127.0.0.1 -c port={} -c unix_socket_directories={} -c max_connections=120",
            self.port,
            self.folder.path().display()
        );
        let log = self.folder.path().join("data/server.log");
        self.run("pg_ctl", &["-w", "-l", &text(&log), "-o", &options, "start"], true);
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        self.run("pg_ctl", &["-w", "-m", "immediate", "stop"], false);
    }
}
