//! Servers that allow little: one session a login, few logins at once, a full disk.

use std::time::{Duration, Instant};

use crudctl::host::script::Script;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::machine::{Machine, become_root, connect, output, reply, without_lab};

#[tokio::test(flavor = "multi_thread")]
async fn one_session_a_login_is_enough() {
    if without_lab("one_session_a_login_is_enough") {
        return;
    }
    let machine = Machine::up("w45", &["--sshd", "MaxSessions 1", "--sshd", "MaxStartups 2:80:4"]);
    let session = connect(machine.target.clone()).await;
    assert_eq!(output(&session, None, "id -un").await, "deploy\n");
    assert_eq!(output(&session, become_root("sudo", None), "id -un").await, "root\n");
    let mut script = Script::default();
    let word = script.upload(vec![7u8; 1_000_000]);
    script.line(format!("wc -c <{word}"));
    assert_eq!(reply(&session, become_root("sudo", None), script).await.out().trim(), "1000000");
    let mut stream = session.open(None, vec!["cat".into()]).await.expect("a stream");
    stream.write_all(b"there and back").await.expect("written");
    stream.shutdown().await.expect("closed");
    let mut back = String::new();
    stream.read_to_string(&mut back).await.expect("read");
    assert_eq!(back, "there and back");
    // A script over its time needs a channel to be killed by.
    let late = crudctl::host::Entry { timeout: Some(Duration::from_millis(400)), ..crate::machine::act("sleep 31") };
    let began = Instant::now();
    let replies = crate::machine::run(&session, become_root("sudo", None), vec![late]).await;
    assert!(matches!(replies[..], [Err(crudctl::host::Lost::TimedOut(_))]), "{replies:?}");
    assert!(began.elapsed() < Duration::from_secs(10));
    assert_eq!(output(&session, become_root("sudo", None), "pgrep -fx 'sleep 31' | wc -l").await.trim(), "0");
    session.close().await;

    // More logins at once than sshd lets in.
    let logins = futures_util::future::join_all((0..10).map(|_| connect(machine.target.clone()))).await;
    for session in logins {
        session.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_is_told() {
    if without_lab("a_full_disk_is_told") {
        return;
    }
    let machine = Machine::up("w46", &[]);
    let session = connect(machine.login("root")).await;
    let fill = "head -c 20000000 /dev/zero >/tmp/fill 2>/dev/null; true";
    output(&session, None, "mount -t tmpfs -o size=4M,mode=1777 none /tmp").await;
    for size in [20_000, 60_000, 2_000_000] {
        output(&session, None, fill).await;
        let mut script = Script::default();
        let word = script.upload(vec![7u8; size]);
        script.line(format!("wc -c <{word}"));
        let denied = reply(&session, None, script.clone()).await;
        assert_eq!(denied.status, 1, "{}", denied.out());
        assert!(denied.err().contains("could not store a payload"), "{}", denied.err());
        assert!(denied.err().contains("No space left on device"), "{}", denied.err());
        // It is sent again once there is room.
        output(&session, None, "rm -f /tmp/fill").await;
        let room = reply(&session, None, script).await;
        assert_eq!((room.status, room.out().trim()), (0, &*size.to_string()), "{}", room.err());
    }
    session.close().await;
}
