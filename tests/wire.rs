//! The wire against real machines of the lab: logins, privilege, limits of sshd, faults.
//!
//! Needs root and `tests/lab/lab`; with `CRUDCTL_NO_LAB` set each test prints that it was skipped.

use std::path::PathBuf;
use std::process::Command;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crudctl::host::script::Script;
use crudctl::host::{Become, Entry, EntryReply, Lost, Secret, Session, SshTarget, Target, Transport, facts};

/// A machine of the lab; it ends with the test.
struct Machine {
    name: String,
    target: SshTarget,
}

/// The lab makes one machine after the other: the first time it builds their base.
static LAB: Mutex<()> = Mutex::new(());

fn lab(arguments: &[&str]) -> String {
    let guard = LAB.lock().unwrap_or_else(PoisonError::into_inner);
    let output = Command::new("tests/lab/lab").args(arguments).output().expect("tests/lab/lab");
    drop(guard);
    assert!(
        output.status.success(),
        "lab {arguments:?}: {}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Whether there is a lab; says so where there is none.
fn without_lab(test: &str) -> bool {
    let skip = std::env::var_os("CRUDCTL_NO_LAB").is_some();
    if skip {
        use std::io::Write as _;
        let _ = writeln!(std::io::stderr(), "SKIPPED {test}: no lab");
    }
    skip
}

impl Machine {
    fn up(name: &str, more: &[&str]) -> Self {
        let line = lab(&[&["host", "up", name], more].concat());
        Self { name: name.to_owned(), target: target(line.lines().last().expect("an inventory line")) }
    }

    /// A counting proxy in front of the machine's sshd.
    fn delayed(&self, more: &[&str]) -> SshTarget {
        let line = lab(&[&["delay", "up", &self.name], more].concat());
        target(line.lines().last().expect("an inventory line"))
    }

    /// What the proxy counted.
    fn stat(&self) -> serde_json::Value {
        serde_json::from_str(lab(&["delay", "stat", &self.name]).trim()).expect("JSON")
    }

    fn login(&self, user: &str) -> SshTarget {
        SshTarget { user: Some(user.into()), ..self.target.clone() }
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        let _ = Command::new("tests/lab/lab").args(["delay", "down", &self.name]).output();
        let _ = Command::new("tests/lab/lab").args(["host", "down", &self.name]).output();
    }
}

/// Reads an inventory line as the lab prints it.
fn target(line: &str) -> SshTarget {
    let value = |key: &str| {
        let rest = line.split_once(&format!("{key}="))?.1;
        Some(match rest.strip_prefix('\'') {
            Some(quoted) => quoted.split('\'').next()?.to_owned(),
            None => rest.split(' ').next()?.to_owned(),
        })
    };
    SshTarget {
        host: value("ansible_host").expect("an address"),
        port: value("ansible_port").map(|p| p.parse().expect("a port")),
        user: value("ansible_user"),
        private_key: value("ansible_ssh_private_key_file").map(PathBuf::from),
        common_args: value("ansible_ssh_common_args")
            .unwrap_or_default()
            .split_whitespace()
            .map(str::to_owned)
            .collect(),
        ..SshTarget::default()
    }
}

async fn connect(target: SshTarget) -> Session {
    try_connect(target).await.expect("a login")
}

async fn try_connect(target: SshTarget) -> Result<Session, crudctl::host::ConnectError> {
    Session::connect(&Target { name: "machine".into(), transport: Transport::Ssh(target) }).await
}

fn act(text: &str) -> Entry {
    Entry { apply: Some(Script::new(text)), ..Entry::default() }
}

fn sudo(password: Option<&str>) -> Option<Become> {
    Some(Become {
        method: "sudo".into(),
        user: "root".into(),
        password: password.map(Secret::new),
        flags: None,
        exe: None,
    })
}

async fn run(session: &Session, who: Option<Become>, batch: Vec<Entry>) -> Vec<Result<EntryReply, Lost>> {
    let mut replies = session.run(who, batch);
    let mut all = vec![];
    while let Some(reply) = replies.recv().await {
        all.push(reply);
    }
    all
}

/// The output of one script.
async fn output(session: &Session, who: Option<Become>, text: &str) -> String {
    let replies = run(session, who, vec![act(text)]).await;
    let reply = replies[0].as_ref().expect("a reply").apply.as_ref().expect("an apply");
    assert_eq!(reply.status, 0, "{text}: {}", reply.err());
    reply.out()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_converged_play_takes_few_round_trips() {
    if without_lab("a_converged_play_takes_few_round_trips") {
        return;
    }
    let machine = Machine::up("w41", &[]);
    let session = connect(machine.delayed(&["--rtt", "20"])).await;
    let login = machine.stat();
    output(&session, None, "true").await;
    let first = machine.stat();
    let mut list = vec![login, first];
    for _ in 0..3 {
        output(&session, None, "true").await;
        list.push(machine.stat());
    }
    let facts_entry = Entry { check: Some(facts::script(&[])), ..Entry::default() };
    let began = Instant::now();
    run(&session, None, vec![facts_entry]).await;
    let facts_time = began.elapsed();
    list.push(machine.stat());
    let checks: Vec<Entry> = (0..50)
        .map(|n| Entry { check: Some(Script::new(format!("[ -e /etc/passwd ] || exit 10 # {n}"))), ..Entry::default() })
        .collect();
    let replies = run(&session, None, checks).await;
    assert_eq!(replies.len(), 50);
    list.push(machine.stat());
    session.close().await;
    list.push(machine.stat());
    for l in list {
        eprintln!("{l}");
    }
    eprintln!("facts {facts_time:?}");
}
