//! Other users: sudo with and without password, su, machines without sudo.

use crudctl::host::{Become, Lost, Secret};

use crate::machine::{Machine, become_root, connect, lost, output, without_lab};

fn refusal(lost: Lost) -> String {
    match lost {
        Lost::Become(reason) => reason,
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sudo_and_su() {
    if without_lab("sudo_and_su") {
        return;
    }
    let machine = Machine::up("w44", &[]);
    let session = connect(machine.login("locked")).await;
    assert_eq!(output(&session, become_root("sudo", Some("let-me-in")), "id -un; echo $HOME").await, "root\n/root\n");
    // Once more on the same session: sudo may remember, or not.
    assert_eq!(output(&session, become_root("sudo", Some("let-me-in")), "printf x").await, "x");
    let reason = refusal(lost(&session, become_root("sudo", Some("guess")), "id").await);
    assert!(reason.contains("Incorrect sudo password") && !reason.contains("guess"), "{reason}");
    let reason = refusal(lost(&session, become_root("sudo", None), "id").await);
    assert!(reason.contains("Missing sudo password") && reason.contains("--ask-become-pass"), "{reason}");
    let nobody = Become { user: "no-such-user".into(), ..become_root("sudo", Some("let-me-in")).expect("a user") };
    let reason = refusal(lost(&session, Some(nobody), "id").await);
    assert!(reason.contains("there is no user `no-such-user`"), "{reason}");
    // The login user's own shell is not affected.
    assert_eq!(output(&session, None, "id -un").await, "locked\n");

    let root = connect(machine.login("root")).await;
    output(&root, None, "echo root:pa55word | chpasswd").await;
    assert_eq!(output(&session, become_root("su", Some("pa55word")), "id -un").await, "root\n");
    let reason = refusal(lost(&session, become_root("su", Some("guess")), "id").await);
    assert!(reason.contains("Incorrect su password"), "{reason}");
    let reason = refusal(lost(&session, become_root("su", None), "id").await);
    assert!(reason.contains("Missing su password"), "{reason}");

    // A bare machine: root needs no sudo to become others, anyone else is told.
    output(&root, None, "mv /usr/bin/sudo /usr/bin/sudo.away").await;
    let daemon = Become { user: "daemon".into(), ..become_root("sudo", None).expect("a user") };
    assert_eq!(output(&root, Some(daemon), "id -un").await, "daemon\n");
    assert_eq!(output(&root, become_root("sudo", None), "id -un").await, "root\n");
    let deploy = connect(machine.login("deploy")).await;
    let reason = refusal(lost(&deploy, become_root("sudo", None), "id").await);
    assert!(reason.contains("there is no `sudo` on the host"), "{reason}");
    let doas = Become { password: Some(Secret::new("x")), ..become_root("doas", None).expect("a user") };
    let reason = refusal(lost(&deploy, Some(doas), "id").await);
    assert!(reason.contains("on a terminal only"), "{reason}");
    for session in [session, root, deploy] {
        session.close().await;
    }
}
