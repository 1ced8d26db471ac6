//! Machines of the lab, and sessions to them.

use std::path::PathBuf;
use std::process::Command;

pub(crate) use crate::lab::{lab, without_lab};

use crudctl::host::script::Script;
use crudctl::host::{
    Become, ConnectError, Entry, EntryReply, Lost, Reply, Secret, Session, SshTarget, Target, Transport,
};

/// A machine of the lab; it ends with the test.
pub(crate) struct Machine {
    pub(crate) name: String,
    pub(crate) target: SshTarget,
}

impl Machine {
    /// Boots a fresh one.
    pub(crate) fn up(name: &str, more: &[&str]) -> Self {
        let line = lab(&[&["host", "up", name], more].concat());
        Self { name: name.to_owned(), target: target(line.lines().last().expect("an inventory line")) }
    }

    /// A counting proxy in front of its sshd.
    pub(crate) fn delayed(&self, more: &[&str]) -> SshTarget {
        let line = lab(&[&["delay", "up", &self.name], more].concat());
        target(line.lines().last().expect("an inventory line"))
    }

    /// What the proxy counted under this name.
    pub(crate) fn count(&self, name: &str) -> u64 {
        let stat: serde_json::Value = serde_json::from_str(lab(&["delay", "stat", &self.name]).trim()).expect("JSON");
        stat[name].as_u64().expect("a number")
    }

    /// The way to another of its users.
    pub(crate) fn login(&self, user: &str) -> SshTarget {
        SshTarget { user: Some(user.into()), ..self.target.clone() }
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        for part in ["delay", "host"] {
            let _ = Command::new("tests/lab/lab").args([part, "down", &self.name]).output();
        }
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
    let arguments = value("ansible_ssh_common_args").unwrap_or_default();
    SshTarget {
        host: value("ansible_host").expect("an address"),
        port: value("ansible_port").map(|p| p.parse().expect("a port")),
        user: value("ansible_user"),
        private_key: value("ansible_ssh_private_key_file").map(PathBuf::from),
        common_args: arguments.split_whitespace().map(str::to_owned).collect(),
        ..SshTarget::default()
    }
}

pub(crate) async fn try_connect(target: SshTarget) -> Result<Session, ConnectError> {
    Session::connect(&Target { name: "machine".into(), transport: Transport::Ssh(target) }).await
}

pub(crate) async fn connect(target: SshTarget) -> Session {
    try_connect(target).await.expect("a login")
}

/// Why there is no login.
pub(crate) async fn refused(target: SshTarget) -> String {
    match try_connect(target).await {
        Ok(_) => panic!("it could log in"),
        Err(error) => error.to_string(),
    }
}

pub(crate) fn act(text: &str) -> Entry {
    Entry { apply: Some(Script::new(text)), ..Entry::default() }
}

pub(crate) fn become_root(method: &str, password: Option<&str>) -> Option<Become> {
    let (user, password) = ("root".into(), password.map(Secret::new));
    Some(Become { method: method.into(), user, password, flags: None, exe: None })
}

pub(crate) async fn run(session: &Session, who: Option<Become>, batch: Vec<Entry>) -> Vec<Result<EntryReply, Lost>> {
    let mut replies = session.run(who, batch);
    let mut all = vec![];
    while let Some(reply) = replies.recv().await {
        all.push(reply);
    }
    all
}

/// The reply of one script.
pub(crate) async fn reply(session: &Session, who: Option<Become>, script: Script) -> Reply {
    let entry = Entry { apply: Some(script), ..Entry::default() };
    let mut replies = run(session, who, vec![entry]).await;
    replies.remove(0).expect("a reply").apply.expect("an apply")
}

/// The output of one script that succeeds without a word on stderr.
pub(crate) async fn output(session: &Session, who: Option<Become>, text: &str) -> String {
    let reply = reply(session, who, Script::new(text)).await;
    assert_eq!((reply.status, reply.err().as_str()), (0, ""), "{text}");
    reply.out()
}

/// Why a script did not run.
pub(crate) async fn lost(session: &Session, who: Option<Become>, text: &str) -> Lost {
    match run(session, who, vec![act(text)]).await.pop() {
        Some(Err(lost)) => lost,
        other => panic!("{other:?}"),
    }
}
