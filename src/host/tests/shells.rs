//! The same batches in every `sh` that this machine has: what is quoted, guarded and framed must not depend on which it is.

use proptest::prelude::*;

use super::super::process::Process;
use super::super::script::{Script, ShellFunction, quote};
use super::super::shell::{Entry, GoOn, Shell};
use super::super::{Reply, upload};

/// The shells to try: dash is `sh` on Debian; the others where they are installed.
fn shells() -> Vec<Vec<String>> {
    let all = ["dash", "bash --posix", "busybox sh", "ksh", "mksh", "zsh --emulate sh"];
    let installed = |line: &&str| {
        let program = line.split(' ').next().unwrap_or_default();
        std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()).any(|dir| dir.join(program).exists())
    };
    all.iter().copied().filter(installed).map(|line| line.split(' ').map(str::to_owned).collect()).collect()
}

/// Runs a batch in a fresh shell; what each script gave, with its kind.
async fn run(shell: &[String], batch: &[Entry], uploads: &str) -> Vec<(char, Reply)> {
    let process = Process::local(shell, true).expect("a shell");
    let mut shell = Shell::new(process, None, "0123456789abcdef").expect("streams");
    shell.write(batch, uploads).expect("written");
    let mut all = vec![];
    loop {
        let (kind, reply) = shell.next().await.expect("a frame");
        if kind == b'z' {
            break;
        }
        all.push((char::from(kind), reply));
    }
    shell.close().await;
    all
}

fn act(text: &str) -> Entry {
    Entry { apply: Some(Script::new(text)), go_on: GoOn { failed: true, ..GoOn::default() }, ..Entry::default() }
}

fn short(replies: &[(char, Reply)]) -> String {
    replies.iter().map(|(kind, r)| format!("{kind}{}:{}", r.status, r.out())).collect::<Vec<_>>().join("|")
}

#[tokio::test]
async fn guards_and_syntax_errors() {
    let check = |check: &str, apply: Option<&str>| Entry {
        check: Some(Script::new(check)),
        apply: apply.map(Script::new),
        ..Entry::default()
    };
    let shells = shells();
    assert!(shells.len() > 1, "only {shells:?}: is busybox missing?");
    for shell in shells {
        for (batch, expected) in [
            (vec![check("exit 0", Some("echo no")), act("echo on")], "c0:|a0:on\n"),
            (vec![check("exit 10", Some("echo yes")), act("echo on")], "c10:|a0:yes\n|a0:on\n"),
            (vec![check("exit 10", None), act("echo on")], "c10:"),
            (vec![check("exit 11", Some("echo no")), act("echo on")], "c11:"),
            (vec![check("exit 4", Some("echo no")), act("echo on")], "c4:"),
            (vec![act("printf x; exit 9"), act("echo on")], "a9:x|a0:on\n"),
            (vec![act("set -e; false; echo no"), act("echo on")], "a1:|a0:on\n"),
            (vec![act("trap 'echo bye' EXIT; echo a"), act("echo on")], "a0:a\nbye\n|a0:on\n"),
            (vec![act("cat; echo $#"), act("echo on")], "a0:0\n|a0:on\n"),
        ] {
            assert_eq!(short(&run(&shell, &batch, "").await), expected, "{shell:?}");
        }
        for broken in [
            "if then fi (",
            "echo '",
            "echo \"$(",
            "case x in",
            "}",
            "done",
            "return 3",
            ". /nonexistent",
            "exec /nonexistent",
        ] {
            let replies = run(&shell, &[act(broken), act("echo on")], "").await;
            assert_eq!(replies.len(), 2, "{shell:?} {broken}: {}", short(&replies));
            assert_eq!(replies[1].1.out(), "on\n", "{shell:?} {broken}");
        }
        let noisy = run(&shell, &[act("if then fi ("), act("exit 0")], "").await;
        assert!(!noisy[0].1.stderr.is_empty() && noisy[0].1.status != 0, "{shell:?}");
        assert!(noisy[1].1.stderr.is_empty(), "{shell:?}: {}", noisy[1].1.err());
    }
}

#[tokio::test]
async fn uploads_in_front_of_a_batch() {
    let bytes: Vec<u8> = (0..=255u8).cycle().take(70_000).collect();
    for shell in shells() {
        let mut script = Script::default();
        let word = script.upload(bytes.clone());
        script.line(format!("cat {word}"));
        let text = upload::in_band(&script.uploads[0]);
        let entry = Entry { apply: Some(script.clone()), ..Entry::default() };
        let replies = run(&shell, std::slice::from_ref(&entry), &text).await;
        assert_eq!(replies[0].1.stdout, bytes, "{shell:?}: {}", replies[0].1.err());
        // What could not be stored fails the script that wants it, with the reason, and the batch there.
        let replies = run(&shell, &[entry, act("echo on")], &upload::note("No space left on device")).await;
        assert_eq!(replies.len(), 1, "{shell:?}");
        assert!(replies[0].1.status == 1 && replies[0].1.err().contains("No space left"), "{}", replies[0].1.err());
    }
}

#[tokio::test]
async fn functions_are_sent_once_and_need_others() {
    static INNER: ShellFunction = ShellFunction { name: "inner", text: "inner() { echo \"inner $1\"; }", needs: &[] };
    static OUTER: ShellFunction = ShellFunction { name: "outer", text: "outer() { inner \"$@\"; }", needs: &[&INNER] };
    for shell in shells() {
        let entry = Entry { check: Some(Script::new("outer 'a b'").function(&OUTER)), ..Entry::default() };
        let replies = run(&shell, &[entry.clone(), entry], "").await;
        assert_eq!(short(&replies), "c0:inner a b\n|c0:inner a b\n", "{shell:?}");
    }
}

#[tokio::test]
async fn a_variable_that_no_shell_can_export_is_refused() {
    for shell in shells() {
        let mut entry = act("echo no");
        entry.environment = vec![("a-b; echo".into(), "x".into())];
        let replies = run(&shell, &[entry], "").await;
        assert_eq!((replies[0].1.status, replies[0].1.out().as_str()), (2, ""), "{shell:?}");
        assert!(replies[0].1.err().contains("`a-b; echo`"), "{}", replies[0].1.err());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    /// Words come out of every shell as they went in: as arguments, environment and secrets, and as inline bytes.
    #[test]
    fn values_come_back(
        words in prop::collection::vec("[^\\x00]{0,12}|[-'\"$`\\\\!*?~#&;|<>(){}\\[\\] \t\r\n=]{0,12}", 1..6),
        bytes in prop::collection::vec(any::<u8>(), 0..200),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        for shell in shells() {
            let mut script = Script::default();
            let mut expected = vec![];
            for (at, word) in words.iter().enumerate() {
                script.line(format!("printf '%s\\0' {} \"$V{at}\" \"$S{at}\"", quote(word)));
                script.secrets.push((format!("S{at}"), word.clone()));
                for _ in 0..3 {
                    expected.extend(word.as_bytes());
                    expected.push(0);
                }
            }
            let inline = script.write_bytes(&bytes);
            script.line(inline);
            expected.extend(&bytes);
            let environment = words.iter().enumerate().map(|(at, word)| (format!("V{at}"), word.clone())).collect();
            let entry = Entry { check: Some(script), environment, ..Entry::default() };
            let replies = runtime.block_on(run(&shell, &[entry], ""));
            prop_assert_eq!(&replies[0].1.stdout, &expected, "{:?}: {}", shell, replies[0].1.err());
        }
    }
}
