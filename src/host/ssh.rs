//! The system's OpenSSH: one login a host. The master process is started here, since only so every argument of the user's reaches it;
//! channels are opened through its control socket.

use std::borrow::Cow;
use std::io::Write as _;
use std::os::fd::AsRawFd as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::Context as _;
use openssh_mux_client::{Connection, ForwardType, NonZeroByteSlice, Session, Socket};
use tempfile::TempDir;
use tokio::net::UnixStream;
use tokio::net::unix::pipe;
use tokio::process::Command;

use super::forward::Forwarded;
use super::process::Process;
use super::target::{ConnectError, SshTarget};

/// A login.
pub(super) struct Master {
    socket: PathBuf,
    /// Length of its log when the login was done.
    said: usize,
    folder: TempDir,
    /// An idle connection to the control socket: as long as it stands, that is as long as this process lives, the master does not
    /// take itself for unused.
    _held: Connection,
}

/// How often a server that turns logins away is asked again.
const BUSY_TRIES: usize = 6;

/// The variable in which the askpass helper finds the password: only in the environment of the `ssh` that asks.
const PASSWORD: &str = "CRUDCTL_SSH_PASSWORD";

impl Master {
    /// Logs in. A server that has too many logins under way (sshd's MaxStartups) is asked again.
    pub(super) async fn connect(target: &SshTarget) -> Result<Self, ConnectError> {
        let mut wait = Duration::from_millis(200);
        for _ in 0..BUSY_TRIES {
            match Self::login(target).await {
                Err(error) if is_busy(&error.reason) => {
                    // Not all that were turned away at once come back at once.
                    let spread = u64::from(uuid::Uuid::new_v4().as_bytes()[0]);
                    tokio::time::sleep(wait + Duration::from_millis(spread)).await;
                    wait *= 2;
                }
                other => return other,
            }
        }
        Self::login(target).await
    }

    async fn login(target: &SshTarget) -> Result<Self, ConnectError> {
        let internal = |error: std::io::Error| ConnectError {
            reason: format!("could not prepare the connection: {error}"),
            hint: None,
        };
        let folder = folder().map_err(internal)?;
        let socket = folder.path().join("ctl");
        let log = folder.path().join("log");
        let mut command = command(target, &socket, &log);
        if let Some(password) = &target.password {
            let helper = folder.path().join("askpass");
            write_helper(&helper).map_err(internal)?;
            command.env("SSH_ASKPASS", &helper).env("SSH_ASKPASS_REQUIRE", "force").env(PASSWORD, password.expose());
        }
        // ssh's own limit covers the TCP connection only.
        let limit = target.connect_timeout + Duration::from_secs(5);
        let mut child = command.spawn().map_err(|error| ConnectError {
            reason: format!("could not start ssh: {error}"),
            hint: Some("install OpenSSH's client (openssh-client)".into()),
        })?;
        let Ok(status) = tokio::time::timeout(limit, child.wait()).await else {
            let _ = child.start_kill();
            return Err(explain(&format!("Connection timed out after {} s", limit.as_secs()), target));
        };
        let status = status.map_err(internal)?;
        let text = std::fs::read_to_string(&log).unwrap_or_default();
        if !status.success() {
            return Err(explain(&text, target));
        }
        let held = Connection::connect(&socket).await.map_err(|error| ConnectError {
            reason: format!("could not reach ssh's control socket: {error}"),
            hint: None,
        })?;
        Ok(Self { _held: held, socket, said: text.len(), folder })
    }

    /// What ssh said since the login: why the connection ended.
    pub(super) fn last_words(&self) -> Option<String> {
        let text = std::fs::read_to_string(self.folder.path().join("log")).ok()?;
        let line = text.get(self.said..)?.lines().map(str::trim).rfind(|line| !line.is_empty())?;
        Some(line.to_owned())
    }

    /// Starts a command line on the host.
    pub(super) async fn spawn(&self, line: &str) -> anyhow::Result<Process> {
        let (stdin, far_stdin) = pipe::pipe()?;
        let (far_stdout, stdout) = pipe::pipe()?;
        let (far_stderr, stderr) = pipe::pipe()?;
        let far = [far_stdin.into_blocking_fd()?, far_stdout.into_blocking_fd()?, far_stderr.into_blocking_fd()?];
        let line = NonZeroByteSlice::new(line.as_bytes()).context("a command line can't hold a NUL byte")?;
        // The user's agent is forwarded where `ForwardAgent` is among the user's ssh options, and only there.
        let session = Session::builder().agent(true).cmd(Cow::Borrowed(line)).build();
        let descriptors = [far[0].as_raw_fd(), far[1].as_raw_fd(), far[2].as_raw_fd()];
        let channel = Connection::connect(&self.socket).await?.open_new_session(&session, &descriptors).await?;
        Ok(Process::ssh(stdin, stdout, stderr, channel))
    }

    /// Connects to an address as the host sees it.
    pub(super) async fn connect_tcp(&self, address: &str, port: u16) -> anyhow::Result<Forwarded> {
        let path = self.folder.path().join(format!("tcp-{}", uuid::Uuid::new_v4().simple()));
        let listen = Socket::UnixSocket { path: path.as_path().into() };
        let far = Socket::TcpSocket { port: u32::from(port), host: address.into() };
        Connection::connect(&self.socket).await?.request_port_forward(ForwardType::Local, &listen, &far).await?;
        let stream = UnixStream::connect(&path).await;
        if let Ok(mut connection) = Connection::connect(&self.socket).await {
            // What listens is only for this one connection; if it can't be taken back it ends with the login.
            let _ = connection.close_port_forward(ForwardType::Local, &listen, &far).await;
        }
        let _ = std::fs::remove_file(&path);
        Ok(Forwarded::new(stream?, format!("{address}:{port}")))
    }

    /// Whether the master process still answers.
    pub(super) async fn alive(&self) -> bool {
        match Connection::connect(&self.socket).await {
            Ok(mut connection) => connection.send_alive_check().await.is_ok(),
            Err(_) => false,
        }
    }

    /// Ends the login.
    pub(super) async fn close(&self) {
        let socket = self.socket.clone();
        let _ = tokio::task::spawn_blocking(move || terminate(&socket)).await;
    }
}

impl Drop for Master {
    fn drop(&mut self) {
        // On paths that did not close; a master that this misses ends by its idle limit.
        if self.socket.exists() {
            let _ = terminate(&self.socket);
        }
    }
}

/// Asks a master to end, as `ssh -O exit` does, without a process for it. `openssh-mux-client` has no such request; its numbers are
/// those of OpenSSH's PROTOCOL.mux. Waits, three seconds at most, until
/// the master has closed the connection; one that doesn't ends by its idle limit.
fn terminate(socket: &Path) -> std::io::Result<()> {
    const HELLO: u32 = 0x0000_0001;
    const VERSION: u32 = 4;
    const TERMINATE: u32 = 0x1000_0005;
    const REQUEST: u32 = 0;
    let mut stream = std::os::unix::net::UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(Duration::from_secs(3)))?;
    let words = [8, HELLO, VERSION, 8, TERMINATE, REQUEST];
    stream.write_all(&words.map(u32::to_be_bytes).concat())?;
    std::io::copy(&mut stream, &mut std::io::sink()).map(drop)
}

/// A folder of ours alone. The control socket's path (with 17 bytes that ssh adds for a moment) has to fit into 104.
fn folder() -> std::io::Result<TempDir> {
    let mut builder = tempfile::Builder::new();
    builder.prefix("crudctl-").permissions(std::os::unix::fs::PermissionsExt::from_mode(0o700));
    if std::env::temp_dir().as_os_str().len() > 60 { builder.tempdir_in("/tmp") } else { builder.tempdir() }
}

/// The command line. ssh takes the first value that it sees of an option: what has to be comes first, then the user's, then defaults.
fn command(target: &SshTarget, socket: &Path, log: &Path) -> Command {
    let mut command = Command::new("ssh");
    // A master that nobody closes ends by itself.
    command.args(["-o", "ControlPersist=5", "-o", "ClearAllForwardings=yes", "-o", "RemoteCommand=none"]);
    command.args(&target.common_args);
    let mut option = |text: String| {
        command.arg("-o").arg(text);
    };
    option(format!("ConnectTimeout={}", target.connect_timeout.as_secs().max(1)));
    option("ServerAliveInterval=5".into());
    option("ServerAliveCountMax=3".into());
    option("LogLevel=INFO".into());
    if !target.host_key_checking {
        option("StrictHostKeyChecking=no".into());
    }
    if target.password.is_some() {
        option("NumberOfPasswordPrompts=1".into());
        option("PreferredAuthentications=publickey,keyboard-interactive,password".into());
    } else {
        option("BatchMode=yes".into());
    }
    if let Some(key) = &target.private_key {
        command.arg("-i").arg(key).args(["-o", "IdentitiesOnly=yes"]);
    }
    if let Some(port) = target.port {
        command.arg("-p").arg(port.to_string());
    }
    if let Some(user) = &target.user {
        command.arg("-l").arg(user);
    }
    command.arg("-S").arg(socket).arg("-E").arg(log).args(["-M", "-N", "-f", "-x", "-T", "--"]).arg(&target.host);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
    // Ctrl-C at the terminal is for crudctl to handle, not for the master.
    command.process_group(0);
    command
}

/// Whether a server turned a login away before it began, as one does that has too many under way.
fn is_busy(reason: &str) -> bool {
    [
        "kex_exchange_identification",
        "Exceeded MaxStartups",
        "Connection closed by remote host",
        "ssh_exchange_identification",
    ]
    .iter()
    .any(|text| reason.contains(text))
}

/// The helper answers prompts for passwords, and never whether an unknown host is to be trusted.
fn write_helper(path: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::write(
        path,
        format!("#!/bin/sh\ncase $1 in *yes/no*|*passphrase*) exit 1 ;; esac\nprintf '%s\\n' \"${PASSWORD}\"\n"),
    )?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o700))
}

/// What ssh said, and what to do about it.
fn explain(log: &str, target: &SshTarget) -> ConnectError {
    let lines: Vec<&str> =
        log.lines().map(str::trim).filter(|l| !l.is_empty() && !l.contains("Warning: Permanently added")).collect();
    let has = |text: &str| log.contains(text);
    let host = &target.host;
    let hint = if has("REMOTE HOST IDENTIFICATION HAS CHANGED") {
        Some(format!(
            "the host key of `{host}` is not the one that is known: find out why, then `ssh-keygen -R {host}`"
        ))
    } else if has("Host key verification failed") || has("No ED25519 host key is known") || has("host key is known") {
        Some(format!(
            "the host key of `{host}` is not known yet: log in once with `ssh {host}` and compare it, or add it to known_hosts"
        ))
    } else if has("Permission denied") {
        Some("the key or password was refused: see `--private-key`, `--user`, `--ask-pass`".to_owned())
    } else if has("Could not resolve hostname") {
        Some(format!("`{host}` is no known name: see `ansible_host`"))
    } else if has("timed out") || has("No route to host") || has("Connection refused") || has("Network is unreachable")
    {
        Some("is the host up, its address and port right, and sshd running?".to_owned())
    } else {
        None
    };
    let shown = if has("REMOTE HOST IDENTIFICATION HAS CHANGED") {
        "REMOTE HOST IDENTIFICATION HAS CHANGED: Host key verification failed.".to_owned()
    } else {
        lines[lines.len().saturating_sub(3)..].join("\n")
    };
    let shown = if shown.is_empty() { "ssh ended without a word".to_owned() } else { shown };
    ConnectError { reason: format!("Failed to connect to the host via ssh: {shown}"), hint }
}
