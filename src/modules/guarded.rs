//! Modules whose one script both finds out and brings about.
//!
//! The script calls a shell function that states what should be, step by step; each step that would change something goes through
//! `crud_do`, which only notes the drift during a check and acts during an apply. Both are one text, so they can't disagree,
//! the verdict falls on the host, and a call is a few dozen bytes once a session knows the function.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::contract::{Access, Applied, Apply, Check, Context, DRIFT, HostModule, Outcome, Verdict};
use crate::host::{Reply, Script, ShellFunction};

/// The steps that guarded scripts are made of. `do` is `1` in an apply, `c` in check mode, empty in a check.
///
/// `crud_do CMD…` is a change; `crud_act CMD…` an action that changes nothing by itself (reading package lists anew);
/// `crud_note` marks a change that the caller carries out; `crud_fail` ends with a reason;
/// `crud_say`, `crud_num`, `crud_flag` return a value; `crud_end` is the verdict.
pub(super) static GUARD: ShellFunction = ShellFunction {
    name: "crud_do",
    text: r#"crud_do() { crud_note || return 0; "$@" </dev/null || crud_bad $? "$@"; }
crud_bad() { case $2 in crud_*) exit 1;; esac; crud_fail "\`$2\` failed with status $1"; }
crud_act() { crud_dr=1; [ "$do" = 1 ] || return 0; "$@" </dev/null || crud_bad $? "$@"; }
crud_note() { crud_ch=1; [ "$do" = 1 ] || return 1; [ -z "$crud_o" ] || crud_owes; }
crud_fail() { printf '%s\n' "$*" >&2; exit 1; }
crud_say() { printf '@@s %s %s\n' "$1" "$2"; }
crud_num() { printf '@@i %s %s\n' "$1" "$2"; }
crud_flag() { printf '@@b %s %s\n' "$1" "$2"; }
crud_end() { printf '@@b changed %s\n' "${crud_ch:-0}"
[ "$do" = 1 ] && exit 0
[ -n "$crud_ch" ] && exit 10
[ -n "$crud_dr" ] && [ -z "$do" ] && exit 10
exit 0; }"#,
    needs: &[],
};

/// What a guarded script said.
#[derive(Debug, Default)]
pub(super) struct Said {
    /// Values by name.
    pub(super) values: Map<String, Value>,
    /// The rest of standard output.
    pub(super) rest: String,
    /// Standard error.
    pub(super) stderr: String,
    /// Whether this is the reply of an apply.
    pub(super) applied: bool,
}

impl Said {
    /// Of a reply.
    pub(super) fn of(reply: &Reply, applied: bool) -> Self {
        Self::new(reply, applied)
    }

    fn new(reply: &Reply, applied: bool) -> Self {
        let mut said = Self { stderr: reply.err(), applied, ..Self::default() };
        for line in reply.out().split_inclusive('\n') {
            let Some((kind, name, value)) = said_value(line) else {
                said.rest.push_str(line);
                continue;
            };
            let value = match kind {
                "i" => value.parse::<i64>().map_or_else(|_| Value::from(value), Value::from),
                "b" => Value::Bool(value == "1"),
                _ => Value::from(value),
            };
            said.values.insert(name.to_owned(), value);
        }
        said
    }

    /// All values as an outcome.
    pub(super) fn outcome(&self) -> Outcome {
        Outcome { values: self.values.clone(), ..Outcome::default() }
    }
}

fn said_value(line: &str) -> Option<(&str, &str, &str)> {
    let (kind, rest) = line.strip_prefix("@@")?.split_once(' ')?;
    let (name, value) = rest.trim_end_matches('\n').split_once(' ')?;
    Some((kind, name, value))
}

/// How a reply becomes a result.
type Finish = Arc<dyn Fn(&Said) -> Outcome + Send + Sync>;

/// A guarded script and how its reply becomes a result.
pub(super) struct Call {
    script: Script,
    finish: Finish,
}

impl Call {
    /// A call of shell functions; `text` is made of quoted parts.
    pub(super) fn new(text: impl Into<String>, function: &'static ShellFunction) -> Self {
        Self::of(Script::new(text).function(function))
    }

    /// A call by a script that has its uploads and secrets already.
    pub(super) fn of(script: Script) -> Self {
        Self { script: script.function(&GUARD), finish: Arc::new(Said::outcome) }
    }

    /// With one more function that it calls.
    pub(super) fn function(mut self, function: &'static ShellFunction) -> Self {
        self.script = self.script.function(function);
        self
    }

    /// With a value that reaches the script as a shell variable, never by an argument list.
    pub(super) fn secret(mut self, name: &str, value: &str) -> Self {
        self.script.secrets.push((name.to_owned(), value.to_owned()));
        self
    }

    /// With a result of its own.
    pub(super) fn finish(mut self, finish: impl Fn(&Said) -> Outcome + Send + Sync + 'static) -> Self {
        self.finish = Arc::new(finish);
        self
    }

    /// With a change of the result.
    pub(super) fn map(self, change: impl Fn(&mut Outcome) + Send + Sync + 'static) -> Self {
        let finish = Arc::clone(&self.finish);
        self.finish(move |said| {
            let mut outcome = finish(said);
            change(&mut outcome);
            outcome
        })
    }

    /// With values that are known beforehand, beside those that were said.
    pub(super) fn values(self, values: Map<String, Value>) -> Self {
        self.map(move |outcome| {
            for (name, value) in &values {
                outcome.values.entry(name.clone()).or_insert_with(|| value.clone());
            }
        })
    }

    fn mode(&self, mode: &str) -> Script {
        let mut script = self.script.clone();
        script.text = format!("{mode}{}\ncrud_end", script.text);
        script
    }

    /// Runs it now, as an apply: for modules that work from the controller.
    pub(super) async fn run(self, host: &dyn Access) -> anyhow::Result<Outcome> {
        let reply = host.run(self.mode("do=1\n")).await?;
        let said = Said::new(&reply, true);
        Ok(if reply.status == 0 { finished(&self.finish, &said) } else { failed(&reply, &said) })
    }

    fn into_check(self, cx: &Context) -> Check<()> {
        // One text that looks and acts: outside of check mode it acts at once, unless it brings files that may not be needed.
        if !cx.check_mode && !cx.ahead && self.script.uploads.is_empty() {
            return Check::Known(Verdict::Drift { drift: (), outcome: Outcome::default() });
        }
        let script = self.mode(if cx.check_mode { "do=c\n" } else { "" });
        let finish = Arc::clone(&self.finish);
        Check::ask(script, move |reply| {
            let said = Said::new(reply, false);
            Ok(match reply.status {
                0 => Verdict::Converged(finished(&finish, &said)),
                DRIFT => Verdict::Drift { drift: (), outcome: finished(&finish, &said) },
                _ => Verdict::Failed(failed(reply, &said)),
            })
        })
    }

    fn into_apply(self) -> Apply {
        let finish = Arc::clone(&self.finish);
        Apply::new(self.mode("do=1\n"), move |reply| {
            let said = Said::new(reply, true);
            Ok(Applied::Done(if reply.status == 0 { finished(&finish, &said) } else { failed(reply, &said) }))
        })
    }
}

fn finished(finish: &Finish, said: &Said) -> Outcome {
    let mut outcome = finish(said);
    if let Some(changed) = outcome.values.shift_remove("changed") {
        outcome.changed = changed == Value::Bool(true);
    }
    outcome
}

/// The failure that a reply is.
pub(super) fn failed_reply(reply: &Reply, said: &Said) -> Outcome {
    failed(reply, said)
}

/// The failure that a reply is: the last lines of standard error say why.
fn failed(reply: &Reply, said: &Said) -> Outcome {
    let text = if said.stderr.trim().is_empty() { &said.rest } else { &said.stderr };
    let lines: Vec<&str> = text.trim_end().lines().collect();
    let reason = match &lines[lines.len().saturating_sub(12)..] {
        [] => format!("the script ended with status {} and without a word", reply.status),
        tail => tail.join("\n"),
    };
    Outcome::failed(reason)
        .with("rc", reply.status)
        .with("stdout", said.rest.as_str())
        .with("stderr", said.stderr.as_str())
}

/// A module that is one guarded script.
pub(super) trait Guarded: DeserializeOwned + JsonSchema + Send + Sync + 'static {
    /// The call. An error is about the arguments.
    fn call(&self, cx: &Context) -> anyhow::Result<Call>;
}

impl<G: Guarded> HostModule for G {
    type Drift = ();

    fn check(&self, cx: &Context) -> anyhow::Result<Check<()>> {
        Ok(self.call(cx)?.into_check(cx))
    }

    fn apply(&self, (): (), cx: &Context) -> anyhow::Result<Apply> {
        Ok(self.call(cx)?.into_apply())
    }
}

/// The default of parameters that are true unless said otherwise.
pub(super) fn yes() -> bool {
    true
}

/// `name=value` words for a function's call, quoted; absent values are left out.
pub(super) fn variables(pairs: &[(&str, Option<&str>)]) -> String {
    pairs
        .iter()
        .filter_map(|(name, value)| {
            // The path that a module is about may begin with `~`, which is the host's to expand.
            let word = if *name == "p" { crate::host::script::quote_path } else { crate::host::script::quote };
            value.map(|value| format!("{name}={} ", word(value)))
        })
        .collect()
}

/// `1` for true, absent for false: for [`variables`].
pub(super) fn flag(value: bool) -> Option<&'static str> {
    value.then_some("1")
}

/// An error for a parameter that only other systems know.
pub(super) fn refuse(module: &str, given: &[(&str, bool)], why: &str) -> anyhow::Result<()> {
    for (name, given) in given {
        anyhow::ensure!(!given, "`{name}` of `{module}` isn't supported here: {why}");
    }
    Ok(())
}
