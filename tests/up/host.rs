//! A machine of the lab with a project that is rolled out to it.

use std::fmt::Write as _;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;

use crate::lab::lab;

/// A machine, and the folder of a project.
pub(crate) struct Host {
    name: String,
    line: String,
    folder: TempDir,
}

/// What a command said, both streams, and its exit status.
pub(crate) struct Said {
    text: String,
    status: Option<i32>,
}

impl Said {
    pub(crate) fn expect(&self, status: i32, part: &str) {
        assert!(self.status == Some(status) && self.text.contains(part), "not {status} and `{part}`: {self}");
    }

    /// The word after `mark`.
    pub(crate) fn after(&self, mark: &str) -> &str {
        let rest = self.text.split_once(mark).unwrap_or_else(|| panic!("no `{mark}` in: {self}")).1;
        rest.split_whitespace().next().unwrap_or_default()
    }

    pub(crate) fn round_trips(&self) -> u32 {
        let before = self.text.split_once(" round trips").unwrap_or_else(|| panic!("no round trips: {self}")).0;
        before.rsplit(' ').next().and_then(|n| n.parse().ok()).expect("a number of round trips")
    }
}

impl std::fmt::Display for Said {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "status {:?}\n{}", self.status, self.text)
    }
}

impl Host {
    /// Boots a fresh one.
    pub(crate) fn up(name: &str, more: &[&str]) -> Self {
        let said = lab(&[&["host", "up", name], more].concat());
        let line = said.lines().last().expect("an inventory line").to_owned();
        let folder = tempfile::tempdir().expect("a folder");
        let host = Self { name: name.to_owned(), line, folder };
        host.inventory(&host.line);
        host
    }

    /// Leads the host to the lab's download.docker.com.
    pub(crate) fn trust_docker_com(&self) {
        lab(&["docker-com", "up"]);
        lab(&["docker-com", "trust", &self.name]);
    }

    /// Calls the host by another name in the inventory.
    pub(crate) fn inventory_name(&self, name: &str) {
        let rest = self.line.split_once(' ').expect("a name and variables").1;
        self.inventory(&format!("{name} {rest}"));
    }

    /// Logs in as another user.
    pub(crate) fn inventory_user(&self, user: &str) {
        self.inventory(&self.line.replace("ansible_user=deploy", &format!("ansible_user={user}")));
    }

    fn inventory(&self, line: &str) {
        std::fs::write(self.folder.path().join("hosts.ini"), line).expect("written");
    }

    /// Writes the project file.
    pub(crate) fn project(&self, text: &str) {
        std::fs::write(self.folder.path().join("crudctl.yaml"), format!("inventory: hosts.ini\n{text}"))
            .expect("written");
    }

    /// Writes a playbook beside the project file.
    pub(crate) fn playbook(&self, name: &str, text: &str) {
        std::fs::write(self.folder.path().join(name), text).expect("written");
    }

    /// A self-signed certificate and its key, beside the project file.
    pub(crate) fn certificate(&self) {
        let output = Command::new("openssl")
            .current_dir(self.folder.path())
            .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"])
            .args(["-subj", "/CN=crud.example.org", "-keyout", "key.pem", "-out", "cert.pem"])
            .output()
            .expect("openssl");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_crudctl"));
        command.current_dir(self.folder.path()).args(arguments).args(["--output", "plain"]);
        command
    }

    pub(crate) fn crudctl(&self, arguments: &[&str]) -> Said {
        let output = self.command(arguments).output().expect("crudctl");
        let mut text = String::from_utf8_lossy(&output.stdout).into_owned();
        let _ = write!(text, "{}", String::from_utf8_lossy(&output.stderr));
        Said { text, status: output.status.code() }
    }

    /// What stdout says with `--output json`, line by line; a line that is no JSON is null.
    pub(crate) fn events(&self, arguments: &[&str]) -> Vec<serde_json::Value> {
        let mut command = Command::new(env!("CARGO_BIN_EXE_crudctl"));
        let output = command.current_dir(self.folder.path()).args(arguments).args(["--output", "json"]).output();
        let output = output.expect("crudctl");
        let text = String::from_utf8_lossy(&output.stdout);
        text.lines().map(|line| serde_json::from_str(line).unwrap_or_default()).collect()
    }

    pub(crate) fn start(&self, arguments: &[&str]) -> Child {
        self.command(arguments).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("crudctl")
    }

    pub(crate) fn ssh(&self, command: &str) -> String {
        lab(&["host", "ssh", &self.name, command])
    }

    pub(crate) fn ssh_as(&self, user: &str, command: &str) -> String {
        lab(&["host", "ssh", &format!("{user}@{}", self.name), command])
    }

    pub(crate) fn address(&self) -> String {
        let rest = self.line.split_once("ansible_host=").expect("an address").1;
        rest.split(' ').next().expect("an address").to_owned()
    }

    pub(crate) fn http(&self, method: &str, path: &str, body: &str) -> String {
        http(&self.address(), method, path, body).expect("an answer")
    }

    pub(crate) fn https(&self, method: &str, path: &str, body: &str) -> String {
        let url = format!("https://crud.example.org{path}");
        let output = Command::new("curl")
            .current_dir(self.folder.path())
            .args(["-sS", "-i", "--cacert", "cert.pem", "-X", method, "-H", "content-type: application/json"])
            .args(["--resolve", &format!("crud.example.org:443:{}", self.address()), "--data-binary", body, &url])
            .output()
            .expect("curl");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// All that a plan might change: files with their sizes and times, packages, containers, processes that listen.
    pub(crate) fn picture(&self) -> String {
        self.ssh(
            "find /etc /usr /opt /srv /home /root /var/lib -xdev -printf '%p %s %m %u %T@\\n' 2>/dev/null | sort; \
             if command -v docker >/dev/null; then docker ps -a --no-trunc --format '{{.ID}} {{.Names}}'; docker images -q; fi",
        )
    }

    /// Fails, with the lines that differ, where the machine is not as it was.
    pub(crate) fn expect_picture(&self, before: &str, who: &str) {
        let now = self.picture();
        let lines = |text: &str, other: &str| {
            let other: std::collections::HashSet<&str> = other.lines().collect();
            text.lines().filter(|line| !other.contains(line)).map(str::to_owned).collect::<Vec<_>>()
        };
        assert!(now == before, "{who} changed the machine: {:?} became {:?}", lines(before, &now), lines(&now, before));
    }

    /// Another operator's shell, which holds the lock until this is dropped.
    pub(crate) fn hold_lock(&self) -> Holder<'_> {
        self.ssh(
            "nohup sh -c 'printf \"%s\\nbob@desk since noon\\n\" \"$$ $(cut -d \\  -f 22 /proc/$$/stat)\" >/var/lib/crudctl/lock; sleep 600; :' >/dev/null 2>&1 & \
             until [ -s /var/lib/crudctl/lock ]; do sleep 0.1; done",
        );
        Holder(self)
    }

    /// ssh masters to this host that run here.
    pub(crate) fn masters(&self) -> usize {
        let address = self.address();
        let all = std::fs::read_dir("/proc").expect("/proc").filter_map(Result::ok);
        all.filter_map(|entry| std::fs::read(entry.path().join("cmdline")).ok())
            .filter(|line| {
                let words: Vec<String> = line.split(|b| *b == 0).map(|w| String::from_utf8_lossy(w).into()).collect();
                words.first().is_some_and(|w| w.starts_with("ssh")) && words.iter().any(|w| w.contains(&address))
            })
            .count()
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let _ = Command::new("tests/lab/lab").args(["host", "down", &self.name]).output();
    }
}

/// Another operator.
pub(crate) struct Holder<'a>(&'a Host);

impl Drop for Holder<'_> {
    fn drop(&mut self) {
        self.0.ssh("kill $(cut -d ' ' -f 1 /var/lib/crudctl/lock | head -n 1); rm /var/lib/crudctl/lock");
    }
}

/// One request on a connection of its own.
pub(crate) fn http(address: &str, method: &str, path: &str, body: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect((address, 80))?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    let length = body.len();
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nhost: crud\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
    )?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    Ok(text)
}
