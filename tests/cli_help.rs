//! The command line holds together: clap's own checks, and a page of help for every verb.

#[test]
fn every_verb_has_help() {
    let help = assert_cmd::Command::cargo_bin("crudctl").unwrap().arg("--help").output().unwrap();
    let text = String::from_utf8(help.stdout).unwrap();
    for verb in [
        "up",
        "deploy",
        "manifests",
        "plan",
        "build-push",
        "login",
        "logout",
        "image",
        "status",
        "logs",
        "history",
        "rollback",
        "down",
        "run",
        "check",
        "inventory",
        "vault",
        "doc",
    ] {
        assert!(text.contains(&format!("  {verb} ")), "{verb} is missing in:\n{text}");
        let page = assert_cmd::Command::cargo_bin("crudctl").unwrap().args([verb, "--help"]).output().unwrap();
        assert!(page.status.success(), "{verb} --help: {}", String::from_utf8_lossy(&page.stderr));
    }
}
