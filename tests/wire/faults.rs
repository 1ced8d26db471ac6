//! Connections that are cut, reset, or end with a reboot.

use std::process::Command;
use std::time::{Duration, Instant};

use crudctl::host::{Entry, Lost, SshTarget};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::machine::{Machine, act, become_root, connect, lab, lost, output, run, without_lab};

#[tokio::test(flavor = "multi_thread")]
async fn cut_and_reset_in_a_task() {
    if without_lab("cut_and_reset_in_a_task") {
        return;
    }
    let machine = Machine::up("w47", &[]);
    for fault in ["kick", "cut"] {
        let session = connect(machine.target.clone()).await;
        output(&session, None, "true").await;
        let mut replies = session.run(None, vec![act("echo one"), act("sleep 60"), act("echo never")]);
        assert!(matches!(replies.recv().await, Some(Ok(_))));
        let began = Instant::now();
        lab(&["host", fault, &machine.name]);
        match replies.recv().await {
            Some(Err(Lost::Disconnected(reason))) => assert!(!reason.is_empty()),
            other => panic!("{fault}: {other:?}"),
        }
        assert!(replies.recv().await.is_none());
        assert!(began.elapsed() < Duration::from_secs(30), "{fault}: {:?}", began.elapsed());
        // It stays lost until it is made again.
        assert!(matches!(lost(&session, None, "true").await, Lost::Disconnected(_)));
        if fault == "cut" {
            lab(&["host", "heal", &machine.name]);
        }
        session.reconnect(Duration::from_secs(20)).await.expect("a new login");
        assert_eq!(output(&session, None, "echo back").await, "back\n");
        session.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reboot_is_waited_for() {
    if without_lab("a_reboot_is_waited_for") {
        return;
    }
    let machine = Machine::up("w48", &[]);
    let session = connect(machine.target.clone()).await;
    let boot = "cat /proc/sys/kernel/random/boot_id";
    let before = output(&session, None, boot).await;
    run(&session, become_root("sudo", None), vec![act("systemctl reboot")]).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    session.reconnect(Duration::from_mins(1)).await.expect("a new login");
    assert_ne!(output(&session, None, boot).await, before);
    // A host that stays away is given up when time is over.
    lab(&["host", "cut", &machine.name]);
    let began = Instant::now();
    assert!(session.reconnect(Duration::from_secs(2)).await.is_err());
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
    session.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_timeouts_and_noise() {
    if without_lab("streams_timeouts_and_noise") {
        return;
    }
    let machine = Machine::up("w49", &[]);
    // The agent is there where the user forwards it.
    let agent = Command::new("ssh-agent").args(["-s", "-t", "120"]).output().expect("ssh-agent");
    let agent = String::from_utf8_lossy(&agent.stdout).into_owned();
    let socket = agent.split(['=', ';']).nth(1).expect("a socket").to_owned();
    let forward = ["-o".to_owned(), format!("ForwardAgent={socket}")];
    let common_args = [&machine.target.common_args[..], &forward].concat();
    let session = connect(SshTarget { common_args, ..machine.target.clone() }).await;
    assert_eq!(output(&session, None, "[ -S \"$SSH_AUTH_SOCK\" ] && echo agent").await, "agent\n");
    session.close().await;
    let pid = agent.split(['=', ';']).find(|word| word.parse::<i32>().is_ok()).expect("a process");
    let _ = Command::new("kill").arg(pid).status();
    let session = connect(machine.target.clone()).await;
    assert_eq!(output(&session, None, "echo \"$SSH_AUTH_SOCK\"").await, "\n");
    let mut ssh = session.connect_tcp("127.0.0.1", 22).await.expect("a connection");
    let mut banner = [0u8; 4];
    ssh.read_exact(&mut banner).await.expect("sshd's banner");
    assert_eq!(&banner, b"SSH-");
    drop(ssh);
    let mut nobody = session.connect_tcp("127.0.0.1", 9).await.expect("a stream");
    let refused = nobody.read(&mut banner).await.expect_err("nothing listens");
    assert!(refused.to_string().contains("127.0.0.1:9"), "{refused}");
    let mut program = session
        .open(become_root("sudo", None), vec!["sh".into(), "-c".into(), "id -un; wc -c".into()])
        .await
        .expect("a stream");
    program.write_all(&vec![0u8; 3_000_000]).await.expect("written");
    program.shutdown().await.expect("closed");
    let mut said = String::new();
    program.read_to_string(&mut said).await.expect("read");
    assert_eq!(said, "root\n3000000\n");

    // Ten megabytes, a child that stays, a time limit in a batch larger than a pipe holds.
    let ten = run(&session, None, vec![act("head -c 10000000 /dev/urandom")]).await.remove(0).expect("a reply");
    assert_eq!(ten.apply.expect("an apply").stdout.len(), 10_000_000);
    let line = output(&session, None, "head -c 10000000 /dev/zero | tr '\\0' x; echo end").await;
    assert!(line.len() == 10_000_004 && line.ends_with("xend\n"), "{} bytes", line.len());
    let began = Instant::now();
    assert_eq!(output(&session, become_root("sudo", None), "sleep 33 & echo started").await, "started\n");
    let long = format!(": {}", "x".repeat(400_000));
    let late = Entry { timeout: Some(Duration::from_millis(500)), ..act("sleep 34") };
    let replies = run(&session, become_root("sudo", None), vec![late, act(&long)]).await;
    assert!(matches!(replies[..], [Err(Lost::TimedOut(_))]), "{replies:?}");
    assert!(began.elapsed() < Duration::from_secs(8), "{:?}", began.elapsed());
    assert_eq!(output(&session, None, "pgrep -fx 'sleep 34' | wc -l").await.trim(), "0");
    session.close().await;
    assert!(began.elapsed() < Duration::from_secs(15), "the child that stays held the end up");
}
