//! What all modules that run programs share: `creates` and `removes`, results, check mode.

use serde_json::Value;

use crate::host::Reply;
use crate::host::script::{Script, quote, quote_path};
use crate::modules::{Applied, Apply, Check, Context, Outcome, Verdict};

/// Begins a line of stderr by which a script says that the directory can't be entered.
const NO_DIRECTORY: &str = "crudctl: unable to change directory before execution: ";

/// When and how a program runs.
pub(super) struct Run {
    /// What results call the command.
    pub(super) cmd: Option<Value>,
    /// Runs it, in the right directory.
    pub(super) script: Script,
    /// The directory.
    pub(super) chdir: Option<String>,
    /// Not run where this exists.
    pub(super) creates: Option<String>,
    /// Not run where this is missing.
    pub(super) removes: Option<String>,
    /// Whether line ends at the end of output are dropped.
    pub(super) strip: bool,
    /// Whether results count as left out where `creates` or `removes` say so (`script` has it so).
    pub(super) skips: bool,
}

impl Run {
    /// A run of a script.
    pub(super) fn new(script: Script) -> Self {
        Self { cmd: None, script, chdir: None, creates: None, removes: None, strip: true, skips: false }
    }

    /// What to ask before: nothing, where neither `creates` nor `removes` is given.
    pub(super) fn check(self, cx: &Context) -> Check<()> {
        if self.creates.is_none() && self.removes.is_none() {
            return Check::Known(Verdict::Drift { drift: (), outcome: self.would_run() });
        }
        let mut text = String::new();
        if let Some(dir) = &self.chdir {
            text.push_str(&enter(dir));
        }
        if let Some(path) = &self.creates {
            text.push_str(&format!("{}\n[ -n \"$found\" ] && {{ echo creates; exit 0; }}\n", look(path)));
        }
        if let Some(path) = &self.removes {
            text.push_str(&format!("{}\n[ -n \"$found\" ] || {{ echo removes; exit 0; }}\n", look(path)));
        }
        text.push_str("exit 10");
        let left_out = self.left_out(cx.check_mode);
        let would = self.would_run();
        let check = Check::ask(Script::new(text), move |reply| {
            Ok(match reply.status {
                0 => Verdict::Converged(left_out(reply.out().trim() == "creates")),
                10 => Verdict::Drift { drift: (), outcome: would },
                _ => Verdict::Failed(no_directory(&reply.err()).unwrap_or_else(|| {
                    Outcome::failed(reply.failure("`creates` and `removes` can't be looked at").to_string())
                })),
            })
        });
        check.with_inline(self.apply())
    }

    /// The result where the command is not run, by whether `creates` is the reason.
    fn left_out(&self, check_mode: bool) -> impl Fn(bool) -> Outcome + Send + use<> {
        let (creates, removes) = (self.creates.clone().unwrap_or_default(), self.removes.clone().unwrap_or_default());
        let (cmd, skips) = (self.cmd.clone(), self.skips);
        let did = if check_mode { "Would" } else { "Did" };
        move |by_creates| {
            let (path, state) = if by_creates { (&creates, "exists") } else { (&removes, "does not exist") };
            if skips {
                return Outcome { skipped: true, ..Outcome::ok() }.message(format!(
                    "{path} {state}, matching {} option",
                    if by_creates { "creates" } else { "removes" }
                ));
            }
            let text = format!("skipped, since {path} {state}");
            let outcome = Outcome::ok()
                .message(format!("{did} not run command since '{path}' {state}"))
                .with("rc", 0)
                .with("stdout", text.as_str())
                .with("stdout_lines", vec![text.as_str()])
                .with("stderr", "")
                .with("stderr_lines", Vec::<String>::new());
            match &cmd {
                Some(cmd) => outcome.with("cmd", cmd.clone()),
                None => outcome,
            }
        }
    }

    /// The result in check mode where the command would run: left out, since nobody knows what it would do.
    fn would_run(&self) -> Outcome {
        let known = self.creates.is_some() || self.removes.is_some();
        let outcome = Outcome { skipped: !known, ..Outcome::changed() }
            .message("Command would have run if not in check mode")
            .with("rc", 0);
        match &self.cmd {
            Some(cmd) => outcome.with("cmd", cmd.clone()),
            None => outcome,
        }
    }

    /// Runs it.
    pub(super) fn apply(self) -> Apply {
        let mut script = self.script;
        if let Some(dir) = &self.chdir {
            script.text.insert_str(0, &enter(dir));
        }
        let (cmd, strip) = (self.cmd, self.strip);
        Apply::new(script, move |reply| Ok(Applied::Done(result(reply, cmd, strip))))
    }
}

/// Enters a directory, or says why not.
fn enter(dir: &str) -> String {
    let path = quote_path(dir);
    let message = quote(&format!("{NO_DIRECTORY}{dir}"));
    format!("cd {path} 2>/dev/null || {{ echo {message} >&2; exit 1; }}\n")
}

/// Sets `found` where a pattern (`*`, `?`, `[…]`) matches a file.
fn look(pattern: &str) -> String {
    let mut word = String::new();
    for c in pattern.chars() {
        match c {
            '*' | '?' | '[' | ']' | '/' | '.' | '_' | '-' | '!' | '^' => word.push(c),
            c if c.is_ascii_alphanumeric() => word.push(c),
            '~' if word.is_empty() => word.push(c),
            '\0' => {}
            c => word.push_str(&format!("'{}'", c.to_string().replace('\'', "'\\''"))),
        }
    }
    let word = if word.starts_with('-') { format!("./{word}") } else { word };
    format!("found=; for f in {word}; do if [ -e \"$f\" ] || [ -L \"$f\" ]; then found=1; break; fi; done")
}

/// The failure that a message about a directory is.
fn no_directory(stderr: &str) -> Option<Outcome> {
    let line = stderr.lines().find_map(|line| line.strip_prefix(NO_DIRECTORY))?;
    Some(
        Outcome::failed(format!("Unable to change directory before execution: no such directory: '{line}'"))
            .with("rc", 1),
    )
}

fn lines(text: &str) -> Vec<&str> {
    text.lines().collect()
}

/// What a program left behind, as a result.
pub(super) fn result(reply: &Reply, cmd: Option<Value>, strip: bool) -> Outcome {
    if reply.status == 1
        && let Some(outcome) = no_directory(&reply.err())
    {
        return outcome;
    }
    let (out, err) = (reply.out(), reply.err());
    let cut = |text: &str| if strip { text.trim_end_matches(['\r', '\n']).to_owned() } else { text.to_owned() };
    let (out, err) = (cut(&out), cut(&err));
    let mut outcome = Outcome::changed()
        .with("rc", reply.status)
        .with("stdout", out.as_str())
        .with("stderr", err.as_str())
        .with("stdout_lines", lines(&out))
        .with("stderr_lines", lines(&err));
    if let Some(cmd) = cmd {
        outcome = outcome.with("cmd", cmd);
        if let Some((start, end)) = reply.time {
            let text = |time: jiff::Timestamp| {
                time.to_zoned_datetime(jiff::tz::TimeZone::system()).strftime("%Y-%m-%d %H:%M:%S.%6f").to_string()
            };
            outcome = outcome.with("start", text(start)).with("end", text(end)).with("delta", delta(start, end));
        }
    }
    if reply.status == 0 {
        outcome.msg = Some(String::new());
    } else {
        outcome.failed = Some("non-zero return code".into());
    }
    outcome
}

/// `H:MM:SS.ffffff`.
fn delta(start: jiff::Timestamp, end: jiff::Timestamp) -> String {
    let micros = (end.as_microsecond() - start.as_microsecond()).max(0);
    let seconds = micros / 1_000_000;
    format!("{}:{:02}:{:02}.{:06}", seconds / 3600, seconds / 60 % 60, seconds % 60, micros % 1_000_000)
}

/// A program's standard input before it, where there is one.
pub(super) fn fed(script: &mut Script, stdin: Option<&str>, newline: bool, program: &str) -> String {
    let Some(text) = stdin else { return program.to_owned() };
    let mut bytes = text.as_bytes().to_vec();
    if newline && !bytes.ends_with(b"\n") {
        bytes.push(b'\n');
    }
    let write = script.write_bytes(&bytes);
    // The writer may be cut off by a program that reads little: only the program's status counts.
    format!("{write} 2>/dev/null | {program}")
}
