//! A session: one login, and a persistent shell for each user that scripts run as.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::process::{Duplex, Process};
use super::script::Upload;
use super::shell::{Entry, EntryReply, GoOn, Shell};
use super::ssh::Master;
use super::target::{Become, ConnectError, Lost, Target, Transport};
use super::{nonce, privilege};
use crate::modules::contract::{ASK, ByteStream, CONVERGED, DRIFT};

/// Uploads up to this size, in bytes, travel in front of their batch; larger ones on a channel of their own.
const IN_BAND: usize = 128 * 1024;

/// A connection to a host; clones share it.
#[derive(Clone)]
pub struct Session(Arc<Inner>);

type Slot = Arc<tokio::sync::Mutex<Option<Shell>>>;

struct Inner {
    target: Target,
    link: tokio::sync::RwLock<Link>,
    shells: Mutex<HashMap<Option<Become>, Slot>>,
    round_trips: AtomicU64,
    bytes_up: AtomicU64,
}

#[derive(Clone)]
enum Link {
    Local,
    Ssh(Arc<Master>),
}

impl Session {
    /// Logs in.
    ///
    /// # Errors
    /// Why that did not work, with a hint.
    pub async fn connect(target: &Target) -> Result<Self, ConnectError> {
        let link = link(target).await?;
        Ok(Self(Arc::new(Inner {
            target: target.clone(),
            link: tokio::sync::RwLock::new(link),
            shells: Mutex::default(),
            round_trips: AtomicU64::new(0),
            bytes_up: AtomicU64::new(0),
        })))
    }

    /// Runs a batch as `who`: one item for each entry that the host reached, in order. The channel closes where the batch ended,
    /// was stopped by a guard, or behind an error.
    pub fn run(&self, who: Option<Become>, batch: Vec<Entry>) -> UnboundedReceiver<Result<EntryReply, Lost>> {
        let (send, receive) = unbounded_channel();
        let inner = Arc::clone(&self.0);
        tokio::spawn(async move {
            if let Err(lost) = inner.batch(who, &batch, &send).await {
                let _ = send.send(Err(lost));
            }
        });
        receive
    }

    /// Starts a program on a channel of its own; the stream is its stdin and stdout.
    ///
    /// # Errors
    /// When the channel, or the other user, can't be had.
    pub async fn open(&self, who: Option<Become>, argv: Vec<String>) -> anyhow::Result<Box<dyn ByteStream>> {
        let process = self.0.start(who.as_ref(), &argv).await?;
        Ok(Box::new(Duplex::new(process)?))
    }

    /// Connects to an address as the host sees it.
    ///
    /// # Errors
    /// When nothing listens there, or the host does not forward connections.
    pub async fn connect_tcp(&self, address: &str, port: u16) -> anyhow::Result<Box<dyn ByteStream>> {
        match &*self.0.link.read().await {
            Link::Local => Ok(Box::new(tokio::net::TcpStream::connect((address, port)).await?)),
            Link::Ssh(master) => Ok(Box::new(master.connect_tcp(address, port).await?)),
        }
    }

    /// Drops the connection and makes it again, as often as it takes.
    ///
    /// # Errors
    /// The last reason, when time is over.
    pub async fn reconnect(&self, timeout: Duration) -> anyhow::Result<()> {
        let end = Instant::now() + timeout;
        self.0.shells.lock().unwrap_or_else(PoisonError::into_inner).clear();
        let mut link_slot = self.0.link.write().await;
        if let Link::Ssh(master) = &*link_slot {
            master.close().await;
        }
        loop {
            match link(&self.0.target).await {
                Ok(new) => {
                    *link_slot = new;
                    return Ok(());
                }
                Err(error) if Instant::now() >= end => bail!("timed out waiting for the connection: {error}"),
                Err(_) => tokio::time::sleep(Duration::from_millis(500)).await,
            }
        }
    }

    /// Ends the shells and the login.
    pub async fn close(&self) {
        let shells: Vec<Slot> =
            self.0.shells.lock().unwrap_or_else(PoisonError::into_inner).drain().map(|(_, slot)| slot).collect();
        for slot in shells {
            // A shell that still runs a batch is cut off with the login.
            if let Ok(mut slot) = slot.try_lock()
                && let Some(shell) = slot.take()
            {
                shell.close().await;
            }
        }
        if let Link::Ssh(master) = &*self.0.link.read().await {
            master.close().await;
        }
    }

    /// Round trips so far: batches, and channels that were opened for streams.
    pub fn round_trips(&self) -> u64 {
        self.0.round_trips.load(Ordering::Relaxed)
    }

    /// Bytes that were written to shells.
    pub fn bytes_up(&self) -> u64 {
        self.0.bytes_up.load(Ordering::Relaxed)
    }

    /// Whether this is the machine itself.
    pub fn is_local(&self) -> bool {
        matches!(self.0.target.transport, Transport::Local)
    }
}

async fn link(target: &Target) -> Result<Link, ConnectError> {
    Ok(match &target.transport {
        Transport::Local => Link::Local,
        Transport::Ssh(ssh) => Link::Ssh(Arc::new(Master::connect(ssh).await?)),
    })
}

impl Inner {
    /// Starts a program as `who`. A password is written only once it is asked for.
    async fn start(&self, who: Option<&Become>, argv: &[String]) -> anyhow::Result<Process> {
        let nonce = nonce();
        let password = who.and_then(|w| w.password.as_ref());
        let argv: Vec<String> = match password {
            None => argv.to_vec(),
            // Says that it runs, so that one can tell whether the password is wanted at all.
            Some(_) => ["sh", "-c", &format!("echo {nonce}; exec \"$@\""), "sh"]
                .into_iter()
                .map(str::to_owned)
                .chain(argv.iter().cloned())
                .collect(),
        };
        let line = privilege::command_line(who, &argv, &nonce).map_err(anyhow::Error::msg)?;
        let link = self.link.read().await.clone();
        let process = match link {
            Link::Local if who.is_none() => Process::local(&argv)?,
            Link::Local => Process::local(&["sh".into(), "-c".into(), line])?,
            Link::Ssh(master) => {
                self.round_trips.fetch_add(1, Ordering::Relaxed);
                master.spawn(&line).await.context("could not open another channel")?
            }
        };
        match (who, password) {
            (Some(who), Some(password)) => ask(process, who, password.expose(), &nonce).await,
            _ => Ok(process),
        }
    }

    async fn batch(
        &self,
        who: Option<Become>,
        batch: &[Entry],
        send: &UnboundedSender<Result<EntryReply, Lost>>,
    ) -> Result<(), Lost> {
        let slot =
            Arc::clone(self.shells.lock().unwrap_or_else(PoisonError::into_inner).entry(who.clone()).or_default());
        let mut slot = slot.lock().await;
        if slot.is_none() {
            let process = self.start(who.as_ref(), &["sh".to_owned()]).await.map_err(|error| match &who {
                Some(_) => Lost::Become(format!("{error:#}")),
                None => Lost::Disconnected(format!("{error:#}")),
            })?;
            let shell = Shell::new(process, &nonce()).map_err(|error| Lost::Disconnected(error.to_string()))?;
            // Opening a channel is told apart from the batch that follows at once.
            self.round_trips.fetch_sub(u64::from(!self.is_local()), Ordering::Relaxed);
            *slot = Some(shell);
        }
        let Some(shell) = slot.as_mut() else { return Ok(()) };
        let fresh = shell.uploaded.is_empty();
        let result = self.converse(who.as_ref(), shell, batch, send).await;
        if let Err(lost) = result {
            *slot = None;
            return Err(match (lost, who) {
                // A shell that never said a word: the other user could not be had.
                (Lost::Disconnected(text), Some(who)) if fresh && self.answers().await => {
                    Lost::Become(privilege::explain(&who, &text))
                }
                (Lost::Disconnected(text), _) if text.is_empty() => Lost::Disconnected("the host closed it".into()),
                (lost, _) => lost,
            });
        }
        Ok(())
    }

    fn is_local(&self) -> bool {
        matches!(self.target.transport, Transport::Local)
    }

    /// Whether the login itself still stands.
    async fn answers(&self) -> bool {
        match &*self.link.read().await {
            Link::Local => true,
            Link::Ssh(master) => master.alive().await,
        }
    }

    async fn converse(
        &self,
        who: Option<&Become>,
        shell: &mut Shell,
        batch: &[Entry],
        send: &UnboundedSender<Result<EntryReply, Lost>>,
    ) -> Result<(), Lost> {
        let uploads = self.uploads(who, shell, batch).await?;
        let bytes = shell.write(batch, &uploads).await?;
        self.bytes_up.fetch_add(bytes, Ordering::Relaxed);
        self.round_trips.fetch_add(1, Ordering::Relaxed);
        for entry in batch {
            let mut reply = EntryReply::default();
            let stopped = match self.entry(who, shell, entry, &mut reply).await? {
                Ran::Stopped => return Ok(()),
                Ran::Ended { stops } => stops,
            };
            if send.send(Ok(reply)).is_err() {
                break;
            }
            if stopped {
                break;
            }
        }
        // To the mark of the batch's end, so that the next batch starts clean.
        while shell.next().await?.0 != b'z' {}
        Ok(())
    }

    async fn entry(
        &self,
        who: Option<&Become>,
        shell: &mut Shell,
        entry: &Entry,
        out: &mut EntryReply,
    ) -> Result<Ran, Lost> {
        let GoOn { drift, ask, failed } = entry.go_on;
        if entry.check.is_some() {
            let (kind, reply) = self.limited(who, shell, entry.timeout).await?;
            if kind == b'z' {
                return Ok(Ran::Stopped);
            }
            let status = reply.status;
            out.check = Some(reply);
            match status {
                CONVERGED => return Ok(Ran::Ended { stops: false }),
                DRIFT if entry.apply.is_none() => return Ok(Ran::Ended { stops: !drift }),
                DRIFT => {}
                ASK => return Ok(Ran::Ended { stops: !ask }),
                _ => return Ok(Ran::Ended { stops: !failed }),
            }
        }
        let (kind, reply) = self.limited(who, shell, entry.timeout).await?;
        if kind == b'z' {
            return Ok(Ran::Stopped);
        }
        let stops = reply.status == ASK || (reply.status != 0 && !failed);
        out.apply = Some(reply);
        Ok(Ran::Ended { stops })
    }

    async fn limited(
        &self,
        who: Option<&Become>,
        shell: &mut Shell,
        limit: Option<Duration>,
    ) -> Result<(u8, super::script::Reply), Lost> {
        let Some(limit) = limit else { return shell.next().await };
        if let Ok(reply) = tokio::time::timeout(limit, shell.next()).await {
            return reply;
        }
        if let Some(pid) = shell.pid {
            self.kill(who, pid).await;
        }
        Err(Lost::TimedOut(limit))
    }

    /// Kills what runs in a shell, and the shell: its whole process group.
    async fn kill(&self, who: Option<&Become>, pid: i32) {
        let script = format!(
            "g=$(cut -d' ' -f5 /proc/{pid}/stat 2>/dev/null); [ -n \"$g\" ] || g={pid}; \
             kill -KILL -$g 2>/dev/null || kill -KILL {pid} 2>/dev/null; true"
        );
        if let Ok(process) = self.start(who, &["sh".into(), "-c".into(), script]).await
            && let Ok((input, mut output, _, _child)) = process.split()
        {
            drop(input);
            let mut sink = vec![];
            let _ = tokio::time::timeout(Duration::from_secs(10), output.read_to_end(&mut sink)).await;
        }
    }

    /// Puts files where scripts expect them; returns text to run in front of the batch for those that travel with it.
    async fn uploads(&self, who: Option<&Become>, shell: &mut Shell, batch: &[Entry]) -> Result<String, Lost> {
        let scripts = batch.iter().flat_map(|entry| entry.check.iter().chain(&entry.apply));
        let mut missing: Vec<&Upload> = vec![];
        for upload in scripts.flat_map(|script| &script.uploads) {
            if shell.uploaded.insert(upload.sha256.clone()) {
                missing.push(upload);
            }
        }
        let mut text = String::new();
        if missing.is_empty() {
            return Ok(text);
        }
        text.push_str("[ -d \"$crud_dir\" ] || mkdir -m 700 \"$crud_dir\"\n");
        for upload in missing {
            if upload.bytes.len() > IN_BAND && self.upload_apart(who, &shell.directory, upload).await.is_ok() {
                continue;
            }
            let base64 = STANDARD.encode(&upload.bytes);
            let name = &upload.sha256;
            text.push_str(&format!("base64 -d >\"$crud_dir/{name}\" <<'{name}'\n"));
            for line in base64.as_bytes().chunks(8190) {
                text.push_str(std::str::from_utf8(line).unwrap_or_default());
                text.push('\n');
            }
            text.push_str(&format!("{name}\n"));
        }
        Ok(text)
    }

    /// Writes a file over a channel of its own, and has its size (and hash, where the host can) compared.
    async fn upload_apart(&self, who: Option<&Become>, directory: &str, upload: &Upload) -> anyhow::Result<()> {
        let script = format!(
            "umask 077; d={directory}; [ -d $d ] || mkdir -m 700 $d || exit 1; f=$d/{name}; cat >$f.part || exit 1; \
             [ \"$(wc -c <$f.part | tr -d ' ')\" = {size} ] || exit 1; \
             if command -v sha256sum >/dev/null 2>&1; then echo {name}' '$f.part | sha256sum -c >/dev/null 2>&1 || exit 1; fi; \
             mv $f.part $f && echo stored",
            name = upload.sha256,
            size = upload.bytes.len(),
        );
        let process = self.start(who, &["sh".into(), "-c".into(), script]).await?;
        let (mut input, mut output, _errors, _child) = process.split()?;
        input.write_all(&upload.bytes).await?;
        input.shutdown().await?;
        drop(input);
        self.bytes_up.fetch_add(upload.bytes.len() as u64, Ordering::Relaxed);
        let mut answer = String::new();
        output.read_to_string(&mut answer).await?;
        anyhow::ensure!(answer.trim() == "stored", "the host did not store the upload");
        Ok(())
    }
}

enum Ran {
    /// The batch had been stopped before.
    Stopped,
    /// The entry was run.
    Ended { stops: bool },
}

/// Waits for the prompt or for the program, whichever comes, and answers the prompt once.
async fn ask(process: Process, who: &Become, password: &str, nonce: &str) -> anyhow::Result<Process> {
    let (mut stdin, mut stdout, mut stderr, child) = process.split()?;
    let mut said = vec![];
    let mut complained = String::new();
    let mut answered = false;
    let mut listening = true;
    let (mut a, mut b) = ([0u8; 1], [0u8; 1]);
    loop {
        tokio::select! {
            n = stdout.read(&mut a) => {
                if n.unwrap_or(0) == 0 {
                    let mut rest = String::new();
                    let _ = tokio::time::timeout(Duration::from_secs(1), stderr.read_to_string(&mut rest)).await;
                    bail!(privilege::explain(who, &format!("{complained}{rest}")));
                }
                said.push(a[0]);
                if said.ends_with(format!("{nonce}\n").as_bytes()) {
                    break;
                }
            }
            n = stderr.read(&mut b), if listening => {
                if n.unwrap_or(0) == 0 {
                    listening = false;
                    continue;
                }
                complained.push(char::from(b[0]));
                if complained.ends_with(nonce) {
                    if answered {
                        bail!(privilege::explain(who, "incorrect password"));
                    }
                    answered = true;
                    stdin.write_all(format!("{password}\n").as_bytes()).await?;
                    stdin.flush().await?;
                }
            }
        }
    }
    Ok(Process::join(stdin, stdout, stderr, child))
}
