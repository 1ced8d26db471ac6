//! Background jobs: tasks with `async`, which run on while others do.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use crate::host::script::{Script, quote};
use crate::host::sh;
use crate::modules::contract::ParseApply;

/// Jobs that this run started: how to read the end of each.
#[derive(Default)]
pub(super) struct Jobs(Mutex<HashMap<String, ParseApply>>);

impl Jobs {
    /// Remembers a job.
    pub(super) fn insert(&self, id: &str, parse: ParseApply) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(id.to_owned(), parse);
    }

    /// Takes a job's parser.
    pub(super) fn take(&self, id: &str) -> Option<ParseApply> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(id)
    }
}

/// Where jobs keep their files, below the home of the user whom they run as.
pub(super) const DIRECTORY: &str = ".ansible_async";

/// A name for a job, as Ansible's look: `jNUMBER.PID`.
pub(super) fn new_id() -> String {
    let number = uuid::Uuid::new_v4().as_u128() % 1_000_000_000_000;
    format!("j{number}.{}", std::process::id())
}

/// A script that starts `work` in the background and returns; it ends after `limit` seconds at the latest.
pub(super) fn start(id: &str, work: &Script, limit: u64) -> Script {
    let mut definitions = String::new();
    let mut functions = work.functions.clone();
    for function in &functions {
        definitions.push_str(function.text);
        definitions.push('\n');
    }
    functions.clear();
    let mut script = Script { uploads: work.uploads.clone(), secrets: work.secrets.clone(), ..Script::default() };
    let body = format!("{definitions}{}", work.text);
    script.line(format!("umask 077; d=\"$HOME\"/{DIRECTORY}/{}; mkdir -p \"$d\" || exit 1", quote(id)));
    // Uploads leave with the session: a job keeps copies.
    script.line("if [ -n \"${crud_dir-}\" ] && [ -d \"$crud_dir\" ]; then cp -R \"$crud_dir\" \"$d/files\"; fi");
    script.line(sh!("printf %s {} >\"$d/script\"", body));
    script.line("run='crud_dir=$1/files; export crud_dir; (. \"$1/script\") >\"$1/stdout\" 2>\"$1/stderr\"; echo $? >\"$1/rc.new\"; mv \"$1/rc.new\" \"$1/rc\"'");
    script.line("session=setsid; command -v setsid >/dev/null 2>&1 || session=nohup");
    script.line(format!("limit='timeout -k 5 {limit}'; command -v timeout >/dev/null 2>&1 || limit="));
    script.line("$session $limit sh -c \"$run\" sh \"$d\" </dev/null >/dev/null 2>&1 &");
    script.line("echo $! >\"$d/pid\"; echo \"$d\"");
    script
}

/// A script that tells how a job stands: `running` or `gone`, or its status, then its output in base64.
pub(super) fn status(id: &str) -> Script {
    let mut script = Script::default();
    script.line(format!("d=\"$HOME\"/{DIRECTORY}/{}; [ -d \"$d\" ] || {{ echo missing; exit 0; }}", quote(id)));
    script.line("if [ -f \"$d/rc\" ]; then echo ended; cat \"$d/rc\"; base64 <\"$d/stdout\" | tr -d '\\n'; echo; base64 <\"$d/stderr\" | tr -d '\\n'; echo");
    script.line("elif kill -0 \"$(cat \"$d/pid\")\" 2>/dev/null; then echo running; else echo gone; fi");
    script
}

/// A script that removes a job's files.
pub(super) fn cleanup(id: &str) -> Script {
    Script::new(format!("rm -rf \"$HOME\"/{DIRECTORY}/{}", quote(id)))
}
