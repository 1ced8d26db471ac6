//! A persistent `sh`: takes batches of scripts, runs them in order, stops where a guard says so.

use std::collections::HashSet;
use std::time::Duration;

use tokio::io::AsyncWriteExt as _;
use tokio::sync::mpsc;

use super::frame::{self, Frame, Piece};
use super::process::{Child, Input, Process};
use super::script::{Reply, Script, ShellFunction, quote};
use super::target::Lost;
use super::{journal, upload};

/// What a batch's entry is passed over by itself, on the host.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct GoOn {
    /// A check that ends with drift and has no apply.
    pub drift: bool,
    /// A check whose verdict only the controller can tell.
    pub ask: bool,
    /// A failure.
    pub failed: bool,
}

/// One entry of a batch.
#[derive(Debug, Clone, Default)]
pub struct Entry {
    /// A check; its status decides what follows.
    pub check: Option<Script>,
    /// Run behind a check that ended with drift, or at once where there is none.
    pub apply: Option<Script>,
    /// Exported to both.
    pub environment: Vec<(String, String)>,
    /// Time that each of both may take.
    pub timeout: Option<Duration>,
    /// What the host passes over by itself.
    pub go_on: GoOn,
    /// Lines for the journal of owed handlers, written before the apply changes something.
    pub owes: Vec<String>,
}

/// What an entry gave.
#[derive(Debug, Clone, Default)]
pub struct EntryReply {
    /// Of its check.
    pub check: Option<Reply>,
    /// Of its apply.
    pub apply: Option<Reply>,
}

/// A running shell.
pub(super) struct Shell {
    stdin: mpsc::UnboundedSender<String>,
    stdout: mpsc::UnboundedReceiver<Piece>,
    stderr: mpsc::UnboundedReceiver<Piece>,
    _child: Child,
    /// Its directory for uploads.
    pub directory: String,
    /// Names of files that are there.
    pub uploaded: HashSet<String>,
    functions: HashSet<&'static str>,
    greeting: Option<String>,
    /// Its process, once it said so.
    pub pid: Option<i32>,
    /// Whether it gave a reply yet.
    pub spoke: bool,
    /// What the journal of owed handlers held when it started.
    pub owed: Vec<String>,
}

/// The shell's own functions. `crud_bye` is its end: what `exit` in its directory says, then the directory goes. `crud_e FLAGS CHECK APPLY` runs an entry; `crud_m` marks an end in both streams.
/// What users write is evaluated in a subshell, so that neither `exit` nor a syntax error ends the shell, and never reads its stdin.
const PRELUDE: &str = r#"unset p st src o g m rec force fol mt at bn bk va c ct h l re ss ins pos fm cr do dm n f s a x k d t b
crud_m() { printf '\n%s %s\n' "$crud_n" "$1"; printf '\n%s %s\n' "$crud_n" "$1" >&2; }
crud_bye() { [ ! -d "$crud_dir" ] || { [ ! -f "$crud_dir/exit" ] || . "$crud_dir/exit"; rm -rf "$crud_dir"; }; }
crud_r() { crud_t=$1; set --; eval "$crud_t"; }
crud_e() {
[ "$crud_g" = 1 ] || return 0
if [ -n "$2" ]; then
(crud_r "$2") </dev/null
crud_s=$?
crud_m "c$crud_s"
case $crud_s in
0) return 0 ;;
10) [ -n "$3" ] || { case $1 in *d*) ;; *) crud_g=0 ;; esac; return 0; } ;;
11) case $1 in *a*) ;; *) crud_g=0 ;; esac; return 0 ;;
*) case $1 in *f*) ;; *) crud_g=0 ;; esac; return 0 ;;
esac
fi
(crud_r "$3") </dev/null
crud_s=$?
crud_m "a$crud_s"
case $crud_s in
0) ;;
11) crud_g=0 ;;
*) case $1 in *f*) ;; *) crud_g=0 ;; esac ;;
esac
}
"#;

/// The arguments of a `sh` that runs a batch whose one script is constant and goes on as the persistent shell: the batch travels with
/// the request to start the shell, which saves a round trip (a server gives a new channel no window before that). Its nonce is for
/// it alone, since argument lists can be read by others.
pub(super) fn opening(batch: &[Entry], nonce: &str) -> Option<[String; 4]> {
    let [Entry { check, apply, environment, owes, .. }] = batch else { return None };
    let (kind, script) = match (check, apply) {
        (Some(script), None) => ('c', script),
        (None, Some(script)) => ('a', script),
        _ => return None,
    };
    let constant = script.constant && script.uploads.is_empty() && script.secrets.is_empty();
    if !constant || !script.functions.is_empty() || !environment.is_empty() || !owes.is_empty() {
        return None;
    }
    let marks = format!(
        "m() {{ printf '\\n{nonce} %s\\n' $1; printf '\\n{nonce} %s\\n' $1 >&2; }}; (eval \"$1\") </dev/null; m {kind}$?; m z0; exec sh"
    );
    Some(["-c".into(), marks, "sh".into(), script.text.clone()])
}

impl Shell {
    /// Takes over a `sh` that was just started, as [`opening`] with the first nonce where it was.
    pub(super) fn new(process: Process, opening: Option<&str>, nonce: &str) -> anyhow::Result<Self> {
        let (input, stdout, stderr, child) = process.split()?;
        let directory = format!("/tmp/crudctl-{nonce}");
        let greeting = format!(
            "crud_n={nonce}; crud_dir={directory}; trap crud_bye EXIT; \
             trap 'exit 129' HUP TERM PIPE\n{PRELUDE}{}crud_m \"p$$\"\n",
            journal::PRELUDE
        );
        Ok(Self {
            stdin: writer(input),
            stdout: frame::read(stdout, opening, nonce),
            stderr: frame::read(stderr, opening, nonce),
            _child: child,
            directory,
            uploaded: HashSet::new(),
            functions: HashSet::new(),
            greeting: Some(greeting),
            pid: None,
            spoke: false,
            owed: vec![],
        })
    }

    /// Writes a batch; returns the bytes that it takes. They are written in the background: a script that runs long keeps the
    /// shell from reading on, and its reply and its time are not to wait for that.
    pub(super) fn write(&mut self, batch: &[Entry], uploads: &str) -> Result<u64, Lost> {
        let mut text = self.greeting.take().unwrap_or_default();
        if batch.iter().flat_map(scripts).any(|script| !script.uploads.is_empty()) && self.functions.insert("crud_u") {
            text.push_str(upload::PRELUDE);
        }
        text.push_str(uploads);
        for script in batch.iter().flat_map(scripts) {
            for function in &script.functions {
                self.define(function, &mut text);
            }
        }
        text.push_str("crud_g=1\n");
        for entry in batch {
            text.push_str("crud_e ");
            text.push_str(&flags(entry.go_on));
            text.push(' ');
            match &entry.check {
                Some(check) => text.push_str(&quote(&body(check, &entry.environment, &[]))),
                None => text.push_str("''"),
            }
            if let Some(apply) = &entry.apply {
                text.push(' ');
                text.push_str(&quote(&body(apply, &entry.environment, &entry.owes)));
            }
            text.push('\n');
        }
        text.push_str(if uploads.is_empty() { "crud_m z0\n" } else { "crud_m z${crud_q:-0}; crud_q=\n" });
        let length = text.len() as u64;
        self.stdin.send(text).map_err(|_| Lost::Disconnected(String::new()))?;
        Ok(length)
    }

    fn define(&mut self, function: &'static ShellFunction, text: &mut String) {
        for needed in function.needs {
            self.define(needed, text);
        }
        if self.functions.insert(function.name) {
            text.push_str(function.text);
            if !function.text.ends_with('\n') {
                text.push('\n');
            }
        }
    }

    /// Takes note of a batch's end: uploads that came with it and could not be stored are to be sent again.
    pub(super) fn forget(&mut self, status: i32, in_band: &[String]) {
        if status != 0 {
            for name in in_band {
                self.uploaded.remove(name);
            }
        }
    }

    /// Whether files for it are on the host.
    pub(super) fn has_files(&self) -> bool {
        !self.uploaded.is_empty()
    }

    /// Ends the shell, and waits until its files are gone. One that is dropped removes them by itself when its stdin ends.
    pub(super) async fn close(mut self) {
        if self.greeting.is_none() {
            let _ = self.stdin.send("crud_bye; trap - EXIT; crud_m q0; exit 0\n".into());
        }
        let Self { stdin, stdout, .. } = &mut self;
        // The stream itself can be held open by a child that a script left behind.
        let ended = async {
            while let Some(Piece::Frame(frame)) = stdout.recv().await {
                if frame.kind == b'q' {
                    break;
                }
            }
        };
        *stdin = mpsc::unbounded_channel().0;
        let _ = tokio::time::timeout(Duration::from_secs(2), ended).await;
    }

    /// The next end: its kind and what was written.
    pub(super) async fn next(&mut self) -> Result<(u8, Reply), Lost> {
        let (kind, reply) = self.frame().await?;
        if kind != b'p' {
            return Ok((kind, reply));
        }
        self.pid = Some(reply.status);
        self.owed.extend(reply.out().lines().map(str::to_owned));
        self.frame().await
    }

    async fn frame(&mut self) -> Result<(u8, Reply), Lost> {
        let started = jiff::Timestamp::now();
        let out = self.stdout.recv().await;
        let Some(Piece::Frame(Frame { kind, status, data: stdout })) = out else {
            return Err(self.ended(out).await);
        };
        let stderr = match self.stderr.recv().await {
            Some(Piece::Frame(frame)) => frame.data,
            other => return Err(self.ended(other).await),
        };
        self.spoke = true;
        let time = Some((started, jiff::Timestamp::now()));
        Ok((kind, Reply { status, stdout, stderr, time }))
    }

    /// Why the shell ended: what it wrote last.
    async fn ended(&mut self, piece: Option<Piece>) -> Lost {
        let mut text = vec![];
        if let Some(Piece::End(rest)) = piece {
            text = rest;
        }
        let wait = async {
            while let Some(piece) = self.stderr.recv().await {
                match piece {
                    Piece::Frame(frame) => text.extend(frame.data),
                    Piece::End(rest) => text.extend(rest),
                }
            }
        };
        // A background child may hold the stream.
        let _ = tokio::time::timeout(Duration::from_secs(1), wait).await;
        Lost::Disconnected(String::from_utf8_lossy(&text).trim().to_owned())
    }
}

/// Writes what it is sent, in a task of its own; closes the input when the sender is gone. An input that breaks shows at the
/// outputs, which end as well.
fn writer(mut input: Input) -> mpsc::UnboundedSender<String> {
    let (send, mut receive) = mpsc::unbounded_channel::<String>();
    tokio::spawn(async move {
        while let Some(text) = receive.recv().await {
            if input.write_all(text.as_bytes()).await.is_err() || input.flush().await.is_err() {
                break;
            }
        }
    });
    send
}

/// The scripts of an entry.
pub(super) fn scripts(entry: &Entry) -> impl Iterator<Item = &Script> {
    entry.check.iter().chain(&entry.apply)
}

fn flags(go_on: GoOn) -> String {
    let mut flags = String::from("-");
    for (set, letter) in [(go_on.drift, 'd'), (go_on.ask, 'a'), (go_on.failed, 'f')] {
        if set {
            flags.push(letter);
        }
    }
    flags
}

/// A script's text behind what it owes, its environment and secrets.
fn body(script: &Script, environment: &[(String, String)], owes: &[String]) -> String {
    let mut text = upload::guard(script);
    text.push_str(&journal::note(script, owes));
    for (name, value) in environment {
        if !is_name(name) {
            let reason = format!(
                "the environment variable `{name}` can't be set: a shell only exports names of letters, digits and `_`"
            );
            return format!("printf '%s\\n' {} >&2; exit 2\n", quote(&reason));
        }
        text.push_str(&format!("export {name}={}\n", quote(value)));
    }
    for (name, value) in script.secrets.iter().filter(|(name, _)| is_name(name)) {
        text.push_str(&format!("{name}={}\n", quote(value)));
    }
    text.push_str(&script.text);
    text
}

fn is_name(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}
