//! `login`, `logout` and `image`.

use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Stdio};

use crate::PROJECT;
use crate::project::{Project, Said, said};
use crate::server::{PASSWORD, Server, USER, run};

fn log_in(project: &Project, server: &Server, password: &str, path: Option<&str>) -> Said {
    let ca = server.ca();
    let name = server.name();
    let mut command = project.command(&["login", &name, "-u", USER, "--password-stdin", "--ca", &ca]);
    if let Some(path) = path {
        command.env("PATH", path);
    }
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("crudctl");
    writeln!(child.stdin.take().expect("stdin"), "{password}").expect("written");
    Said::of(&child.wait_with_output().expect("an end"))
}

#[test]
fn login_is_proved_kept_and_forgotten() {
    let server = Server::locked();
    let project = Project::new(PROJECT);
    let refused = log_in(&project, &server, "wrong-Passw0rd", None).expect(1, "401");
    assert!(!refused.err.contains("wrong-Passw0rd") && !project.docker().exists(), "{}", refused.err);
    let said = log_in(&project, &server, PASSWORD, None).expect(0, "logged in to");
    assert!(!format!("{}{}", said.out, said.err).contains(PASSWORD));
    let file = project.docker().join("config.json");
    assert_eq!(std::fs::metadata(&file).expect("the file").permissions().mode() & 0o777, 0o600);
    let to = format!("{}/team", server.name());
    project.crudctl(&["build-push", "--registry", &to, "--ca", &server.ca()]).expect(0, "3 sent");
    project.crudctl(&["logout", &server.name()]).expect(0, "logged out of");
    project.crudctl(&["logout", &server.name()]).expect(0, "there was no login");
    project.crudctl(&["build-push", "--registry", &to, "--ca", &server.ca()]).expect(2, "log in first");
}

#[test]
fn a_credential_helper_keeps_the_login() {
    let server = Server::locked();
    let project = Project::new(PROJECT);
    let tools = project.folder.path().join("tools");
    std::fs::create_dir_all(&tools).expect("a folder");
    let helper = tools.join("docker-credential-test");
    let script = "#!/bin/sh\ncd \"${0%/*}\" || exit 1\ncase $1 in\nstore) cat >kept ;;\n\
        get) cat >/dev/null; [ -f kept ] && cat kept || { echo credentials not found in native keychain; exit 1; } ;;\n\
        erase) rm kept ;;\nesac\n";
    std::fs::write(&helper, script).expect("written");
    std::fs::set_permissions(&helper, std::fs::Permissions::from_mode(0o755)).expect("a mode");
    std::fs::create_dir_all(project.docker()).expect("a folder");
    let config = r#"{"credsStore": "test"}"#;
    std::fs::write(project.docker().join("config.json"), config).expect("written");
    let path = format!("{}:{}", tools.display(), std::env::var("PATH").expect("PATH"));
    log_in(&project, &server, PASSWORD, Some(&path)).expect(0, "kept by docker-credential-test");
    let text = std::fs::read_to_string(project.docker().join("config.json")).expect("the file");
    assert_eq!(text, config, "nothing of it is in the file");
    let to = format!("{}/team", server.name());
    let with_helper = |arguments: &[&str]| said(project.command(arguments).env("PATH", &path));
    with_helper(&["build-push", "--registry", &to, "--ca", &server.ca()]).expect(0, "3 sent");
    with_helper(&["logout", &server.name()]).expect(0, "logged out of");
    with_helper(&["build-push", "--registry", &to, "--ca", &server.ca()]).expect(2, "log in first");
}

#[test]
fn images_are_listed_copied_and_deleted() {
    let (server, other) = (Server::plain(), Server::plain());
    let project = Project::new(PROJECT);
    let image = format!("{}/team/faulty", server.name());
    let push = |tag: &str| {
        let registry = format!("{}/team", server.name());
        project.crudctl(&["build-push", "--registry", &registry, "--tag", tag, "--print", "digest"]).expect(0, "").out
    };
    let first = push("v1").trim().to_owned();
    let listed = project.crudctl(&["image", "ls", &image]).expect(0, "").out;
    assert!(listed.lines().count() == 2 && listed.contains(&format!("v1  {first}")), "{listed}");
    let seen = project.crudctl(&["image", "inspect", &format!("{image}:v1")]).expect(0, "").out;
    let seen: serde_json::Value = serde_json::from_str(&seen).expect("JSON");
    assert_eq!((&seen["digest"], &seen["os"]), (&first.as_str().into(), &"linux".into()));

    let copy = format!("{}/mirror/faulty:v1", other.name());
    project.crudctl(&["image", "copy", &format!("{image}:v1"), &copy]).expect(0, &first);
    project.crudctl(&["image", "copy", &format!("{image}:v1"), &copy]).expect(0, "0 bytes sent");
    let raw = run(Command::new("skopeo").args(["inspect", "--raw", "--tls-verify=false", &format!("docker://{copy}")]));
    assert_eq!(crudctl::image::Digest::of(raw.as_bytes()).as_str(), first);

    project
        .crudctl(&["image", "delete", &format!("{image}:v1")])
        .expect(1, "has other tags that would go with it: main-");
    project.crudctl(&["image", "delete", &copy]).expect(0, "deleted");
    project.crudctl(&["image", "inspect", &copy]).expect(1, "there is no image");

    std::fs::write(project.path().join("src/other.txt"), "x").expect("written");
    project.git(&["add", "-A"]);
    project.git_at(1_700_000_100, &["commit", "-q", "-m", "later"]);
    let second = push("v2").trim().to_owned();
    project.crudctl(&["image", "prune", &image, "--keep", "1", "--check"]).expect(0, "would delete");
    project.crudctl(&["image", "prune", &image, "--keep", "1", "--match", "v*"]).expect(0, "is no match");
    project.crudctl(&["image", "prune", &image, "--keep", "1"]).expect(0, "deleted");
    let left = project.crudctl(&["image", "ls", &image]).expect(0, "").out;
    assert!(left.lines().count() == 2 && left.lines().all(|line| line.ends_with(&second)), "the newest stays: {left}");
}
