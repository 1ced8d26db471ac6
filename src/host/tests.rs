//! The wire against a real `sh` of this machine.

use std::time::{Duration, Instant};

mod shells;

use super::script::Script;
use super::{Become, Entry, EntryReply, GoOn, Lost, Session, Target, Transport};

async fn session() -> Session {
    Session::connect(&Target { name: "here".into(), transport: Transport::Local }).await.expect("local")
}

fn act(text: &str) -> Entry {
    Entry { apply: Some(Script::new(text)), ..Entry::default() }
}

fn check(text: &str, apply: Option<&str>) -> Entry {
    Entry { check: Some(Script::new(text)), apply: apply.map(Script::new), ..Entry::default() }
}

async fn run(session: &Session, batch: Vec<Entry>) -> Vec<Result<EntryReply, Lost>> {
    let mut replies = session.run(None, batch);
    let mut all = vec![];
    while let Some(reply) = replies.recv().await {
        all.push(reply);
    }
    all
}

async fn outputs(batch: Vec<Entry>) -> Vec<String> {
    let session = session().await;
    let replies = run(&session, batch).await;
    let text = |r: super::Reply| format!("{}:{}", r.status, r.out());
    replies
        .into_iter()
        .map(|reply| {
            let reply = reply.expect("a reply");
            [reply.check.map(text), reply.apply.map(text)].into_iter().flatten().collect::<Vec<_>>().join("|")
        })
        .collect()
}

#[tokio::test]
async fn a_batch_is_run_in_order_in_one_round_trip() {
    let session = session().await;
    let replies =
        run(&session, vec![act("echo one"), check("exit 0", Some("echo never")), act("printf two; printf err >&2")])
            .await;
    assert_eq!(replies.len(), 3);
    let last = replies[2].as_ref().expect("a reply").apply.as_ref().expect("an apply");
    assert_eq!((last.out().as_str(), last.err().as_str()), ("two", "err"));
    assert_eq!(session.round_trips(), 1);
    session.close().await;
}

#[tokio::test]
async fn guards_stop_on_the_host() {
    assert_eq!(outputs(vec![check("exit 10", None), act("echo behind")]).await, ["10:"]);
    assert_eq!(
        outputs(vec![check("exit 10", Some("echo applied")), act("echo behind")]).await,
        ["10:|0:applied\n", "0:behind\n"]
    );
    assert_eq!(outputs(vec![check("exit 10", Some("exit 3")), act("echo behind")]).await, ["10:|3:"]);
    assert_eq!(outputs(vec![check("echo what; exit 11", Some("echo no")), act("echo behind")]).await, ["11:what\n"]);
    assert_eq!(outputs(vec![check("exit 1", Some("echo no")), act("echo behind")]).await, ["1:"]);
    assert_eq!(outputs(vec![act("exit 5"), act("echo behind")]).await, ["5:"]);
    let lenient = Entry { go_on: GoOn { failed: true, ..GoOn::default() }, ..act("exit 5") };
    assert_eq!(outputs(vec![lenient, act("echo behind")]).await, ["5:", "0:behind\n"]);
    let dry = Entry { go_on: GoOn { drift: true, ask: true, failed: false }, ..check("exit 10", None) };
    assert_eq!(outputs(vec![dry, act("echo behind")]).await, ["10:", "0:behind\n"]);
}

#[tokio::test]
async fn what_users_write_cannot_end_the_shell() {
    let session = session().await;
    for text in [
        "exit 7",
        "if then fi (",
        "cat",
        "exec true",
        "set -e; false",
        "kill -9 $$ 2>/dev/null; :",
        "echo '",
        "return 3",
    ] {
        if text.starts_with("kill") {
            continue; // Killing the shell itself is a loss of the session, tested below.
        }
        let replies = run(
            &session,
            vec![Entry { go_on: GoOn { failed: true, ..GoOn::default() }, ..act(text) }, act("echo alive")],
        )
        .await;
        let last = replies.last().expect("replies").as_ref().expect("a reply").apply.as_ref().expect("an apply");
        assert_eq!(last.out(), "alive\n", "{text}");
    }
}

#[tokio::test]
async fn a_killed_shell_is_lost_and_replaced() {
    let session = session().await;
    let replies = run(&session, vec![act("kill -9 $$"), act("echo behind")]).await;
    assert!(matches!(replies.last(), Some(Err(Lost::Disconnected(_)))), "{replies:?}");
    let replies = run(&session, vec![act("echo again")]).await;
    assert_eq!(replies[0].as_ref().expect("a reply").apply.as_ref().expect("an apply").out(), "again\n");
}

#[tokio::test]
async fn hostile_values_stay_values() {
    for value in [
        "a'b\"c",
        "$(touch /tmp/never)",
        "line\nbreak",
        "-n",
        "ünïcode ☃",
        "back\\slash",
        "*",
        "`id`",
        "\t",
        "'",
        "''''",
    ] {
        let mut entry = act("printf %s \"$VALUE\"; printf '|%s' \"$crud_secret\"");
        entry.environment = vec![("VALUE".into(), value.into())];
        if let Some(apply) = &mut entry.apply {
            apply.secrets = vec![("crud_secret".into(), value.into())];
        }
        assert_eq!(outputs(vec![entry]).await, [format!("0:{value}|{value}")]);
    }
}

#[tokio::test]
async fn binary_and_large_output_comes_back_whole() {
    let session = session().await;
    let replies = run(&session, vec![act("head -c 10000000 /dev/zero; printf '\\377\\000x'")]).await;
    let out = &replies[0].as_ref().expect("a reply").apply.as_ref().expect("an apply").stdout;
    assert_eq!(out.len(), 10_000_003);
    assert_eq!(&out[10_000_000..], b"\xff\x00x");
}

#[tokio::test]
async fn a_background_child_that_holds_stdout_does_not_block() {
    let session = session().await;
    let began = Instant::now();
    let replies = run(&session, vec![act("sleep 20 & echo started")]).await;
    assert_eq!(replies[0].as_ref().expect("a reply").apply.as_ref().expect("an apply").out(), "started\n");
    assert!(began.elapsed() < Duration::from_secs(10));
    session.close().await;
}

#[tokio::test]
async fn scripts_have_no_terminal_to_be_stopped_by() {
    // The shell leads a session of its own: fields 4 and 5 of its `stat` behind the name are session and terminal.
    let text =
        "read -r s </proc/$$/stat; set -- ${s##*) }; echo $(($4 - $$)) $5; (: </dev/tty) 2>/dev/null && echo tty; true";
    assert_eq!(outputs(vec![act(text)]).await, ["0:0 0\n"]);
}

#[tokio::test]
async fn a_script_over_its_time_is_killed() {
    let session = session().await;
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("late");
    let entry = Entry {
        timeout: Some(Duration::from_millis(300)),
        ..act(&format!("sleep 2; touch {}", super::quote(&file.display().to_string())))
    };
    let replies = run(&session, vec![entry, act("echo behind")]).await;
    assert!(matches!(replies[..], [Err(Lost::TimedOut(_))]), "{replies:?}");
    tokio::time::sleep(Duration::from_millis(2500)).await;
    assert!(!file.exists(), "it ran on");
    let replies = run(&session, vec![act("echo again")]).await;
    assert!(replies[0].is_ok());
}

#[tokio::test]
async fn uploads_are_files_while_scripts_run_and_gone_afterwards() {
    let session = session().await;
    let small: Vec<u8> = (0..=255).collect();
    let large: Vec<u8> = small.iter().copied().cycle().take(300_000).collect();
    for bytes in [small, large] {
        let mut script = Script::default();
        let word = script.upload(bytes.clone());
        script.line(format!("cat {word}; ls -ld \"$crud_dir\" >&2"));
        let replies = run(&session, vec![Entry { apply: Some(script), ..Entry::default() }]).await;
        let reply = replies[0].as_ref().expect("a reply").apply.as_ref().expect("an apply");
        assert_eq!(reply.stdout, bytes);
        assert!(reply.err().starts_with("drwx------"), "{}", reply.err());
    }
    // Closed or dropped: the shell cleans up either way.
    for dropped in [false, true] {
        let session =
            Session::connect(&Target { name: "here".into(), transport: Transport::Local }).await.expect("local");
        let mut script = Script::default();
        script.upload(b"x".to_vec());
        script.line("echo \"$crud_dir\"");
        let replies = run(&session, vec![Entry { apply: Some(script), ..Entry::default() }]).await;
        let reply = replies[0].as_ref().expect("a reply").apply.as_ref().expect("an apply");
        let directory = reply.out().trim().to_owned();
        assert!(std::path::Path::new(&directory).exists());
        if dropped {
            drop(session);
        } else {
            session.close().await;
        }
        let mut waited = 0;
        while std::path::Path::new(&directory).exists() {
            waited += 1;
            assert!(waited < 50, "{directory} was left behind, dropped: {dropped}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

#[tokio::test]
async fn a_user_that_cannot_be_had_is_explained() {
    let session = session().await;
    let who = Become {
        method: "sudo".into(),
        user: "root".into(),
        password: None,
        flags: None,
        exe: Some("/nonexistent/sudo".into()),
    };
    let mut replies = session.run(Some(who), vec![act("id")]);
    match replies.recv().await {
        Some(Err(Lost::Become(reason))) => assert!(reason.contains("there is no `/nonexistent/sudo`"), "{reason}"),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn facts_of_this_machine() {
    let session = session().await;
    let replies = run(&session, vec![Entry { apply: Some(super::facts::script(&[])), ..Entry::default() }]).await;
    let reply = replies[0].as_ref().expect("a reply").apply.as_ref().expect("an apply");
    let facts = super::facts::parse(reply).expect("facts");
    assert_eq!(facts["system"], "Linux");
    assert_eq!(facts["os_family"], "Debian");
    assert!(facts["memtotal_mb"].as_i64().expect("a number") > 0);
    assert!(facts["date_time"]["epoch"].as_str().expect("text").parse::<i64>().expect("a number") > 1_700_000_000);
}
