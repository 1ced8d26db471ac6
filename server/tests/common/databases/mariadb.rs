//! MariaDB, from Debian's package `mariadb-server`.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::{Database, Stoppable, free_port, is_root, new_name, sql, text};

/// A server on a loopback port. Stopped when dropped.
pub struct MariaDb {
    folder: TempDir,
    pub port: u16,
    child: Option<Child>,
}

/// Who runs it as root's stead; Debian's package makes the account.
const ACCOUNT: &str = "mysql";

impl MariaDb {
    pub const USER: &'static str = "crud";
    pub const PASSWORD: &'static str = "cr@d:pass";

    pub fn start() -> Self {
        assert!(
            Path::new("/usr/sbin/mariadbd").exists(),
            "MariaDB is missing: install the Debian package `mariadb-server` (or set CRUD_TEST_NO_LAB=1)"
        );
        let folder = TempDir::new().expect("a folder");
        if is_root() {
            run(Command::new("chown").arg(ACCOUNT).arg(folder.path()));
        }
        let mut server = Self { folder, port: free_port(), child: None };
        let mut install = Command::new("mariadb-install-db");
        install.args(["--no-defaults", "--skip-test-db", "--auth-root-authentication-method=normal"]);
        // Of its own, since servers that start at once name their temporary tables alike.
        install.arg(format!("--tmpdir={}", text(server.folder.path())));
        run(server.as_account(install.arg(format!("--datadir={}", text(&server.data())))));
        server.up();
        let account = format!(
            "CREATE USER '{user}'@'127.0.0.1' IDENTIFIED BY '{password}'; GRANT ALL ON *.* TO '{user}'@'127.0.0.1'; \
             CREATE DATABASE crud",
            user = Self::USER,
            password = Self::PASSWORD
        );
        run(Command::new("mariadb").args([
            "--no-defaults",
            "--user=root",
            "--socket",
            &text(&server.socket()),
            "--execute",
            &account,
        ]));
        server
    }

    pub fn host(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    fn url_of(&self, database: &str) -> String {
        format!("mysql://{}:cr%40d%3Apass@127.0.0.1:{}/{database}", Self::USER, self.port)
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn socket(&self) -> PathBuf {
        self.folder.path().join("socket")
    }

    fn as_account<'c>(&self, command: &'c mut Command) -> &'c mut Command {
        if is_root() { command.arg(format!("--user={ACCOUNT}")) } else { command }
    }
}

impl Database for MariaDb {
    fn url(&self) -> String {
        self.url_of("crud")
    }

    fn fresh(&self) -> String {
        let name = new_name();
        sql(&self.url(), &format!("CREATE DATABASE {name}"));
        self.url_of(&name)
    }
}

impl Stoppable for MariaDb {
    fn down(&mut self) {
        if let Some(mut child) = self.child.take() {
            run(Command::new("kill").arg(child.id().to_string()));
            child.wait().expect("waited");
        }
    }

    /// Starts it (again) and waits until it takes connections.
    fn up(&mut self) {
        let log = std::fs::File::create(self.folder.path().join("server.log")).expect("a log");
        let mut command = Command::new("/usr/sbin/mariadbd");
        command
            .args(["--no-defaults", "--bind-address=127.0.0.1", "--skip-name-resolve", "--max-connections=120"])
            .arg(format!("--port={}", self.port))
            .arg(format!("--datadir={}", text(&self.data())))
            .arg(format!("--tmpdir={}", text(self.folder.path())))
            .arg(format!("--socket={}", text(&self.socket())))
            .arg(format!("--pid-file={}", text(&self.folder.path().join("pid"))));
        self.as_account(&mut command);
        let again = log.try_clone().expect("a log");
        self.child = Some(command.stdin(Stdio::null()).stdout(log).stderr(again).spawn().expect("it starts"));
        let end = Instant::now() + Duration::from_mins(1);
        let ping = |server: &Self| {
            let mut command = Command::new("mariadb-admin");
            command.args(["--no-defaults", "--user=root", "--socket", &text(&server.socket()), "ping"]);
            command.stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|status| status.success())
        };
        while !ping(self) {
            let said = std::fs::read_to_string(self.folder.path().join("server.log")).unwrap_or_default();
            assert!(Instant::now() < end, "MariaDB does not come up: {said}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for MariaDb {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().expect("it runs");
            child.wait().expect("waited");
        }
    }
}

fn run(command: &mut Command) {
    let output = command.stdin(Stdio::null()).output().expect("it starts");
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}
