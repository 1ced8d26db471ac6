//! `crudctl build-push` and its kin against Debian's registry. Needs the packages that `tests/run` names.

mod ci;
mod dockerfile;
mod engine;
mod faults;
mod images;
#[path = "../lab/lab.rs"]
mod lab;
mod meeting;
mod modules;
mod project;
mod proxy;
mod server;
mod statements;

use std::process::Command;

use project::{Project, said};
use proxy::{Fate, Proxy};
use server::{PASSWORD, Server, USER, run};

const PROJECT: &str = "name: faulty\nimage: {build: {cargo: .}}\n";

/// Credentials as `docker login` writes them.
fn log_in(project: &Project, registry: &str) {
    use base64::Engine as _;
    let auth = base64::engine::general_purpose::STANDARD.encode(format!("{USER}:{PASSWORD}"));
    std::fs::create_dir_all(project.docker()).expect("a folder");
    let config = serde_json::json!({"auths": {registry: {"auth": auth}}}).to_string();
    std::fs::write(project.docker().join("config.json"), config).expect("written");
}

#[test]
fn what_the_registry_has_is_not_sent_again() {
    let server = Server::plain();
    let proxy = Proxy::before(server.port, |_| Fate::Pass);
    let project = Project::new(PROJECT);
    let to = format!("{}/team", proxy.name());
    let push = ["build-push", "--registry", &to, "--output", "plain"];
    project.crudctl(&push).expect(0, "3 sent");
    assert_eq!(proxy.take().iter().filter(|request| request.sends_blob()).count(), 3);

    project.crudctl(&push).expect(0, "changed=0");
    let again = proxy.take();
    let asked: Vec<_> = again.iter().map(|request| request.method.as_str()).collect();
    assert_eq!(asked, ["GET", "HEAD"], "a greeting, and a question about the tag");

    project.crudctl(&["build-push", "--registry", &to, "--tag", "latest"]).expect(0, "0 sent");
    assert!(proxy.take().iter().all(|request| !request.sends_blob()), "another tag sends no blob");

    std::fs::write(project.path().join("src/other.txt"), "x").expect("written");
    project.commit();
    project.crudctl(&push).expect(0, "1 sent");
    let next: Vec<_> = proxy.take().into_iter().filter(proxy::Request::sends_blob).collect();
    assert!(next.len() == 1 && next[0].body.len() < 4096, "a new commit of the same program is a new config");
}

#[test]
fn a_layer_of_another_repository_is_mounted() {
    let server = Server::plain();
    let proxy = Proxy::before(server.port, |_| Fate::Pass);
    let text = "name: two\nimages:\n  one: {build: {cargo: .}}\n  two: {build: {cargo: .}}\n";
    let project = Project::new(text);
    let said = project.crudctl(&["build-push", "--registry", &proxy.name(), "--print", "reference"]).expect(0, "");
    let lines: Vec<_> = said.out.lines().collect();
    assert!(lines.len() == 2 && lines[0].contains("/one@sha256:") && lines[1].contains("/two@sha256:"), "{lines:?}");
    let sent = proxy.take().iter().filter(|request| request.sends_blob()).count();
    assert_eq!(sent, 4, "three blobs of the first image, and the config of the second");
    project.crudctl(&["build-push", "three", "--no-push"]).expect(5, "there is no image `three`; there are: one, two");
}

#[test]
fn two_clones_give_one_digest() {
    let digest = |umask: &str| {
        let project = Project::new(PROJECT);
        let folder = project.path();
        let script = format!(
            "umask {umask}; git clone -q {0} {0}/../clone && cd {0}/../clone && exec \"$0\" \"$@\"",
            folder.display()
        );
        let mut command = Command::new("sh");
        command.args(["-c", &script, env!("CARGO_BIN_EXE_crudctl"), "build-push", "--no-push", "--print", "digest"]);
        said(&mut command).expect(0, "sha256:").out
    };
    assert_eq!(digest("022"), digest("077"));
}

#[test]
fn a_registry_with_login_and_tls() {
    let server = Server::locked();
    let project = Project::new(PROJECT);
    let to = format!("{}/team", server.name());
    let push = ["build-push", "--registry", &to, "--ca", &server.ca()];
    project.crudctl(&["build-push", "--registry", &to]).expect(2, "certificate");
    project.crudctl(&push).expect(2, &format!("log in first: crudctl login {}", server.name()));
    log_in(&project, &server.name());
    let said = project.crudctl(&push).expect(0, "3 sent");
    assert!(!format!("{}{}", said.out, said.err).contains(PASSWORD));
    let digest =
        project.crudctl(&["build-push", "--registry", &to, "--insecure", "--print", "digest"]).expect(0, "").out;

    let tag = project.crudctl(&["build-push", "--no-push", "--print", "tag"]).expect(0, "main-").out;
    let name = format!("docker://{to}/faulty:{}", tag.trim());
    let credentials = format!("{USER}:{PASSWORD}");
    let text = run(Command::new("skopeo").args(["inspect", "--tls-verify=false", "--creds", &credentials, &name]));
    let seen: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(seen["Digest"], digest.trim());
    assert_eq!((&seen["Architecture"], &seen["Os"]), (&"amd64".into(), &"linux".into()));
    // Every blob, held to its digest by another's code.
    let copy = format!("oci:{}:x", project.folder.path().join("copy").display());
    run(Command::new("skopeo").args([
        "copy",
        "-q",
        "--src-tls-verify=false",
        "--src-creds",
        &credentials,
        &name,
        &copy,
    ]));
}

#[test]
fn without_a_registry_the_image_is_a_file() {
    let project = Project::new(PROJECT);
    project.crudctl(&["build-push"]).expect(5, "set `image.registry` in crudctl.yaml");
    let reference = project.crudctl(&["build-push", "--no-push", "--print", "digest", "--to", "target/layout"]);
    let digest = reference.expect(0, "sha256:").out;
    project.crudctl(&["build-push", "--no-push", "--to", "target/image.tar"]).expect(0, "changed=1");
    project.crudctl(&["build-push", "--no-push", "--to", "target/image.tar"]).expect(0, "changed=0");
    for source in ["oci:target/layout", "oci-archive:target/image.tar"] {
        let text = run(Command::new("skopeo").current_dir(project.path()).args(["inspect", "--raw", source]));
        assert_eq!(crudctl::image::Digest::of(text.as_bytes()).as_str(), digest.trim(), "{source}");
    }
}
