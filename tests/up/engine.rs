//! The engine and its ports: taken, stopped, restarted in between; and a container whose new configuration is refused.

use std::time::Duration;

use crate::host::Host;
use crate::lab::{until, without_lab};
use crate::{BUNDLED, FAULTY, project};

#[test]
fn ports_that_are_taken_and_an_engine_that_goes() {
    if without_lab("ports_that_are_taken_and_an_engine_that_goes") {
        return;
    }
    let host = Host::up("up3", &["--with", "docker.io iptables"]);
    host.project(&project(BUNDLED, ""));
    host.ssh(
        "nohup perl -MIO::Socket::INET -e 'my $s = IO::Socket::INET->new(LocalPort => 80, Listen => 5) or die; sleep 600' >/dev/null 2>&1 & \
         until perl -MIO::Socket::INET -e 'exit !IO::Socket::INET->new(\"127.0.0.1:80\")'; do sleep 0.1; done",
    );
    let said = host.crudctl(&["up"]);
    said.expect(2, "port 80 is taken by perl (process ");
    said.expect(2, "changed=0");
    host.ssh("pkill perl");
    host.crudctl(&["up"]).expect(0, "look further");

    host.ssh("systemctl stop docker.socket docker");
    host.crudctl(&["up"]).expect(0, "look further");
    assert!(host.http("GET", "/employees/get", "").contains("employees"));

    containers(&host);
    restarted_in_between(&host);
    assert!(host.http("GET", "/employees/get", "").contains("employees"), "the release before is gone");
}

fn containers(host: &Host) {
    let image = host.ssh("docker images -q | head -n 1");
    let run = |name: &str, more: &str| {
        host.playbook(
            "containers.yml",
            &format!(
                "- hosts: all\n  become: true\n  gather_facts: false\n  tasks:\n    \
                 - docker_container: {{name: {name}, image: {}, {more}}}\n",
                image.trim()
            ),
        );
        host.crudctl(&["run", "-i", "hosts.ini", "containers.yml"])
    };
    run("one", "ports: ['5000:8080']").expect(0, "changed=1");
    run("two", "ports: ['5000:8080']").expect(2, "port 5000 is taken by the container `one`");
    run("two", "ports: ['22:8080']").expect(2, "port 22 is taken by s");
    run("one", "ports: ['5000:8080']").expect(0, "changed=0");
    let before = host.ssh("docker inspect -f '{{.Id}} {{.State.Running}}' one");
    // The engine refuses it: the container that is there goes on.
    run("one", "ports: ['5000:8080'], memory: 1").expect(2, "the container can't be made");
    assert_eq!(host.ssh("docker inspect -f '{{.Id}} {{.State.Running}}' one"), before);
    run("one", "ports: ['5000:8080'], env: {A: b}").expect(0, "changed=1");
    assert_ne!(host.ssh("docker inspect -f '{{.Id}} {{.State.Running}}' one"), before);
    assert_eq!(host.ssh("docker ps -a --format '{{.Names}}' | grep -c new || true").trim(), "0");
    host.ssh("docker rm -f one two");
}

fn restarted_in_between(host: &Host) {
    host.project(&project(FAULTY, "service: {env: {MODE: port}, health_timeout: 6}\n"));
    let up = std::thread::scope(|scope| {
        let up = scope.spawn(|| host.crudctl(&["up"]));
        until(Duration::from_mins(5), "the release was never started", || {
            host.ssh("docker ps -q --filter label=crudctl.app=employees").lines().count() >= 2
        });
        host.ssh("systemctl restart docker");
        up.join().expect("crudctl")
    });
    up.expect(8, "the engine was restarted: starting the release again");
    up.expect(8, "the container listens on [9999], not on 8080");
    up.expect(8, "goes on serving");
}
