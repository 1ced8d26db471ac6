//! Debian's `docker-registry`, one for each test: on a free port of the loopback, its data in a folder that goes with it.

use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// User and password of registries that want a login.
pub(crate) const USER: &str = "ann";
pub(crate) const PASSWORD: &str = "s3cret-Passw0rd";

/// A registry that runs.
pub(crate) struct Server {
    process: Child,
    pub(crate) port: u16,
    pub(crate) folder: TempDir,
}

impl Server {
    /// Without TLS, for everybody.
    pub(crate) fn plain() -> Self {
        Self::start("", "")
    }

    /// With TLS by a certificate that only `ca()` proves, for `USER` alone.
    pub(crate) fn locked() -> Self {
        Self::start(
            "  tls: {certificate: FOLDER/cert.pem, key: FOLDER/key.pem}\n",
            "auth: {htpasswd: {realm: test, path: FOLDER/htpasswd}}\n",
        )
    }

    fn start(tls: &str, auth: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().display().to_string();
        if !tls.is_empty() {
            certificate(folder.path());
        }
        if !auth.is_empty() {
            let line = run(Command::new("htpasswd").args(["-Bbn", USER, PASSWORD]));
            std::fs::write(folder.path().join("htpasswd"), line).expect("written");
        }
        // Between the choice of a port and its use by the registry another may take it: then there is another try.
        for _ in 0..10 {
            let port = TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a port").port();
            let config = format!(
                "version: 0.1\nlog: {{level: warn, accesslog: {{disabled: true}}}}\nstorage: {{filesystem: {{rootdirectory: FOLDER/data}}, \
                 delete: {{enabled: true}}}}\n{auth}http:\n  addr: 127.0.0.1:{port}\n{tls}"
            );
            let file = folder.path().join("config.yml");
            std::fs::write(&file, config.replace("FOLDER", &path)).expect("written");
            let log = std::fs::File::create(folder.path().join("log")).expect("a log");
            let mut process = Command::new("docker-registry")
                .arg("serve")
                .arg(&file)
                .stdout(Stdio::null())
                .stderr(log)
                .spawn()
                .expect("docker-registry (tests/run installs it)");
            let end = Instant::now() + Duration::from_secs(20);
            while process.try_wait().expect("a status").is_none() {
                if TcpStream::connect(("127.0.0.1", port)).is_ok() {
                    return Self { process, port, folder };
                }
                assert!(Instant::now() < end, "the registry does not listen");
                std::thread::sleep(Duration::from_millis(20));
            }
        }
        panic!(
            "the registry does not start: {}",
            std::fs::read_to_string(folder.path().join("log")).unwrap_or_default()
        );
    }

    /// `127.0.0.1:PORT`.
    pub(crate) fn name(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// The certificate that proves it.
    pub(crate) fn ca(&self) -> String {
        self.folder.path().join("cert.pem").display().to_string()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn certificate(folder: &Path) {
    run(Command::new("openssl")
        .current_dir(folder)
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"])
        .args(["-subj", "/CN=registry", "-addext", "subjectAltName=IP:127.0.0.1"])
        .args(["-addext", "basicConstraints=critical,CA:FALSE", "-keyout", "key.pem", "-out", "cert.pem"]));
}

/// Runs a program that must succeed; its stdout.
pub(crate) fn run(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}
