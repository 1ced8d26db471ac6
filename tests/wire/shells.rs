//! Hosts whose `sh` is another: dash, bash, busybox.

use crudctl::host::script::Script;
use crudctl::host::{Entry, facts};

use crate::machine::{Machine, act, become_root, connect, output, reply, run, without_lab};

#[tokio::test(flavor = "multi_thread")]
async fn any_sh_will_do() {
    if without_lab("any_sh_will_do") {
        return;
    }
    let machine = Machine::up("w40", &[]);
    let root = connect(machine.login("root")).await;
    // The host has no busybox: a static one of this machine's goes there as an upload.
    let mut script = Script::default();
    let word = script.upload(std::fs::read("/bin/busybox").expect("busybox-static"));
    script.line(format!("cat {word} >/usr/local/bin/busybox && chmod 755 /usr/local/bin/busybox"));
    assert_eq!(reply(&root, None, script).await.status, 0);
    output(&root, None, "printf '%s\\n' 'echo welcome' >/home/deploy/.bashrc").await;
    for shell in ["dash", "bash", "/usr/local/bin/busybox"] {
        output(&root, None, &format!("ln -sf {shell} /bin/sh.new && mv /bin/sh.new /bin/sh")).await;
        let session = connect(machine.target.clone()).await;
        for who in [None, become_root("sudo", None)] {
            let gather = Entry { check: Some(facts::script(&[])), ..Entry::default() };
            let gathered = run(&session, who.clone(), vec![gather]).await.remove(0).expect("a reply").check;
            let known = facts::parse(&gathered.expect("a reply")).expect("facts");
            assert_eq!(known["default_ipv4"]["address"], machine.target.host.as_str(), "{shell}");
            assert_eq!(known["pkg_mgr"], "apt", "{shell}");
            let mut script = Script::default();
            let word = script.upload((0..=255u8).cycle().take(50_000).collect::<Vec<u8>>());
            script.line(format!("cat {word}"));
            assert_eq!(reply(&session, who.clone(), script).await.stdout.len(), 50_000, "{shell}");
            let broken = reply(&session, who.clone(), Script::new("case x in")).await;
            assert!(broken.status != 0 && !broken.stderr.is_empty(), "{shell}");
            let replies = run(&session, who, vec![act("exit 3"), act("echo no")]).await;
            assert_eq!(replies.len(), 1, "{shell}");
        }
        session.close().await;
    }
    // A login shell of another family.
    output(&root, None, "printf '%s\\n' '#!/bin/sh' 'case $2 in *printf*) exit 1 ;; esac; exec sh \"$@\"' >/bin/odd; chmod 755 /bin/odd").await;
    output(&root, None, "chsh -s /bin/odd deploy").await;
    let session = connect(machine.target.clone()).await;
    let gather = Entry { check: Some(facts::script(&[])), ..Entry::default() };
    let gathered = run(&session, None, vec![gather]).await.remove(0).expect("a reply").check;
    let known = facts::parse(&gathered.expect("a reply")).expect("facts");
    assert_eq!(known["user_shell"], "/bin/odd");
    session.close().await;
    root.close().await;
}
