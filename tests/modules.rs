//! Modules as data: `modules/cases.yml` names, for each module, tasks and what must come of them. Scripts are run by real shells (dash and
//! busybox), with stand-ins for the tools that would change this machine; `@T@` is a directory of the case's own.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use crudctl::host::{Reply, Script, ShellFunction, quote};
use crudctl::modules::contract::{Applied, Check, Context, Outcome, Prepared, RenderText, Verdict};
use crudctl::text::{Diagnostic, Node, Source, parse};
use serde_json::{Map, Value};

/// Modules that act and yet change nothing of what the host is.
const NEVER_CHANGES: [&str; 2] = ["crudctl_lock", "crudctl_port"];
/// Every module that works by one script has these.
const DEMANDED: [&str; 4] = ["changed", "no-op", "check-mode", "bad-arguments"];

struct NoTemplates;

impl RenderText for NoTemplates {
    fn render(&self, _: &Path, text: &str, _: &Map<String, Value>) -> Result<String, Diagnostic> {
        Ok(text.to_owned())
    }
}

/// The functions that a script calls, those that they need first.
fn functions(script: &Script) -> String {
    fn add(function: &'static ShellFunction, seen: &mut Vec<&'static str>, out: &mut String) {
        if !seen.contains(&function.name) {
            seen.push(function.name);
            function.needs.iter().for_each(|needed| add(needed, seen, out));
            out.push_str(function.text);
            out.push('\n');
        }
    }
    let (mut seen, mut out) = (Vec::new(), String::new());
    script.functions.iter().for_each(|function| add(function, &mut seen, &mut out));
    out
}

fn run(shell: &[&str], script: &Script, folder: &Path) -> Reply {
    let mut text = functions(script);
    text.push_str(&format!("crud_dir={}\n", quote(&folder.to_string_lossy())));
    for upload in &script.uploads {
        std::fs::write(folder.join(&upload.sha256), &upload.bytes).expect("an upload");
    }
    for (name, value) in &script.secrets {
        text.push_str(&format!("{name}={}\n", quote(value)));
    }
    text.push_str(&format!("(\n{}\n) </dev/null\n", script.text));
    let path = std::env::var("PATH").unwrap_or_default();
    let mut child = Command::new(shell[0])
        .args(&shell[1..])
        .arg("-s")
        .env("PATH", format!("{}:{path}", folder.join("bin").display()))
        .env("T", folder)
        .env("HOME", folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("a shell");
    child.stdin.take().expect("stdin").write_all(text.as_bytes()).expect("the script");
    let output = child.wait_with_output().expect("its end");
    Reply { status: output.status.code().unwrap_or(255), stdout: output.stdout, stderr: output.stderr, time: None }
}

struct Case<'a> {
    module: &'a str,
    name: &'a str,
    node: &'a Node,
    shell: &'a [&'a str],
}

impl Case<'_> {
    fn text(&self, key: &str) -> Option<&str> {
        self.node.get(key).and_then(Node::as_str)
    }

    /// What is wrong, or nothing.
    fn check(&self) -> Result<(), String> {
        let folder = tempfile::tempdir().map_err(|e| e.to_string())?;
        let folder = folder.path();
        self.arrange(folder)?;
        let empty = Node::from_json(&Value::Object(Map::new()), &self.node.place);
        let arguments = self.node.get("args").unwrap_or(&empty).to_json().to_string();
        let arguments: Value =
            serde_json::from_str(&arguments.replace("@T@", &folder.to_string_lossy())).map_err(|e| e.to_string())?;
        let arguments = Node::from_json(&arguments, &self.node.place);
        let descriptor = crudctl::modules::find(self.module).ok_or("no such module")?;
        let context = self.context();
        let step = match (descriptor.prepare)(&arguments) {
            Ok(Prepared::Host(step)) => step,
            Ok(Prepared::Controller(_)) => return Err("it does not work by a script".into()),
            Err(error) => return self.expect("bad", &error.message),
        };
        let check = match step.check(&context) {
            Ok(check) => check,
            Err(error) => return self.expect("bad", &format!("{error:#}")),
        };
        let verdict = match check {
            Check::Known(verdict) => verdict,
            Check::Ask { script, parse, .. } => {
                let reply = run(self.shell, &script, folder);
                let shown = format!("status {}, {}{}", reply.status, reply.out(), reply.err());
                parse(&reply).map_err(|e| format!("{e:#}: {shown}"))?
            }
        };
        match verdict {
            Verdict::Failed(outcome) => self.expect("bad", outcome.failed.as_deref().unwrap_or_default()),
            Verdict::Converged(outcome) => self.expect("converged", &told(&outcome)),
            Verdict::Drift { outcome, .. } if context.check_mode => {
                let log = std::fs::read_to_string(folder.join("log")).unwrap_or_default();
                if !log.is_empty() {
                    return Err(format!("check mode acted: {log}"));
                }
                self.expect("drift", &told(&outcome))
            }
            Verdict::Drift { drift, .. } => {
                let before = std::fs::read(folder.join("file")).ok();
                let mut apply = step.apply(drift, &context).map_err(|e| format!("{e:#}"))?;
                let outcome = loop {
                    let reply = run(self.shell, &apply.script, folder);
                    let shown = format!("status {}, {}{}", reply.status, reply.out(), reply.err());
                    match (apply.parse)(&reply).map_err(|e| format!("{e:#}: {shown}"))? {
                        Applied::Done(outcome) => break outcome,
                        Applied::Again(next) => apply = next,
                    }
                };
                if let Some(reason) = &outcome.failed {
                    return self.expect("bad", reason);
                }
                let log = std::fs::read_to_string(folder.join("log")).unwrap_or_default();
                let file = std::fs::read(folder.join("file")).ok();
                if !outcome.changed && (!log.is_empty() || file != before) {
                    return Err(format!("it acted and says that nothing changed: {log}"));
                }
                let end = if outcome.changed { "changed" } else { "converged" };
                let file = String::from_utf8_lossy(&file.unwrap_or_default()).into_owned();
                self.expect(end, &format!("{}\n{log}\n{file}", told(&outcome)))
            }
        }
    }

    /// The stand-ins and the file of the case.
    fn arrange(&self, folder: &Path) -> Result<(), String> {
        use std::os::unix::fs::PermissionsExt as _;
        std::fs::create_dir(folder.join("bin")).map_err(|e| e.to_string())?;
        for (name, text) in self.node.get("tools").map(Node::entries).unwrap_or_default() {
            let path = folder.join("bin").join(name.key_text());
            std::fs::write(&path, format!("#!/bin/sh\n{}\n", text.as_str().unwrap_or_default()))
                .map_err(|e| e.to_string())?;
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).map_err(|e| e.to_string())?;
        }
        if let Some(text) = self.text("file") {
            std::fs::write(folder.join("file"), text).map_err(|e| e.to_string())?;
        }
        Ok(())
    }

    fn context(&self) -> Context {
        Context {
            ahead: false,
            check_mode: self.name.starts_with("check-mode"),
            diff: true,
            facts: Arc::default(),
            search: Arc::default(),
            templates: Arc::new(NoTemplates),
            environment: Arc::default(),
            host: Arc::from("host"),
            become_user: None,
        }
    }

    fn expect(&self, end: &str, text: &str) -> Result<(), String> {
        let wanted = match self.name {
            name if name.starts_with("changed") => "changed",
            name if name.starts_with("no-op") => "converged",
            name if name.starts_with("check-mode") => "drift",
            _ => "bad",
        };
        if end != wanted {
            return Err(format!("`{end}` in place of `{wanted}`: {text}"));
        }
        match self.text("has") {
            Some(part) if !text.contains(part) => Err(format!("`{part}` isn't in: {text}")),
            _ => Ok(()),
        }
    }
}

fn told(outcome: &Outcome) -> String {
    format!(
        "changed={} {} {}",
        outcome.changed,
        Value::Object(outcome.values.clone()),
        Value::Object(outcome.facts.clone())
    )
}

#[test]
fn cases_end_as_they_say() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/modules/cases.yml");
    let source = Source::new(path, std::fs::read_to_string(path).expect("the cases"));
    let document = parse(&source).expect("YAML").first(&source);
    let mut wrong = Vec::new();
    let mut ran = 0;
    for (module, cases) in document.entries() {
        let module = module.key_text();
        let names: Vec<String> = cases.entries().iter().map(|(name, _)| name.key_text()).collect();
        for demanded in DEMANDED {
            let never = NEVER_CHANGES.contains(&module.as_str()) && matches!(demanded, "changed" | "check-mode");
            if !never && !names.iter().any(|name| name.starts_with(demanded)) {
                wrong.push(format!("{module}: it has no case `{demanded}`"));
            }
        }
        for ((_, node), name) in cases.entries().iter().zip(&names) {
            for shell in [&["dash"][..], &["busybox", "sh"]] {
                ran += 1;
                let case = Case { module: &module, name, node, shell };
                if let Err(error) = case.check() {
                    wrong.push(format!("{module}: {name} ({}): {error}", shell.join(" ")));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{} of {ran} went wrong:\n{}", wrong.len(), wrong.join("\n"));
}

/// Names, schemas and reference pages of all modules.
#[test]
fn every_module_has_its_page() {
    let mut seen = BTreeSet::new();
    for module in crudctl::modules::all() {
        assert!(!module.collections.is_empty(), "{}", module.name);
        let new = seen.insert((module.collections[0], module.name));
        assert!(new, "{} is there twice", module.name);
        let schema = (module.schema)();
        let page = schema.get("description").and_then(Value::as_str).unwrap_or_default();
        assert!(page.contains("```yaml"), "the page of {} has no example: {page}", module.name);
    }
}
