//! A session: one login, and a persistent shell for each user that scripts run as.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::atomic::{AtomicI32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::bail;
use tokio::io::AsyncReadExt as _;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::link::Link;
use super::process::{Duplex, Process};
use super::script::{Reply, Script, Upload, quote_all};
use super::shell::{self, Entry, EntryReply, GoOn, Shell};
use super::target::{Become, ConnectError, Lost, Target, Transport};
use super::upload::{self, Unstored};
use super::{journal, nonce, privilege};
use crate::modules::contract::{ASK, ByteStream, CONVERGED, DRIFT};

/// A connection to a host; clones share it.
#[derive(Clone)]
pub struct Session(Arc<Inner>);

/// A user's place for a shell.
#[derive(Default)]
struct Slot {
    shell: tokio::sync::Mutex<Option<Shell>>,
    /// The shell's process group, where it is on this machine.
    group: AtomicI32,
}

struct Inner {
    target: Target,
    link: tokio::sync::RwLock<Link>,
    shells: Mutex<HashMap<Option<Become>, Arc<Slot>>>,
    round_trips: AtomicU64,
    bytes_up: AtomicU64,
    /// Lines that the users' journals of owed handlers hold.
    owed: Mutex<Journals>,
}

/// Lines by user; whether an earlier run wrote them.
type Journals = HashMap<Option<Become>, BTreeMap<String, bool>>;

impl Session {
    /// Logs in.
    ///
    /// # Errors
    /// Why that did not work, with a hint.
    pub async fn connect(target: &Target) -> Result<Self, ConnectError> {
        let link = Link::connect(target).await?;
        Ok(Self(Arc::new(Inner {
            target: target.clone(),
            link: tokio::sync::RwLock::new(link),
            shells: Mutex::default(),
            round_trips: AtomicU64::new(0),
            bytes_up: AtomicU64::new(0),
            owed: Mutex::default(),
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

    /// The host's name.
    pub fn name(&self) -> &str {
        &self.0.target.name
    }

    /// Lines of the journals of owed handlers, and whether an earlier run wrote them; of users whose shells were started.
    pub fn owed(&self) -> Vec<(String, bool)> {
        self.0.owed().values().flatten().map(|(line, earlier)| (line.clone(), *earlier)).collect()
    }

    /// Writes lines to a user's journal.
    ///
    /// # Errors
    /// The connection was lost.
    pub async fn owe(&self, who: Option<&Become>, lines: &[String]) -> Result<(), Lost> {
        self.journal(who, journal::write(lines)).await?;
        self.0.owing(who, lines, false);
        Ok(())
    }

    /// Takes note of lines that a guarded script wrote, since it changed something.
    pub fn owing(&self, who: Option<&Become>, lines: &[String]) {
        self.0.owing(who, lines, false);
    }

    /// Strikes lines out of the journals that hold them.
    ///
    /// # Errors
    /// The connection was lost.
    pub async fn strike(&self, lines: &BTreeSet<String>) -> Result<(), Lost> {
        let users: Vec<(Option<Become>, Vec<String>)> = self
            .0
            .owed()
            .iter()
            .map(|(who, owed)| (who.clone(), owed.keys().filter(|line| lines.contains(*line)).cloned().collect()))
            .filter(|(_, found): &(_, Vec<String>)| !found.is_empty())
            .collect();
        for (who, found) in users {
            self.journal(who.as_ref(), journal::strike(&found)).await?;
            self.0.owed().entry(who).or_default().retain(|line, _| !lines.contains(line));
        }
        Ok(())
    }

    async fn journal(&self, who: Option<&Become>, script: Script) -> Result<(), Lost> {
        let mut replies = self.run(who.cloned(), vec![Entry { apply: Some(script), ..Entry::default() }]);
        replies.recv().await.unwrap_or_else(|| Err(Lost::Disconnected("the host gave no reply".into()))).map(drop)
    }

    /// Starts a program on a channel of its own; the stream is its stdin and stdout.
    ///
    /// # Errors
    /// When the channel, or the other user, can't be had.
    pub async fn open(&self, who: Option<Become>, argv: Vec<String>) -> anyhow::Result<Box<dyn ByteStream>> {
        self.0.round_trips.fetch_add(u64::from(!self.is_local()), Ordering::Relaxed);
        let process = self.0.start(who.as_ref(), &argv, false).await?;
        Ok(Box::new(Duplex::new(process)?))
    }

    /// Connects to an address as the host sees it.
    ///
    /// # Errors
    /// When nothing listens there, or the host does not forward connections.
    pub async fn connect_tcp(&self, address: &str, port: u16) -> anyhow::Result<Box<dyn ByteStream>> {
        let link = self.0.link.read().await.clone();
        link.connect_tcp(address, port).await
    }

    /// Drops the connection and makes it again, as often as it takes.
    ///
    /// # Errors
    /// The last reason, when time is over.
    pub async fn reconnect(&self, timeout: Duration) -> anyhow::Result<()> {
        let end = Instant::now() + timeout;
        self.0.shells.lock().unwrap_or_else(PoisonError::into_inner).clear();
        let mut link = self.0.link.write().await;
        link.close().await;
        loop {
            match Link::connect(&self.0.target).await {
                Ok(new) => {
                    *link = new;
                    return Ok(());
                }
                Err(error) if Instant::now() >= end => bail!("timed out waiting for the connection: {error}"),
                Err(_) => tokio::time::sleep(Duration::from_millis(500)).await,
            }
        }
    }

    /// Ends the shells and the login. A batch that still runs is stopped: on this machine at once, on another behind the script
    /// that it is at.
    pub async fn close(&self) {
        let slots: Vec<Arc<Slot>> =
            self.0.shells.lock().unwrap_or_else(PoisonError::into_inner).drain().map(|(_, slot)| slot).collect();
        let local = self.is_local();
        let mut shells = vec![];
        for slot in &slots {
            match slot.shell.try_lock() {
                Ok(mut shell) => shells.extend(shell.take()),
                Err(_) => slot.interrupt(),
            }
        }
        let (waited, others): (Vec<Shell>, Vec<Shell>) =
            shells.into_iter().partition(|shell| local || shell.has_files());
        futures_util::future::join_all(waited.into_iter().map(Shell::close)).await;
        self.0.link.read().await.close().await;
        // Only now: a stdin that ended while the login stood would be another round trip.
        drop(others);
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

impl Slot {
    /// Ends what runs on this machine.
    fn interrupt(&self) {
        let group = self.group.load(Ordering::Relaxed);
        if group > 0 {
            let _ = nix::sys::signal::killpg(nix::unistd::Pid::from_raw(group), nix::sys::signal::Signal::SIGTERM);
        }
    }
}

impl Inner {
    fn owed(&self) -> std::sync::MutexGuard<'_, Journals> {
        self.owed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn owing(&self, who: Option<&Become>, lines: &[String], earlier: bool) {
        for line in lines {
            self.owed().entry(who.cloned()).or_default().entry(line.clone()).or_insert(earlier);
        }
    }

    /// Starts a program as `who`. A password is written only once it is asked for.
    async fn start(&self, who: Option<&Become>, argv: &[String], persistent: bool) -> anyhow::Result<Process> {
        let link = self.link.read().await.clone();
        let Some(who) = who else {
            return match &link {
                Link::Local => Process::local(argv, persistent),
                Link::Ssh(_) => link.spawn(&format!("exec {}", quote_all(argv)), persistent).await,
            };
        };
        let nonce = nonce();
        let command = privilege::command_line(who, argv, &nonce).map_err(anyhow::Error::msg)?;
        let process = link.spawn(&command, persistent).await?;
        match &who.password {
            Some(password) => privilege::ask(process, who, password.expose(), &nonce).await,
            None => Ok(process),
        }
    }

    /// Starts a shell, with the batch in the request where that can be and is wanted.
    async fn shell(&self, who: Option<&Become>, batch: &[Entry], wanted: bool) -> anyhow::Result<Started> {
        let opening_nonce = nonce();
        let opening = if wanted { shell::opening(batch, &opening_nonce) } else { None };
        let mut argv = vec!["sh".to_owned()];
        if let Some(arguments) = &opening {
            self.bytes_up.fetch_add(arguments.iter().map(|a| a.len() as u64).sum(), Ordering::Relaxed);
            argv.extend_from_slice(arguments);
        }
        let process = self.start(who, &argv, true).await?;
        let group = process.group().unwrap_or(0);
        let shell = Shell::new(process, opening.is_some().then_some(&*opening_nonce), &nonce())?;
        Ok(Started { shell, group, travels: opening.is_some() })
    }

    async fn batch(
        &self,
        who: Option<Become>,
        batch: &[Entry],
        send: &UnboundedSender<Result<EntryReply, Lost>>,
    ) -> Result<(), Lost> {
        let slot =
            Arc::clone(self.shells.lock().unwrap_or_else(PoisonError::into_inner).entry(who.clone()).or_default());
        let mut place = slot.shell.lock().await;
        // `sudo -i` would take newlines out of the text.
        let mut opening = !self.is_local() && who.as_ref().is_none_or(|who| who.flags.is_none());
        loop {
            let mut travels = false;
            if place.is_none() {
                let started = match self.shell(who.as_ref(), batch, opening).await {
                    Ok(started) => started,
                    Err(error) if who.is_some() && self.alive().await => {
                        return Err(Lost::Become(format!("{error:#}")));
                    }
                    Err(error) => return Err(Lost::Disconnected(format!("{error:#}"))),
                };
                slot.group.store(started.group, Ordering::Relaxed);
                travels = started.travels;
                *place = Some(started.shell);
            }
            let Some(shell) = place.as_mut() else { return Ok(()) };
            let result = self.converse(who.as_ref(), shell, batch, travels, send).await;
            let Err(lost) = result else { return Ok(()) };
            let silent = !shell.spoke;
            *place = None;
            let Lost::Disconnected(text) = lost else { return Err(lost) };
            let alive = self.alive().await;
            if travels && silent && alive {
                // A login shell that is no sh may not take such a request.
                opening = false;
                continue;
            }
            return Err(match who {
                // A shell that never said a word: the other user could not be had.
                Some(who) if silent && alive => Lost::Become(privilege::explain(&who, &text)),
                _ => Lost::Disconnected(self.why(text, alive).await),
            });
        }
    }

    /// Why a connection was lost, in words.
    async fn why(&self, text: String, alive: bool) -> String {
        let words = if alive { None } else { self.link.read().await.last_words() };
        match words {
            Some(words) => words,
            None if !text.is_empty() => text,
            None if alive => "the shell on the host was ended".into(),
            None => "the host closed it".into(),
        }
    }

    fn is_local(&self) -> bool {
        matches!(self.target.transport, Transport::Local)
    }

    /// Whether the login itself still stands.
    async fn alive(&self) -> bool {
        let link = self.link.read().await.clone();
        link.alive().await
    }

    async fn converse(
        &self,
        who: Option<&Become>,
        shell: &mut Shell,
        batch: &[Entry],
        travels: bool,
        send: &UnboundedSender<Result<EntryReply, Lost>>,
    ) -> Result<(), Lost> {
        let mut in_band = vec![];
        if !travels {
            let uploads = self.uploads(who, shell, batch, &mut in_band).await;
            let bytes = shell.write(batch, &uploads)?;
            self.bytes_up.fetch_add(bytes, Ordering::Relaxed);
        }
        self.round_trips.fetch_add(1, Ordering::Relaxed);
        for entry in batch {
            let mut reply = EntryReply::default();
            let stopped = match self.entry(who, shell, entry, &mut reply).await? {
                Ran::Stopped(end) => {
                    shell.forget(end.status, &in_band);
                    return Ok(());
                }
                Ran::Ended { stops } => stops,
            };
            if send.send(Ok(reply)).is_err() || stopped {
                break;
            }
        }
        // To the mark of the batch's end, so that the next batch starts clean.
        loop {
            let (kind, reply) = shell.next().await?;
            if kind == b'z' {
                shell.forget(reply.status, &in_band);
                return Ok(());
            }
        }
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
                return Ok(Ran::Stopped(reply));
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
            return Ok(Ran::Stopped(reply));
        }
        let stops = reply.status == ASK || (reply.status != 0 && !failed);
        if entry.apply.as_ref().is_some_and(|script| !journal::notes_itself(script)) {
            self.owing(who, &entry.owes, false);
        }
        out.apply = Some(reply);
        Ok(Ran::Ended { stops })
    }

    async fn limited(
        &self,
        who: Option<&Become>,
        shell: &mut Shell,
        limit: Option<Duration>,
    ) -> Result<(u8, Reply), Lost> {
        let next = async {
            let reply = shell.next().await;
            self.owing(who, &std::mem::take(&mut shell.owed), true);
            reply
        };
        let Some(limit) = limit else { return next.await };
        if let Ok(reply) = tokio::time::timeout(limit, next).await {
            return reply;
        }
        if let Some(pid) = shell.pid {
            self.kill(who, pid, &shell.directory).await;
        }
        Err(Lost::TimedOut(limit))
    }

    /// Kills what runs in a shell, and the shell: its whole process group. Its files can't be removed by itself then.
    async fn kill(&self, who: Option<&Become>, pid: i32, directory: &str) {
        let script = format!(
            "read -r s </proc/{pid}/stat && set -- ${{s##*) }} && kill -KILL \"-$3\" 2>/dev/null || \
             kill -KILL {pid} 2>/dev/null; rm -rf {directory}"
        );
        if let Ok(process) = self.start(who, &["sh".into(), "-c".into(), script], false).await
            && let Ok((input, mut output, _, _child)) = process.split()
        {
            drop(input);
            let mut sink = vec![];
            let _ = tokio::time::timeout(Duration::from_secs(10), output.read_to_end(&mut sink)).await;
        }
    }

    /// Puts files where scripts expect them; returns text to run in front of the batch, and the names of those that travel with it.
    async fn uploads(
        &self,
        who: Option<&Become>,
        shell: &mut Shell,
        batch: &[Entry],
        in_band: &mut Vec<String>,
    ) -> String {
        let mut text = String::new();
        for upload in batch.iter().flat_map(shell::scripts).flat_map(|script| &script.uploads) {
            if !shell.uploaded.insert(upload.sha256.clone()) {
                continue;
            }
            if upload.bytes.len() > upload::IN_BAND {
                match self.upload_apart(who, &shell.directory, upload).await {
                    Ok(()) => continue,
                    Err(Unstored::Refused(reason)) => {
                        shell.uploaded.remove(&upload.sha256);
                        text.push_str(&upload::note(&reason));
                        continue;
                    }
                    // Without a channel for it, it travels with the batch.
                    Err(Unstored::Channel) => {}
                }
            }
            text.push_str(&upload::in_band(upload));
            in_band.push(upload.sha256.clone());
        }
        text
    }

    /// Writes a file over a channel of its own.
    async fn upload_apart(&self, who: Option<&Become>, directory: &str, upload: &Upload) -> Result<(), Unstored> {
        self.round_trips.fetch_add(u64::from(!self.is_local()), Ordering::Relaxed);
        let argv = ["sh".into(), "-c".into(), upload::receiver(directory, upload)];
        let process = self.start(who, &argv, false).await.map_err(|_| Unstored::Channel)?;
        self.bytes_up.fetch_add(upload.bytes.len() as u64, Ordering::Relaxed);
        upload::send(process, upload).await
    }
}

/// A shell that was started.
struct Started {
    shell: Shell,
    /// Its process group on this machine, or 0.
    group: i32,
    /// Whether it brought the batch along.
    travels: bool,
}

enum Ran {
    /// The batch had been stopped before; this is its end.
    Stopped(Reply),
    /// The entry was run.
    Ended { stops: bool },
}
