//! A program with its three streams, here or behind an ssh channel.

use std::ffi::OsStr;
use std::path::PathBuf;
use std::pin::Pin;
use std::process::Stdio;
use std::sync::OnceLock;
use std::task::{Context, Poll};

use anyhow::Context as _;
use openssh_mux_client::EstablishedSession;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::unix::pipe;

/// Bytes to the program.
pub(super) type Input = Box<dyn AsyncWrite + Send + Unpin>;
/// Bytes from it.
pub(super) type Output = Box<dyn AsyncRead + Send + Unpin>;

/// A running program.
pub(super) struct Process {
    pub stdin: Option<Input>,
    pub stdout: Option<Output>,
    pub stderr: Option<Output>,
    child: Child,
}

/// Keeps the program alive as long as it is held.
pub(super) enum Child {
    Local { child: Box<tokio::process::Child> },
    Ssh { _channel: Box<EstablishedSession> },
}

impl Process {
    /// Starts a program on this machine, in a session of its own: with the terminal of ours, in the background of it, a program that
    /// touches the terminal (`sudo`, `stty`, a package's questions) would be stopped for ever. One that is `persistent` is not killed when it is dropped:
    /// it ends, and cleans up, when its stdin does.
    pub(super) fn local(argv: &[String], persistent: bool) -> anyhow::Result<Self> {
        let (program, arguments) = argv.split_first().context("an empty command")?;
        // `setsid` does not fork here, so that the process stays the same one.
        let mut command = tokio::process::Command::new(setsid().map_or(OsStr::new(program), |path| path.as_os_str()));
        if setsid().is_some() {
            command.arg(program);
        } else {
            command.process_group(0);
        }
        let mut child = command
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(!persistent)
            .spawn()
            .with_context(|| format!("could not start `{program}`"))?;
        Ok(Self {
            stdin: child.stdin.take().map(|s| Box::new(s) as Input),
            stdout: child.stdout.take().map(|s| Box::new(s) as Output),
            stderr: child.stderr.take().map(|s| Box::new(s) as Output),
            child: Child::Local { child: Box::new(child) },
        })
    }

    /// Takes a channel's program over.
    pub(super) fn ssh(
        stdin: pipe::Sender,
        stdout: pipe::Receiver,
        stderr: pipe::Receiver,
        channel: EstablishedSession,
    ) -> Self {
        Self::join(Box::new(stdin), Box::new(stdout), Box::new(stderr), Child::Ssh { _channel: Box::new(channel) })
    }

    /// Its process group on this machine.
    pub(super) fn group(&self) -> Option<i32> {
        match &self.child {
            Child::Local { child } => child.id().and_then(|id| i32::try_from(id).ok()),
            Child::Ssh { .. } => None,
        }
    }

    /// Puts streams and what keeps them alive together again.
    pub(super) fn join(stdin: Input, stdout: Output, stderr: Output, child: Child) -> Self {
        Self { stdin: Some(stdin), stdout: Some(stdout), stderr: Some(stderr), child }
    }

    /// Its streams, and what keeps it alive.
    pub(super) fn split(self) -> anyhow::Result<(Input, Output, Output, Child)> {
        Ok((
            self.stdin.context("no stdin")?,
            self.stdout.context("no stdout")?,
            self.stderr.context("no stderr")?,
            self.child,
        ))
    }
}

/// The program `setsid`, of util-linux or busybox.
fn setsid() -> Option<&'static PathBuf> {
    static SETSID: OnceLock<Option<PathBuf>> = OnceLock::new();
    SETSID
        .get_or_init(|| {
            let path = std::env::var_os("PATH").unwrap_or_default();
            std::env::split_paths(&path).map(|folder| folder.join("setsid")).find(|file| file.is_file())
        })
        .as_ref()
}

/// A program's stdin and stdout as one stream.
pub(super) struct Duplex {
    /// Until it is shut down: only a pipe that is dropped is closed.
    input: Option<Input>,
    output: Output,
    _child: Child,
}

impl Duplex {
    pub(super) fn new(process: Process) -> anyhow::Result<Self> {
        let (input, output, mut errors, child) = process.split()?;
        // What the program says on stderr must not block it.
        tokio::spawn(async move {
            let _ = tokio::io::copy(&mut errors, &mut tokio::io::sink()).await;
        });
        Ok(Self { input: Some(input), output, _child: child })
    }
}

impl AsyncRead for Duplex {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.output).poll_read(cx, buf)
    }
}

impl AsyncWrite for Duplex {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<std::io::Result<usize>> {
        match &mut self.input {
            Some(input) => Pin::new(input).poll_write(cx, buf),
            None => Poll::Ready(Err(std::io::ErrorKind::BrokenPipe.into())),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        match &mut self.input {
            Some(input) => Pin::new(input).poll_flush(cx),
            None => Poll::Ready(Ok(())),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        std::task::ready!(self.as_mut().poll_flush(cx))?;
        self.input = None;
        Poll::Ready(Ok(()))
    }
}
