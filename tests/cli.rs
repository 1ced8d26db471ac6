//! The command line as users meet it: exit status, stdout, stderr.

use std::process::Output;

use assert_cmd::Command;

fn crudctl() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_crudctl"));
    command.env_clear().env("PATH", "/usr/bin:/bin").env("HOME", "/nonexistent");
    command
}

/// Exit status, stdout and stderr in one text.
fn shown(output: &Output) -> String {
    format!(
        "exit {}\n----- stdout\n{}----- stderr\n{}",
        output.status.code().map_or_else(|| "none".into(), |code| code.to_string()),
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

fn run(args: &[&str]) -> String {
    shown(&crudctl().args(args).output().expect("it runs"))
}

#[test]
fn an_unknown_verb_is_a_usage_error() {
    insta::assert_snapshot!(run(&["pley"]), @r"
    exit 5
    ----- stdout
    ----- stderr
    error: unrecognized subcommand 'pley'

      tip: some similar subcommands exist: 'deploy', 'replay'

    Usage: crudctl <COMMAND>

    For more information, try '--help'.
    ");
}

#[test]
fn an_unknown_module_has_no_page() {
    insta::assert_snapshot!(run(&["doc", "no_such_module"]), @r"
    exit 1
    ----- stdout
    ----- stderr
    error: there is no module `no_such_module`
    ");
}

/// A recorded run: one host, a change, a failure.
const RECORDING: &str = r#"{"event":"run_started","version":1,"playbook":"site.yml","plays":1,"check_mode":false,"hosts":1}
{"event":"play_started","name":"web","hosts":["web1"],"check_mode":false}
{"event":"task_started","task":{"id":1,"name":"install","action":"apt","place":"<test>","role":null,"handler":false,"tags":[],"no_log":false},"hosts":["web1"]}
{"event":"task_ended","task":{"id":1,"name":"install","action":"apt","place":"<test>","role":null,"handler":false,"tags":[],"no_log":false},"host":"web1","delegated":null,"status":"changed","ignored":false,"item":null,"is_loop":false,"result":{"changed":true},"seconds":2.5,"error":null,"origin":null}
{"event":"task_ended","task":{"id":2,"name":"check","action":"command","place":"<test>","role":null,"handler":false,"tags":[],"no_log":false},"host":"web1","delegated":null,"status":"failed","ignored":false,"item":null,"is_loop":false,"result":{"changed":true,"rc":1,"msg":"non-zero return code","stderr":"nginx: bad\n"},"seconds":0.1,"error":null,"origin":null}
{"event":"run_ended","hosts":{"web1":{"ok":1,"changed":1,"unreachable":0,"failed":1,"skipped":0,"rescued":0,"ignored":0}},"stats":{},"seconds":3.0,"round_trips":4,"interrupted":false}
"#;

fn replay(form: &str) -> String {
    let output = crudctl().args(["replay", "-", "--output", form]).write_stdin(RECORDING).output().expect("it runs");
    shown(&output)
}

#[test]
fn a_recording_is_shown_in_any_form() {
    insta::assert_snapshot!(replay("plain"), @r"
    exit 0
    ----- stdout
    run         site.yml, 1 host
    play        web (web1)
    changed     web1 | install (2.5 s)
    failed      web1 | check
        non-zero return code (exit status 1)
        at <test>
        last lines of stderr:
          nginx: bad
    host        web1 | ok=1 changed=1 unreachable=0 failed=1 skipped=0 rescued=0 ignored=0
    ended       after 3.0 s, 4 round trips
    ----- stderr
    ");
    insta::assert_snapshot!(replay("human"), @r"
    exit 0
    ----- stdout
    site.yml on 1 host
    web  (web1)
      ~ install  changed: web1  2.5 s
      ✗ check  failed: web1
          non-zero return code (exit status 1)
          at <test>
          last lines of stderr:
            nginx: bad

      web1  1 failed, 1 changed
      changed:
        install  (web1)
      done in 3.0 s, 4 round trips
    ----- stderr
    ");
    insta::assert_snapshot!(replay("github"), @r"
    exit 0
    ----- stdout
    run         site.yml, 1 host
    ::group::web (1 host)
    play        web (web1)
    changed     web1 | install (2.5 s)
    failed      web1 | check
        non-zero return code (exit status 1)
        at <test>
        last lines of stderr:
          nginx: bad
    ::error file=<test>,title=check on web1::non-zero return code (exit status 1)
    ::endgroup::
    ::notice::run ended after 3.0 s
    host        web1 | ok=1 changed=1 unreachable=0 failed=1 skipped=0 rescued=0 ignored=0
    ended       after 3.0 s, 4 round trips
    ----- stderr
    ");
    insta::assert_snapshot!(replay("junit"), @r#"
    exit 0
    ----- stdout
    <?xml version="1.0" encoding="UTF-8"?>
    <testsuites>
      <testsuite name="web" tests="2" failures="1" skipped="0" time="2.600">
        <testcase name="[web1] install" classname="&lt;test&gt;" time="2.500"/>
        <testcase name="[web1] check" classname="&lt;test&gt;" time="0.100">
          <failure message="non-zero return code (exit status 1)" type="failed"/>
        </testcase>
      </testsuite>
    </testsuites>
    ----- stderr
    "#);
}

#[test]
fn a_recording_replays_as_itself() {
    assert_eq!(replay("json"), format!("exit 0\n----- stdout\n{RECORDING}----- stderr\n"));
}

#[test]
fn what_is_no_recording_is_refused_by_its_line() {
    let output = crudctl().args(["replay", "-"]).write_stdin("\nhello\n").output().unwrap();
    insta::assert_snapshot!(shown(&output), @r"
    exit 1
    ----- stdout
    ----- stderr
    error: line 2 is not an event of a run: expected value at line 1 column 1
    ");
}

/// The generated reference is what the code says: `crudctl doc --markdown docs/modules`, `crudctl schema --project`.
#[test]
fn the_reference_is_current() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs");
    let mut stale = vec![];
    let pages = crudctl::cli::doc::pages();
    for (name, text) in &pages {
        if std::fs::read_to_string(root.join("modules").join(name)).ok().as_deref() != Some(text) {
            stale.push(format!("modules/{name}"));
        }
    }
    let files = std::fs::read_dir(root.join("modules")).expect("docs/modules").count();
    let schema = crudctl().args(["schema", "--project"]).output().expect("it runs").stdout;
    if std::fs::read(root.join("crudctl.schema.json")).ok() != Some(schema) {
        stale.push("crudctl.schema.json".into());
    }
    assert!(
        stale.is_empty() && files == pages.len(),
        "make docs anew ({files} pages, {} modules): {stale:?}",
        pages.len()
    );
}

#[test]
fn init_writes_a_file_that_can_be_read_and_overwrites_nothing() {
    let dir = tempfile::tempdir().expect("a folder");
    let init =
        |more: &[&str]| shown(&crudctl().current_dir(dir.path()).arg("init").args(more).output().expect("it runs"));
    let said = init(&["--name", "Not a name"]);
    assert!(said.starts_with("exit 5") && said.contains("can't be a service's name"), "{said}");
    assert!(init(&["--name", "employees"]).starts_with("exit 0"));
    let project = crudctl::project::Project::load(dir.path()).expect("a project");
    assert_eq!((project.name.as_str(), project.service.port, project.proxy.port), ("employees", 8080, 80));
    let said = init(&[]);
    assert!(said.starts_with("exit 5") && said.contains("is there already"), "{said}");
}
