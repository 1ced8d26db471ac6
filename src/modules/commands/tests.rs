//! The scripts, run by real shells.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::TABLE;
use crate::host::{Reply, Script};
use crate::modules::contract::RenderText;
use crate::modules::{Applied, Check, Context, Outcome, Prepared, Verdict};
use crate::text::{Diagnostic, Node, Place};

struct NoTemplates;

impl RenderText for NoTemplates {
    fn render(&self, _: &Path, _: &str, _: &Map<String, Value>) -> Result<String, Diagnostic> {
        Err(Diagnostic::plain("unused"))
    }
}

fn context(dir: &Path, check_mode: bool) -> Context {
    Context {
        ahead: false,
        check_mode,
        diff: false,
        facts: Arc::default(),
        search: Arc::new(vec![dir.to_owned()]),
        templates: Arc::new(NoTemplates),
        environment: Arc::new(BTreeMap::new()),
        host: "test".into(),
        become_user: None,
    }
}

/// Runs a script as a session would: uploads in `crud_dir`, stdin empty.
fn sh(dir: &Path, script: &Script) -> Reply {
    for upload in &script.uploads {
        std::fs::write(dir.join(&upload.sha256), &*upload.bytes).unwrap();
    }
    let shell = if Path::new("/bin/dash").exists() { "/bin/dash" } else { "/bin/sh" };
    let output = Command::new(shell)
        .arg("-c")
        .arg(&script.text)
        .env("crud_dir", dir)
        .env("HOME", "/home/me")
        .stdin(std::process::Stdio::null())
        .output()
        .unwrap();
    Reply { status: output.status.code().unwrap_or(-1), stdout: output.stdout, stderr: output.stderr, time: None }
}

fn outcome(name: &str, dir: &Path, args: &Value, check_mode: bool) -> Outcome {
    let module = TABLE.iter().find(|module| module.name == name).unwrap();
    let Ok(Prepared::Host(step)) = (module.prepare)(&Node::from_json(args, &Place::synthetic("test"))) else {
        panic!("the arguments fit")
    };
    let cx = context(dir, check_mode);
    let verdict = match step.check(&cx).unwrap() {
        Check::Known(verdict) => verdict,
        Check::Ask { script, parse, .. } => parse(&sh(dir, &script)).unwrap(),
    };
    match verdict {
        Verdict::Converged(outcome) | Verdict::Failed(outcome) => outcome,
        Verdict::Drift { outcome, .. } if check_mode => outcome,
        Verdict::Drift { drift, .. } => {
            let apply = step.apply(drift, &cx).unwrap();
            match (apply.parse)(&sh(dir, &apply.script)).unwrap() {
                Applied::Done(outcome) => outcome,
                Applied::Again(_) => panic!("one script is enough"),
            }
        }
    }
}

#[test]
fn a_program_gets_its_words_and_no_shell() {
    let dir = tempfile::tempdir().unwrap();
    let run = |args| outcome("command", dir.path(), &args, false);
    let done = run(json!({"cmd": "printf '%s|' 'a  b' '$(id)' ~/x $HOME ${HOME}y $NO_SUCH \"it's\" a;b"}));
    assert_eq!(done.values["stdout"], "a  b|$(id)|/home/me/x|/home/me|/home/mey|$NO_SUCH|it's|a;b|");
    assert!(done.changed && done.failed.is_none());
    let plain = run(json!({"argv": ["printf", "%s|", "~", "$HOME"], "expand_argument_vars": false}));
    assert_eq!(plain.values["stdout"], "~|$HOME|");
    let failed = run(json!({"cmd": "false"}));
    assert_eq!((failed.failed.as_deref(), &failed.values["rc"]), (Some("non-zero return code"), &json!(1)));
    assert!(failed.changed);
    assert_eq!(run(json!({"cmd": "cat", "stdin": "in"})).values["stdout"], "in");
    assert_eq!(run(json!({"cmd": "cd /"})).values["rc"], 127);
    assert_eq!(run(json!({"cmd": "printf 'a\\n\\n'", "strip_empty_ends": false})).values["stdout"], "a\n\n");
}

#[test]
fn creates_and_removes_decide() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("there $(x)"), "").unwrap();
    let run = |args, check| outcome("command", dir.path(), &args, check);
    let chdir = dir.path().display().to_string();
    let left = run(json!({"cmd": "echo hi", "creates": "the*$(x)", "chdir": chdir}), false);
    assert!(!left.changed && left.failed.is_none());
    assert_eq!(left.values["stdout"], "skipped, since the*$(x) exists");
    assert_eq!(left.msg.as_deref(), Some("Did not run command since 'the*$(x)' exists"));
    let ran = run(json!({"cmd": "echo hi", "removes": "the*", "chdir": chdir}), false);
    assert_eq!(ran.values["stdout"], "hi");
    let would = run(json!({"cmd": "echo hi", "creates": "/no/such"}), true);
    assert!(would.changed && !would.skipped);
    assert!(run(json!({"cmd": "echo hi"}), true).skipped);
    let nowhere = run(json!({"cmd": "echo hi", "chdir": "/no/such"}), false);
    assert!(nowhere.failed.unwrap().contains("/no/such"));
}

#[test]
fn a_shell_gets_its_text_whole() {
    let dir = tempfile::tempdir().unwrap();
    let run = |name: &str, args| outcome(name, dir.path(), &args, false);
    let done = run("shell", json!({"cmd": "x='a b'; echo \"$x\" | tr a c; echo e >&2; exit 3"}));
    assert_eq!(
        (&done.values["stdout"], &done.values["stderr"], &done.values["rc"]),
        (&json!("c b"), &json!("e"), &json!(3))
    );
    assert_eq!(run("shell", json!({"cmd": "cat", "stdin": "x"})).values["stdout"], "x");
    assert_eq!(run("shell", json!({"cmd": "syntax ( error"})).values["rc"], 2);
    assert_eq!(run("raw", json!({"free_form": "echo hi"})).values["stdout"], "hi\n");
}

#[test]
fn a_script_travels_and_runs_by_its_first_line() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("files")).unwrap();
    std::fs::write(dir.path().join("files/s.sh"), "#!/bin/sh\necho \"got $1\"\n").unwrap();
    let done = outcome("script", dir.path(), &json!({"cmd": "s.sh 'a b'"}), false);
    assert_eq!(done.values["stdout"], "got a b\n");
    let by = outcome("script", dir.path(), &json!({"cmd": "s.sh x", "executable": "/bin/sh -e"}), false);
    assert_eq!(by.values["stdout"], "got x\n");
    let left = outcome("script", dir.path(), &json!({"cmd": "s.sh x", "creates": "/"}), false);
    assert!(left.skipped);
}
