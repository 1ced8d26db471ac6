//! Lists of events and the bytes that ansible-core 2.19 prints for the same run.

use super::*;
use serde_json::json;

fn task(id: u64, name: &str, action: &str) -> TaskInfo {
    TaskInfo { id, name: name.into(), action: action.into(), place: "<test>".into(), ..TaskInfo::default() }
}

fn ended(task: &TaskInfo, status: Status, values: Value) -> TaskResult {
    let Value::Object(result) = values else { panic!("a result is a mapping") };
    TaskResult {
        task: task.clone(),
        host: "web1".into(),
        delegated: None,
        status,
        ignored: false,
        item: None,
        is_loop: false,
        result,
        seconds: 0.0,
        error: None,
        origin: None,
    }
}

/// A failed result of `a task` at a place, for the tests of other reporters.
pub(in crate::report) fn failed(place: &str, msg: &str) -> TaskResult {
    let task = TaskInfo { place: place.into(), ..task(1, "a task", "command") };
    ended(&task, Status::Failed, json!({"msg": msg}))
}

fn report(settings: Settings, events: &[Event]) -> (String, String) {
    let (screen, out, err) = Screen::buffers();
    let mut reporter = Ansible::new(settings, screen);
    for event in events {
        reporter.event(event);
    }
    reporter.finish();
    (out.text(), err.text())
}

fn stdout(events: &[Event]) -> String {
    report(Settings::default(), events).0
}

#[test]
fn a_small_run() {
    let debug = task(1, "a debug", "debug");
    let command = task(2, "command", "command");
    let events = [
        Event::PlayStarted { name: "first play".into(), hosts: vec!["web1".into()], check_mode: false },
        Event::TaskStarted { task: debug.clone(), hosts: vec!["web1".into()] },
        Event::TaskEnded(ended(&debug, Status::Ok, json!({"changed": false, "msg": ["hällo", {"b": 2.0, "a": null}]}))),
        Event::TaskStarted { task: command.clone(), hosts: vec!["web1".into()] },
        Event::TaskEnded(ended(&command, Status::Changed, json!({"changed": true, "rc": 0}))),
        Event::RunEnded {
            hosts: IndexMap::from([
                ("web1".to_owned(), Counters { ok: 2, changed: 1, ..Counters::default() }),
                ("idle".to_owned(), Counters::default()),
            ]),
            stats: BTreeMap::new(),
            seconds: 1.0,
            round_trips: 2,
            interrupted: false,
        },
    ];
    let expected = r#"
PLAY [first play] **************************************************************

TASK [a debug] *****************************************************************
ok: [web1] => {
    "msg": [
        "hällo",
        {
            "a": null,
            "b": 2.0
        }
    ]
}

TASK [command] *****************************************************************
changed: [web1]

PLAY RECAP *********************************************************************
web1                       : ok=2    changed=1    unreachable=0    failed=0    skipped=0    rescued=0    ignored=0   

"#;
    assert_eq!(stdout(&events), expected);
}

#[test]
fn a_failure_has_its_origin_and_may_be_ignored() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("a.yml");
    std::fs::write(&file, "- hosts: all\n  tasks:\n    - command: \"false\"\n").unwrap();
    let path = file.display();
    let mut outcome = failed(&format!("{path}:3:7"), "non-zero return code");
    outcome.result.insert("rc".into(), json!(1));
    outcome.ignored = true;
    outcome.delegated = Some("db".into());
    let expected = format!(
        "\nTASK [a task] {}\n[ERROR]: Task failed: Module failed: non-zero return code\nOrigin: {path}:3:7\n\n1 - hosts: all\n2   tasks:\n3     - command: \"false\"\n        ^ column 7\n\nfatal: [web1 -> db]: FAILED! => {{\"msg\": \"non-zero return code\", \"rc\": 1}}\n...ignoring\n",
        "*".repeat(66)
    );
    assert_eq!(stdout(&[Event::TaskEnded(outcome)]), expected);
}

#[test]
fn a_cause_elsewhere_is_shown_behind_the_task() {
    let task = task(1, "t", "debug");
    let text = "Task failed: Finalization of task args for 'ansible.builtin.debug' failed: Error while resolving value for 'msg': 'nope' is undefined";
    let mut outcome = ended(&task, Status::Failed, json!({"msg": text}));
    outcome.origin = Some("<value>".into());
    let expected = format!(
        "{text}\n\nTask failed: Finalization of task args for 'ansible.builtin.debug' failed.\nOrigin: <test>\n\n<<< caused by >>>\n\nError while resolving value for 'msg': 'nope' is undefined\nOrigin: <value>"
    );
    assert_eq!(error_text(&outcome).unwrap(), expected);
    assert!(
        stdout(&[Event::TaskEnded(outcome)]).ends_with(&format!("fatal: [web1]: FAILED! => {{\"msg\": \"{text}\"}}\n"))
    );
}

#[test]
fn items_are_shown_one_by_one_and_the_loop_not_again() {
    let task = task(1, "t", "command");
    let item = |status, item: Value, changed: bool| TaskResult {
        item: Some(item.clone()),
        ..ended(&task, status, json!({"changed": changed, "item": item}))
    };
    let whole = TaskResult { is_loop: true, ..ended(&task, Status::Changed, json!({"changed": true, "results": []})) };
    let events = [
        Event::ItemEnded(item(Status::Changed, json!("a"), true)),
        Event::ItemEnded(item(Status::Ok, json!({"x": 1}), false)),
        Event::ItemEnded(item(Status::Skipped, json!(3), false)),
        Event::TaskEnded(whole),
    ];
    let expected = format!(
        "\nTASK [t] {}\nchanged: [web1] => (item=a)\nok: [web1] => (item={{'x': 1}})\nskipping: [web1] => (item=3) \n",
        "*".repeat(71)
    );
    assert_eq!(stdout(&events), expected);
}

#[test]
fn no_log_hides_values_and_labels() {
    let task = TaskInfo { no_log: true, ..task(1, "t", "command") };
    let mut outcome = ended(&task, Status::Ok, json!({"changed": false, "stdout": "secret"}));
    outcome.item = Some(json!("secret"));
    let settings = Settings { verbosity: 1, ..Settings::default() };
    let (out, _) = report(settings, &[Event::ItemEnded(outcome)]);
    assert!(out.ends_with(
        "ok: [web1] => (item=(censored due to no_log)) => {\"censored\": \"the output has been hidden due to the fact that 'no_log: true' was specified for this result\", \"changed\": false}\n"
    ), "{out}");
}

#[test]
fn messages_go_to_stderr_once() {
    let warning = || Event::Warning { text: "careful".into() };
    let deprecated = Event::Warning { text: "[DEPRECATION WARNING]: old".into() };
    let (out, err) = report(Settings::default(), &[warning(), warning(), deprecated]);
    assert_eq!(out, "");
    assert_eq!(
        err,
        "[WARNING]: careful\n[WARNING]: Deprecation warnings can be disabled by setting `deprecation_warnings=False` in ansible.cfg.\n[DEPRECATION WARNING]: old\n"
    );
}

#[test]
fn hidden_results_hide_their_banner() {
    let settings = Settings { display_ok_hosts: false, display_skipped_hosts: false, ..Settings::default() };
    let one = task(1, "one", "command");
    let two = task(2, "two", "command");
    let events = [
        Event::TaskStarted { task: one.clone(), hosts: vec![] },
        Event::TaskEnded(ended(&one, Status::Ok, json!({}))),
        Event::TaskEnded(ended(&one, Status::Skipped, json!({}))),
        Event::TaskStarted { task: two.clone(), hosts: vec![] },
        Event::TaskEnded(ended(&two, Status::Changed, json!({}))),
    ];
    let (out, _) = report(settings, &events);
    assert_eq!(out, format!("\nTASK [two] {}\nchanged: [web1]\n", "*".repeat(69)));
}

#[test]
fn colours_are_those_of_ansible() {
    let (mut screen, out, _) = Screen::buffers();
    screen.color = true;
    let mut reporter = Ansible::new(Settings::default(), screen);
    let task = task(1, "t", "command");
    reporter.event(&Event::TaskEnded(ended(&task, Status::Changed, json!({}))));
    assert!(out.text().ends_with("\x1b[0;33mchanged: [web1]\x1b[0m\n"), "{}", out.text());
}
