//! The README's first command, on a copy of this machine: nothing is named, and the service comes up on the machine itself.

use std::process::Command;

use crate::host::Host;
use crate::lab::without_lab;

const CRUDCTL: &str = env!("CARGO_BIN_EXE_crudctl");
const PROJECT: &str = env!("CARGO_MANIFEST_DIR");

#[test]
fn the_machine_that_it_runs_on() {
    if without_lab("the_machine_that_it_runs_on") {
        return;
    }
    // The copy finds the image's build as it is left here.
    let archive = tempfile::tempdir().expect("a folder");
    let to = archive.path().join("image.tar");
    let built = Command::new(CRUDCTL).current_dir(PROJECT).args(["build-push", "--no-push", "--to"]).arg(&to).output();
    let built = built.expect("crudctl");
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));

    let host = Host::up("here1", &["--copy"]);
    let path = std::env::var("PATH").expect("PATH");
    let home = std::env::var("HOME").expect("HOME");
    host.ssh(&format!("install {CRUDCTL} /usr/local/bin/crudctl"));
    let up = || host.ssh(&format!("cd {PROJECT} && HOME={home} PATH={path} crudctl up --output plain"));
    let said = up();
    assert!(said.contains("Docker from the distribution") && said.contains("http://localhost/"), "{said}");
    let answer = host.ssh("curl -s http://127.0.0.1/readyz");
    assert!(answer.contains("ready"), "{answer}");
    let said = up();
    assert!(said.contains(" changed=0 "), "{said}");

    // Another user, by sudo.
    let as_deploy = |command: &str| {
        host.ssh_as("deploy", &format!("mkdir -p crud && cd crud && echo 'name: crud' >crudctl.yaml && {command}"))
    };
    let said = as_deploy("crudctl status");
    assert!(said.contains("healthy"), "{said}");
    let said = as_deploy("crudctl down --volumes --output plain");
    assert!(said.contains("Its releases"), "{said}");
    let left = host.ssh("docker ps -aq; docker volume ls -q");
    assert_eq!(left.trim(), "");
}
