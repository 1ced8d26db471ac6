//! The language from outside: what the static check finds, and what inventories are, as Ansible has them.

use std::path::PathBuf;

use assert_cmd::Command;
use serde_json::Value;

fn fixtures(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

fn crudctl(dir: &str, args: &[&str]) -> (Option<i32>, String) {
    let mut command = Command::cargo_bin("crudctl").expect("the program");
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("ANSIBLE_")) {
        command.env_remove(name);
    }
    let output = command.args(args).current_dir(fixtures(dir)).env("HOME", "/nonexistent").output().expect("it runs");
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    (output.status.code(), text)
}

/// Errors of form, of modules, of templates, of types, in the playbook and in what it includes: all in one run.
#[test]
fn all_static_errors_come_at_once() {
    let (status, text) = crudctl("check", &["check", "broken.yml"]);
    let text = text.replace(&fixtures("check").display().to_string(), "DIR");
    // Where roles are looked for is told in one line that differs between machines.
    let lines = text.lines().map(|line| line.split(" was not found in ").next().unwrap_or(line).trim_end());
    let got = lines.collect::<Vec<_>>().join("\n") + "\n";
    let wanted = include_str!("fixtures/check/broken.expected.txt");
    assert_eq!(got, wanted, "\n{got}");
    assert_eq!(status, Some(3));
}

/// The expected files are the output of `ansible-inventory --list` of ansible-core 2.19.
#[test]
fn inventories_are_those_of_ansible() {
    for name in ["hosts.ini", "hosts.yml"] {
        let (status, text) = crudctl("inventory", &["inventory", "-i", name, "--list"]);
        assert_eq!(status, Some(0), "{text}");
        let got: Value = serde_json::from_str(&text).expect("JSON");
        let path = fixtures("inventory").join(format!("{name}.expected.json"));
        let mut wanted: Value = serde_json::from_str(&std::fs::read_to_string(path).expect("a file")).expect("JSON");
        if let Some(meta) = wanted.get_mut("_meta").and_then(Value::as_object_mut) {
            meta.remove("profile");
        }
        assert_eq!(got, wanted, "{name}");
    }
}

/// A playbook named without a folder, and the localhost that no inventory has.
#[test]
fn a_playbook_knows_its_place() {
    let (status, text) = crudctl("check", &["run", "here.yml"]);
    assert_eq!(status, Some(0), "{text}");
    assert!(text.contains("ok=1 changed=0"), "{text}");
}

/// Plays whose assertions hold with ansible-core 2.19.14, too: which variable wins, when a role runs, what a flow goes on with.
#[test]
fn plays_mean_what_they_mean_to_ansible() {
    let cases: [(&str, &[&str]); 5] = [
        ("semantics", &["ansible-playbook", "roles.yml"]),
        ("semantics", &["ansible-playbook", "flow.yml"]),
        ("semantics", &["ansible-playbook", "-i", "generated.yml", "generated_play.yml"]),
        ("semantics/merge", &["ansible-playbook", "play.yml"]),
        ("semantics/layers", &["ansible-playbook", "-i", "inventory", "play.yml"]),
    ];
    for (dir, args) in cases {
        let (status, text) = crudctl(dir, args);
        assert_eq!(status, Some(0), "{args:?}: {text}");
        assert!(text.contains("All assertions passed"), "{args:?}: {text}");
    }
}

#[test]
fn errors_of_a_flow_are_those_of_ansible() {
    let (status, text) = crudctl("semantics", &["ansible-playbook", "throttle.yml"]);
    let wanted = "Failed to convert the throttle value to an integer: invalid literal for int() with base 10: 'many'";
    assert!(text.contains(wanted), "{text}");
    assert_eq!(status, Some(1));
    let (status, text) = crudctl("semantics", &["ansible-playbook", "outside.yml"]);
    assert!(text.contains("as it is not inside the expected role path"), "{text}");
    assert_eq!(status, Some(2));
}

/// Templated tags are listed by what they are, as Ansible does.
#[test]
fn listed_tags_are_rendered() {
    let (status, text) = crudctl("semantics", &["ansible-playbook", "tags.yml", "--list-tasks", "--tags", "deep"]);
    assert_eq!(status, Some(0), "{text}");
    assert!(text.contains("one\tTAGS: [deep, low]"), "{text}");
    assert!(!text.contains("two"), "{text}");
}

/// Variables of a vaulted file are known to the play, and on no screen.
#[test]
fn vaulted_variables_are_not_shown() {
    let args = ["ansible-playbook", "-vvv", "--vault-password-file", "vault.pass", "vaulted_play.yml"];
    let (status, text) = crudctl("semantics", &args);
    assert_eq!(status, Some(0), "{text}");
    assert!(text.contains("All assertions passed") && text.contains("output has been hidden"), "{text}");
    assert!(!text.contains("the wording"), "{text}");
}
