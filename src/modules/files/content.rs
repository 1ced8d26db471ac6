//! Content that a file is to have: compared by its hash on the host, sent only where it differs (or is small).

use std::sync::Arc;

use sha1::{Digest as _, Sha1};

use super::attributes::PUT;
use crate::host::Reply;
use crate::host::script::{Script, hex, quote};
use crate::modules::contract::{Applied, Apply, Check, Context, DRIFT, Diff, Outcome, Verdict};
use crate::modules::guarded::{Said, failed_reply, variables};

/// Content up to this size (bytes) travels with its check: one round trip less on a first run, a few bytes more on all others.
/// With it a task stays below 400 bytes, which is what a converged task may cost.
const SMALL: usize = 128;
/// Largest text of which a diff is shown, in bytes.
const MAX_DIFF: usize = 256 * 1024;

/// A file as it should be.
#[derive(Clone, Default)]
pub(super) struct Content {
    pub(super) bytes: Arc<[u8]>,
    pub(super) dest: String,
    /// Its name, where `dest` is a directory.
    pub(super) name: Option<String>,
    pub(super) owner: Option<String>,
    pub(super) group: Option<String>,
    pub(super) mode: Option<String>,
    pub(super) only_if_missing: bool,
    pub(super) backup: bool,
    pub(super) validate: Option<String>,
    pub(super) follow: bool,
    /// What the file held, where that is known.
    pub(super) before: Option<Vec<u8>>,
    /// Said in the result.
    pub(super) msg: Option<String>,
}

impl Content {
    fn sha1(&self) -> String {
        hex(&Sha1::digest(&self.bytes))
    }

    fn call(&self) -> String {
        format!("{}\ncrud_put\ncrud_end\n", self.call_only())
    }

    /// The variables of its call, all of them set: several calls may stand in one script.
    pub(super) fn call_only(&self) -> String {
        let flag = |on: bool| on.then_some("1");
        variables(&[
            ("p", Some(&self.dest)),
            ("h", Some(&self.sha1())),
            ("bn", self.name.as_deref()),
            ("o", self.owner.as_deref()),
            ("g", self.group.as_deref()),
            ("m", self.mode.as_deref()),
            ("force", self.only_if_missing.then_some("no")),
            ("bk", flag(self.backup)),
            ("va", self.validate.as_deref()),
            ("fol", flag(self.follow)),
        ])
    }

    fn text(&self) -> Option<&str> {
        std::str::from_utf8(&self.bytes).ok().filter(|text| !text.contains('\0'))
    }

    /// How to find out.
    pub(super) fn check(&self, cx: &Context) -> Check<()> {
        if !cx.check_mode && !cx.ahead && !cx.diff && self.bytes.len() <= SMALL && self.text().is_some() {
            return Check::Known(Verdict::Drift { drift: (), outcome: Outcome::default() });
        }
        let mut script = Script::default().function(&PUT);
        if cx.check_mode {
            script.line("do=c");
        }
        let diff = cx.diff && self.bytes.len() <= MAX_DIFF && self.text().is_some();
        script.text.push_str(&self.call().replace("crud_end\n", ""));
        if diff {
            script.line(format!(
                "echo @@old; [ ! -f \"$p\" ] || [ \"$cp_h\" = \"$h\" ] || [ \"$(wc -c <\"$p\")\" -gt {MAX_DIFF} ] || cat \"$p\"; echo; echo @@end"
            ));
        }
        script.line("crud_end");
        let own = self.clone();
        Check::ask(script, move |reply| {
            let (reply, old) = take_old(reply);
            let said = Said::of(&reply, false);
            Ok(match reply.status {
                0 => Verdict::Converged(own.outcome(&said)),
                DRIFT => {
                    let mut outcome = own.outcome(&said);
                    if diff && let Some(old) = old {
                        outcome.diff.push(own.diff(&old));
                    }
                    Verdict::Drift { drift: (), outcome }
                }
                _ => Verdict::Failed(failed_reply(&reply, &said)),
            })
        })
    }

    /// What puts it there.
    pub(super) fn apply(&self) -> Apply {
        let mut script = Script::new("do=1\n").function(&PUT);
        match self.text().filter(|_| self.bytes.len() <= SMALL) {
            // A small text needs no file of its own but the one that it is written to.
            Some(text) => {
                script.line(format!("ct={}", quote(text)));
            }
            None => {
                let file = script.upload(Arc::clone(&self.bytes));
                script.line(format!("c={file}"));
            }
        }
        script.text.push_str(&self.call());
        let own = self.clone();
        Apply::new(script, move |reply| {
            let said = Said::of(reply, true);
            Ok(Applied::Done(if reply.status == 0 { own.outcome(&said) } else { failed_reply(reply, &said) }))
        })
    }

    fn outcome(&self, said: &Said) -> Outcome {
        let mut outcome = Outcome { values: said.values.clone(), msg: self.msg.clone(), ..Outcome::default() };
        outcome.changed = outcome.values.shift_remove("changed").is_some_and(|c| c == true);
        outcome.values.entry("dest").or_insert_with(|| self.dest.as_str().into());
        if outcome.changed
            && let Some(before) = &self.before
        {
            outcome.diff.push(self.diff(before));
        }
        outcome
    }

    fn diff(&self, before: &[u8]) -> Diff {
        Diff {
            before_header: self.dest.clone(),
            after_header: self.dest.clone(),
            before: String::from_utf8_lossy(before).into_owned(),
            after: String::from_utf8_lossy(&self.bytes).into_owned(),
        }
    }
}

/// The reply without the old content that it carries.
fn take_old(reply: &Reply) -> (Reply, Option<Vec<u8>>) {
    let find = |needle: &[u8], from: usize| {
        reply.stdout[from..].windows(needle.len()).position(|w| w == needle).map(|i| i + from)
    };
    let Some(start) = find(b"@@old\n", 0) else { return (reply.clone(), None) };
    let Some(end) = find(b"\n@@end\n", start + 5) else { return (reply.clone(), None) };
    let old = reply.stdout.get(start + 6..end).unwrap_or_default().to_vec();
    let stdout = [&reply.stdout[..start], &reply.stdout[end + 7..]].concat();
    (Reply { stdout, ..reply.clone() }, Some(old))
}
