//! Images that a Dockerfile describes, on a real engine.

use std::path::PathBuf;
use std::process::Command;

use crate::engine::{Engine, standin};
use crate::lab::{lab, without_lab};
use crate::log_in;
use crate::meeting::Meeting;
use crate::project::{Project, said};
use crate::server::{PASSWORD, Server, USER, run};

const PROJECT: &str = "name: app\nimage: {build: {dockerfile: Dockerfile}}\n";

fn files(project: &Project, files: &[(&str, &str)]) {
    for (name, text) in files {
        let path = project.path().join(name);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        std::fs::write(path, text).expect("written");
    }
    project.commit();
}

fn crudctl(project: &Project, engine: &Engine, arguments: &[&str]) -> Command {
    let mut command = project.command(arguments);
    command.env("DOCKER_HOST", engine.address());
    command
}

/// Everything that a Dockerfile can ask of us: arguments, a secret, a stage, what is ignored.
const DOCKERFILE: &str = "\
FROM busybox AS build
ARG GREETING=none
WORKDIR /out
RUN --mount=type=secret,id=token echo \"a secret of $(cat /run/secrets/token)\" && test \"$(cat /run/secrets/token)\" = hunter2-of-the-test
RUN echo \"$GREETING\" >greeting && echo loud and clear
COPY . files
FROM build AS wrong
RUN exit 7
FROM busybox
COPY --from=build /out /out
CMD [\"cat\", \"/out/greeting\"]
";

#[test]
fn buildkit_builds_what_a_dockerfile_says() {
    if without_lab("buildkit_builds_what_a_dockerfile_says") {
        return;
    }
    let (engine, server) = (Engine::start(), Server::locked());
    engine.base("busybox:latest", &[]);
    let text = "name: app\nimage:\n  insecure: true\n  build:\n    dockerfile: Dockerfile\n    args: {GREETING: hello}\n    \
                secrets: {token: {env: THE_TOKEN}}\n    labels: {team: books}\n";
    let project = Project::new(text);
    files(
        &project,
        &[
            ("Dockerfile", DOCKERFILE),
            (".dockerignore", "**/*.rs\nDockerfile\n.git\ntarget\n!keep.rs\n"),
            ("web/index.html", "x"),
            ("web/a.rs", "x"),
            ("keep.rs", "x"),
        ],
    );
    log_in(&project, &server.name());
    let to = format!("{}/team", server.name());
    let push = |more: &[&str]| {
        let arguments = [&["build-push", "--registry", &to, "--output", "plain", "-v"], more].concat();
        let mut command = crudctl(&project, &engine, &arguments);
        command.env("THE_TOKEN", "hunter2-of-the-test");
        said(&mut command)
    };
    let first = push(&[]).expect(0, "3 sent");
    let all = format!("{}{}", first.out, first.err);
    assert!(all.contains("] RUN echo \"hello\" >greeting") && all.contains("loud and clear"), "steps are told: {all}");
    assert!(all.contains("a secret of ********") && !all.contains("hunter2") && !all.contains(PASSWORD), "{all}");

    // Nothing changed: the engine knows all steps, the registry the image.
    push(&[]).expect(0, "changed=0").expect(0, "0 sent");
    push(&["--tag", "latest"]).expect(0, "0 sent").expect(0, "changed=1");

    let tag = project.git(&["rev-parse", "--short=7", "HEAD"]);
    let name = format!("{to}/app:main-{}", tag.trim());
    assert_eq!(engine.docker(&["run", "--rm", "--network=none", &name]).trim(), "hello");
    let within = engine.docker(&["run", "--rm", "--network=none", &name, "find", "/out/files", "-type", "f"]);
    let mut within: Vec<_> = within.lines().collect();
    within.sort_unstable();
    let expected =
        [".dockerignore", ".gitignore", "Cargo.lock", "Cargo.toml", "crudctl.yaml", "keep.rs", "web/index.html"];
    let expected: Vec<_> = expected.iter().map(|path| format!("/out/files/{path}")).collect();
    assert_eq!(within, expected);
    let labels = engine.docker(&["inspect", "-f", "{{json .Config.Labels}}", &name]);
    assert!(labels.contains("\"team\":\"books\"") && labels.contains("org.opencontainers.image.revision"), "{labels}");

    // A failed step is told with what it said, and pushes nothing.
    let target = text.replace("labels:", "target: wrong\n    labels:");
    std::fs::write(project.path().join("crudctl.yaml"), target).expect("written");
    push(&["--tag", "broken"]).expect(2, "the build failed: ").expect(2, "exit code: 7");
    let listed = said(&mut crudctl(&project, &engine, &["image", "--insecure", "ls", &format!("{to}/app")]));
    assert!(listed.expect(0, "latest").out.lines().all(|line| !line.contains("broken")));

    pulled_and_run(&project, &engine, &server, &name, "hello");
}

/// Another engine's way: pulled from the registry and run, by dockerd and by containerd; inspected by skopeo.
fn pulled_and_run(project: &Project, engine: &Engine, server: &Server, name: &str, says: &str) {
    let credentials = format!("{USER}:{PASSWORD}");
    let docker = format!("docker://{name}");
    let inspect = ["inspect", "--tls-verify=false", "--creds", &credentials, &docker];
    let seen: serde_json::Value = serde_json::from_str(&run(Command::new("skopeo").args(inspect))).expect("JSON");
    assert_eq!(seen["Os"], "linux");

    engine.docker(&["image", "rm", "-f", name]);
    let config = project.docker().display().to_string();
    engine.docker(&["--config", &config, "pull", "-q", name]);
    assert_eq!(engine.docker(&["run", "--rm", "--network=none", name]).trim(), says);

    let hosts = hosts_of(project, server);
    engine.ctr(&["image", "pull", "--hosts-dir", &hosts, "--user", &credentials, name]);
    assert_eq!(engine.ctr(&["run", "--rm", name, "c1"]).trim(), says);
}

fn set(command: &mut Command, name: &str, value: &str) {
    command.env(name, value);
}

/// The Dockerfile of seed 000, its base image replaced by a small one that has what the steps call.
#[test]
fn the_dockerfile_of_a_seed_builds_and_serves() {
    if without_lab("the_dockerfile_of_a_seed_builds_and_serves") {
        return;
    }
    let (engine, server) = (Engine::start(), Server::plain());
    let scripts = [
        ("apt-get", "echo \"apt-get $*\""),
        ("python", "test \"$*\" = '-m pip install -r requirements.txt' && cat requirements.txt"),
        ("gunicorn", "test \"$*\" = '--bind 0.0.0.0:5000 app:app' && cat app.py"),
    ];
    engine.base("python:3.9-slim-buster", &scripts);
    let project = Project::new("name: flask\nimage: {build: {dockerfile: Dockerfile}, tags: [latest]}\n");
    let dockerfile = include_str!("../fixtures/seed000/Dockerfile");
    files(&project, &[("Dockerfile", dockerfile), ("requirements.txt", "flask\n"), ("app.py", "app = 1\n")]);
    let to = format!("{}/appan", server.name());
    for builder in ["1", "0"] {
        let mut command = crudctl(&project, &engine, &["build-push", "--registry", &to, "-v"]);
        said(command.env("DOCKER_BUILDKIT", builder)).expect(0, "apt-get -y install libpq-dev gcc").expect(0, "flask");
        let name = format!("{to}/flask:latest");
        engine.docker(&["image", "rm", "-f", &name]);
        assert_eq!(engine.docker(&["run", "--rm", "--network=none", &name]), "app = 1\n");
    }
}

/// A remote engine, as Docker's own client reaches it.
#[test]
fn an_engine_over_ssh() {
    if without_lab("an_engine_over_ssh") {
        return;
    }
    let up = lab(&["host", "up", "image1", "--with", "docker.io iptables"]);
    let line = up.lines().last().expect("an inventory line");
    let part = |key: &str| line.split_once(key).and_then(|(_, rest)| rest.split(' ').next()).unwrap_or_default();
    let project = Project::new(PROJECT);
    files(&project, &[("Dockerfile", "FROM busybox\nRUN echo a step there\nCOPY src /src\n")]);
    // Whatever is called `ssh` is used, with the configuration of its user.
    let programs = project.folder.path().join("bin");
    std::fs::create_dir(&programs).expect("a folder");
    let config = PathBuf::from(part("ansible_ssh_private_key_file=")).with_file_name("ssh_config");
    let script = format!("#!/bin/sh\nexec /usr/bin/ssh -F {} \"$@\"\n", config.display());
    std::fs::write(programs.join("ssh"), script).expect("written");
    run(Command::new("chmod").arg("755").arg(programs.join("ssh")));
    let path = format!("{}:{}", programs.display(), std::env::var("PATH").expect("a path"));
    let address = "ssh://root@image1";
    let tar = standin(&[]);
    let mut import = Command::new("/usr/bin/docker");
    run(import.args(["--host", address, "import"]).arg(tar.path()).arg("busybox:latest").env("PATH", &path));
    let mut command = project.command(&["build-push", "--no-push", "--to", "target/image.tar", "-v"]);
    said(command.env("DOCKER_HOST", address).env("PATH", &path)).expect(0, "a step there");
    let text =
        run(Command::new("skopeo").args(["inspect", "oci-archive:target/image.tar"]).current_dir(project.path()));
    assert!(text.contains("\"Layers\""), "{text}");
    let mut command = project.command(&["build-push", "--no-push"]);
    let nowhere = command.env("DOCKER_HOST", "ssh://root@image1:9").env("PATH", &path);
    said(nowhere).expect(2, "the host's container engine does not answer");
    lab(&["host", "down", "image1"]);
}

/// The way to the engine, and what each is told by.
#[test]
fn engines_are_reached_by_address_and_context() {
    if without_lab("engines_are_reached_by_address_and_context") {
        return;
    }
    let engine = Engine::start();
    engine.base("busybox:latest", &[]);
    let project = Project::new(PROJECT);
    files(&project, &[("Dockerfile", "FROM busybox\nRUN echo a step\nCOPY src /src\n")]);
    let build = |set: &dyn Fn(&mut Command)| {
        let mut command = project.command(&["build-push", "--no-push", "--print", "digest", "-v"]);
        command.env_remove("DOCKER_HOST").env_remove("DOCKER_CONTEXT");
        set(&mut command);
        said(&mut command)
    };
    let unix = build(&|command| set(command, "DOCKER_HOST", &engine.address())).expect(0, "a step").out;
    assert!(unix.starts_with("sha256:"));
    let tcp = format!("tcp://127.0.0.1:{}", engine.port);
    let tls = |command: &mut Command| {
        command.env("DOCKER_HOST", &tcp).env("DOCKER_TLS_VERIFY", "1").env("DOCKER_CERT_PATH", engine.path("tls"));
    };
    assert_eq!(build(&tls).expect(0, "").out, unix, "the engine has all steps");
    let foreign = |command: &mut Command| {
        command.env("DOCKER_HOST", &tcp).env("DOCKER_TLS_VERIFY", "1").env("DOCKER_CERT_PATH", "/nowhere");
    };
    build(&foreign).expect(2, "cannot read /nowhere/ca.pem");

    // As Docker's own client keeps a context.
    let mut create = Command::new("/usr/bin/docker");
    let tls = engine.path("tls");
    let file = |name: &str| tls.join(name).display().to_string();
    let target = format!("host={tcp},ca={},cert={},key={}", file("ca.pem"), file("cert.pem"), file("key.pem"));
    create.args(["context", "create", "far", "--docker", &target]).env("DOCKER_CONFIG", project.docker());
    run(&mut create);
    assert_eq!(build(&|command| set(command, "DOCKER_CONTEXT", "far")).expect(0, "").out, unix);
    run(Command::new("/usr/bin/docker").args(["context", "use", "far"]).env("DOCKER_CONFIG", project.docker()));
    assert_eq!(build(&|_| {}).expect(0, "").out, unix);
    build(&|command| set(command, "DOCKER_CONTEXT", "other")).expect(2, "the docker context `other`");

    // The classic builder gives the same files.
    let classic = |command: &mut Command| {
        command.env("DOCKER_HOST", engine.address()).env("DOCKER_BUILDKIT", "0");
    };
    build(&classic).expect(0, "Step 1/").expect(0, "a step");
    let playbook = "- hosts: localhost\n  connection: local\n  gather_facts: false\n  tasks:\n    - docker_image:\n        name: built:1\n        \
                    source: build\n        build: {path: ., etc_hosts: {one.example.org: 127.0.0.9, two.example.org: 127.0.0.8}}\n";
    std::fs::write(project.path().join("Dockerfile"), "FROM busybox\nRUN cat /etc/hosts >/seen\nCMD cat /seen\n")
        .expect("written");
    std::fs::write(project.path().join("image.yml"), playbook).expect("written");
    for builder in ["1", "0"] {
        let mut command = crudctl(&project, &engine, &["run", "image.yml"]);
        said(command.env("DOCKER_BUILDKIT", builder)).expect(0, "changed=1");
        let seen = engine.docker(&["run", "--rm", "--network=none", "built:1"]);
        assert!(seen.contains("one.example.org") && seen.contains("two.example.org"), "{seen}");
        said(&mut crudctl(&project, &engine, &["run", "image.yml"])).expect(0, "changed=0");
        engine.docker(&["image", "rm", "-f", "built:1"]);
    }
    project.crudctl(&["up"]).expect(5, "`image.build.dockerfile` is for `build-push` and `deploy`");
}

/// The image of a cargo package: pulled and run by two engines, loaded into one, from an archive too.
#[test]
fn an_image_without_an_engine_runs_on_engines() {
    if without_lab("an_image_without_an_engine_runs_on_engines") {
        return;
    }
    let (engine, server) = (Engine::start(), Server::locked());
    let project = Project::new(crate::PROJECT);
    log_in(&project, &server.name());
    let to = format!("{}/team", server.name());
    let push = ["build-push", "--registry", &to, "--insecure", "--print", "tag", "--tag", "latest"];
    let tag = project.crudctl(&push).expect(0, "main-").out;
    let runs = |name: &str| {
        let output =
            engine.command(&["run", "--rm", "--network=none", "-e", "MODE=exit", name]).output().expect("docker");
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.code() == Some(3) && text.contains("no licence found"), "{name}: {text}");
        engine.docker(&["image", "rm", "-f", name]);
    };
    let name = format!("{to}/faulty:{}", tag.trim());
    let config = project.docker().display().to_string();
    engine.docker(&["--config", &config, "pull", "-q", &name]);
    runs(&name);
    let hosts = hosts_of(&project, &server);
    let credentials = format!("{USER}:{PASSWORD}");
    engine.ctr(&["image", "pull", "--hosts-dir", &hosts, "--user", &credentials, &name]);
    let mut by_containerd = Command::new("ctr");
    by_containerd.arg("--address").arg(engine.path("containerd.sock"));
    let output = by_containerd.args(["run", "--rm", "--env", "MODE=exit", &name, "c2"]).output().expect("ctr");
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.code() == Some(3) && text.contains("no licence found"), "{text}");

    let load = ["build-push", "--no-push", "--load", "--to", "target/image.tar"];
    said(&mut crudctl(&project, &engine, &load)).expect(0, "changed=2");
    said(&mut crudctl(&project, &engine, &load)).expect(0, "changed=0");
    let local = format!("faulty:{}", tag.trim());
    runs(&local);
    engine.docker(&["load", "-q", "-i", &project.path().join("target/image.tar").display().to_string()]);
    runs(&local);
}

/// Whom containerd trusts.
fn hosts_of(project: &Project, server: &Server) -> String {
    let hosts = project.folder.path().join("hosts");
    std::fs::create_dir_all(hosts.join(server.name())).expect("a folder");
    let address = format!("https://{}", server.name());
    let toml = format!("server = \"{address}\"\n[host.\"{address}\"]\nca = \"{}\"\n", server.ca());
    std::fs::write(hosts.join(server.name()).join("hosts.toml"), toml).expect("written");
    hosts.display().to_string()
}

/// The pipeline of seed 001: what changed is built and pushed, its tag is set in the manifests, which are one file to install.
#[test]
fn a_pipeline_of_two_images() {
    if without_lab("a_pipeline_of_two_images") {
        return;
    }
    let (engine, server, meeting) = (Engine::start(), Server::plain(), Meeting::of(2));
    engine.base("python:alpine", &[]);
    engine.base("postgres:13", &[]);
    let text = "name: pycrudapi\nimages:\n  pycrudapi: {build: {dockerfile: src/pycrudapi/Dockerfile}}\n  \
                postgres0: {build: {dockerfile: src/postgres0/Dockerfile}}\n";
    let project = Project::new(text);
    // Each build waits for the other one: they run side by side, or not at all.
    let dockerfile = |base: &str, name: &str| {
        format!("FROM {base}\nADD http://127.0.0.1:{}/{name} /met\nCOPY . /app\nCMD cat /app/version\n", meeting.port)
    };
    files(
        &project,
        &[
            ("src/pycrudapi/Dockerfile", &dockerfile("python:alpine", "api")),
            ("src/pycrudapi/version", "1\n"),
            ("src/postgres0/Dockerfile", &dockerfile("postgres:13", "db")),
        ],
    );
    let to = format!("{}/ghcr", server.name());
    let pipeline = |more: &[&str]| {
        said(&mut crudctl(
            &project,
            &engine,
            &[&["build-push", "--registry", &to, "--print", "reference"], more].concat(),
        ))
    };
    let all = pipeline(&[]).expect(0, "").out;
    let names: Vec<_> = all.lines().map(|line| line.split('@').next().unwrap_or_default().to_owned()).collect();
    assert_eq!(names, [format!("{to}/postgres0"), format!("{to}/pycrudapi")]);

    files(&project, &[("src/pycrudapi/version", "2\n")]);
    let changed = pipeline(&["--changed-since", "HEAD~1"]).expect(0, "").out;
    assert!(changed.starts_with(&format!("{to}/pycrudapi@sha256:")) && changed.lines().count() == 1, "{changed}");
    assert!(!all.contains(changed.trim()), "another image");
    let install = project.crudctl(&["manifests", "--image", changed.trim()]).expect(0, "kind: Deployment").out;
    assert!(install.contains(&format!("image: {}", changed.trim())), "{install}");
    assert_eq!(engine.docker(&["run", "--rm", "--network=none", changed.trim()]), "2\n");
}
