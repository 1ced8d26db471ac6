//! Logins: how many round trips they and a converged play take, what they leave behind, and why they fail.

use std::process::Command;
use std::time::Duration;

use crudctl::host::script::Script;
use crudctl::host::{Entry, Secret, SshTarget, facts};

use crate::machine::{Machine, act, connect, output, refused, run, without_lab};

/// A login, the facts, fifty converged tasks and the end: what the project promises as a number (at most 12 round trips).
#[tokio::test(flavor = "multi_thread")]
async fn a_converged_play_takes_few_round_trips() {
    if without_lab("a_converged_play_takes_few_round_trips") {
        return;
    }
    let machine = Machine::up("w41", &[]);
    let proxy = machine.delayed(&["--rtt", "20"]);
    for (user, who, limit) in [("root", None, 11), ("deploy", crate::machine::become_root("sudo", None), 11)] {
        crate::machine::lab(&["delay", "zero", &machine.name]);
        let session = connect(SshTarget { user: Some(user.into()), ..proxy.clone() }).await;
        let gather = Entry { check: Some(facts::script(&[])), ..Entry::default() };
        let gathered = run(&session, who.clone(), vec![gather]).await.remove(0).expect("a reply").check;
        let known = facts::parse(&gathered.expect("a reply")).expect("facts");
        assert_eq!((known["distribution"].as_str(), known["user_id"].as_str()), (Some("Debian"), Some("root")));
        let before = session.bytes_up();
        let checks =
            (0..50).map(|_| Entry { check: Some(Script::new("[ -e /etc/passwd ] || exit 10")), ..Entry::default() });
        assert_eq!(run(&session, who, checks.collect()).await.len(), 50);
        // A script of 28 bytes: what frames it stays below 60.
        let framing = (session.bytes_up() - before) / 50 - 28;
        assert!(framing <= 60, "{framing} bytes of framing for a task");
        session.close().await;
        let trips = machine.count("round_trips");
        assert!(trips <= limit, "{trips} round trips as {user}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_leaves_nothing_behind() {
    if without_lab("a_session_leaves_nothing_behind") {
        return;
    }
    let machine = Machine::up("w42", &[]);
    let masters = || {
        let output = Command::new("pgrep").args(["-f", &format!("ControlPersist.*{}", machine.target.host)]).output();
        String::from_utf8_lossy(&output.expect("pgrep").stdout).lines().count()
    };
    let session = connect(machine.target.clone()).await;
    let other = connect(machine.login("root")).await;
    let mut script = Script::default();
    let word = script.upload(vec![1u8; 300_000]);
    script.line(format!("wc -c <{word}"));
    for who in [None, crate::machine::become_root("sudo", None)] {
        assert_eq!(crate::machine::reply(&session, who, script.clone()).await.out().trim(), "300000");
    }
    assert_eq!(output(&other, None, "ls -d /tmp/crudctl-* | wc -l").await.trim(), "2");
    assert_eq!(masters(), 2);
    session.close().await;
    assert_eq!(output(&other, None, "ls -d /tmp/crudctl-* 2>/dev/null | wc -l").await.trim(), "0");
    // Longer than the limit at which an unused master ends by itself.
    let idle = connect(machine.target.clone()).await;
    tokio::time::sleep(Duration::from_secs(8)).await;
    assert_eq!(output(&idle, None, "echo still here").await, "still here\n");
    idle.close().await;
    // Dropped, not closed: also while a script runs.
    let _replies = other.run(None, vec![act("sleep 30")]);
    tokio::time::sleep(Duration::from_millis(300)).await;
    other.close().await;
    let dropped = connect(machine.target.clone()).await;
    drop(dropped);
    for _ in 0..40 {
        if masters() == 0 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("{} ssh masters are left", masters());
}

#[tokio::test(flavor = "multi_thread")]
async fn logins_by_password_and_reasons_of_failures() {
    if without_lab("logins_by_password_and_reasons_of_failures") {
        return;
    }
    let machine = Machine::up("w43", &[]);
    let password = |text: &str| SshTarget {
        private_key: None,
        password: Some(Secret::new(text)),
        common_args: [&machine.target.common_args[..], &["-o".into(), "PubkeyAuthentication=no".into()]].concat(),
        ..machine.login("locked")
    };
    let session = connect(password("let-me-in")).await;
    assert_eq!(output(&session, None, "id -un").await, "locked\n");
    session.close().await;
    let reason = refused(password("wrong")).await;
    assert!(
        reason.contains("Permission denied") && reason.contains("--ask-pass") && !reason.contains("wrong"),
        "{reason}"
    );

    let folder = tempfile::tempdir().expect("a folder");
    let empty = folder.path().join("known_hosts");
    let known = |path: &std::path::Path| vec!["-o".to_owned(), format!("UserKnownHostsFile={}", path.display())];
    let unknown = SshTarget { common_args: known(&empty), ..machine.target.clone() };
    let reason = refused(unknown.clone()).await;
    assert!(reason.contains("is not known yet"), "{reason}");
    // A password's prompt is not the question whether to trust the host.
    let reason = refused(SshTarget { common_args: known(&empty), ..password("let-me-in") }).await;
    assert!(reason.contains("is not known yet"), "{reason}");
    assert!(!empty.exists(), "the host key was accepted");
    connect(SshTarget { host_key_checking: false, ..unknown.clone() }).await.close().await;
    let stored = std::fs::read_to_string(&empty).expect("known_hosts");
    let (host, rest) = stored.lines().next().expect("a line").split_once(' ').expect("a key");
    let other = Command::new("ssh-keygen")
        .args(["-q", "-t", "ed25519", "-N", "", "-f"])
        .arg(folder.path().join("key"))
        .status();
    assert!(other.expect("ssh-keygen").success());
    let public = std::fs::read_to_string(folder.path().join("key.pub")).expect("a key");
    let kind = rest.split(' ').next().expect("a kind");
    assert_eq!(kind, "ssh-ed25519");
    std::fs::write(&empty, format!("{host} {}\n", public.rsplit_once(' ').expect("a comment").0)).expect("written");
    let reason = refused(unknown).await;
    assert!(reason.contains("REMOTE HOST IDENTIFICATION HAS CHANGED") && reason.contains("ssh-keygen -R"), "{reason}");

    let reason = refused(SshTarget { private_key: Some(folder.path().join("key")), ..machine.target.clone() }).await;
    assert!(reason.contains("Permission denied (publickey"), "{reason}");
    let reason = refused(SshTarget { port: Some(1), ..machine.target.clone() }).await;
    assert!(reason.contains("Connection refused"), "{reason}");
    let reason = refused(SshTarget { host: "no-such-host.invalid".into(), ..machine.target.clone() }).await;
    assert!(reason.contains("Could not resolve hostname"), "{reason}");
}
