//! The teams' own playbooks, unchanged.

use crate::host::Host;
use crate::lab::without_lab;

/// Seed 000: Docker by apt key and repository, an image from Docker Hub, a container; both are answered by the lab.
#[test]
fn the_playbook_of_seed_000() {
    if without_lab("the_playbook_of_seed_000") {
        return;
    }
    let host = Host::up("seed000", &[]);
    host.trust_docker_com();
    // It says `hosts: localhost`, which an inventory may lead anywhere; `../.env` is seen from its user's home.
    host.inventory_name("localhost");
    host.ssh("printf 'DB_NAME=employees\\n' | sudo tee /home/.env >/dev/null");
    let playbook = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/seed000/playbook.yaml");
    let first = host.crudctl(&["run", "-i", "hosts.ini", playbook]);
    first.expect(0, "failed=0");
    assert!(!first.to_string().contains("changed=0"), "{first}");
    let answer = host.ssh(
        "curl -sS http://127.0.0.1:5000/; docker inspect -f '{{.Config.Env}} {{.HostConfig.NetworkMode}}' flask-app",
    );
    assert!(answer.contains("hello from flask-app") && answer.contains("DB_NAME=employees"), "{answer}");
    assert!(answer.trim_end().ends_with("host"), "{answer}");
    let second = host.crudctl(&["run", "-i", "hosts.ini", playbook]);
    second.expect(0, "changed=0");
    let trips = second.round_trips();
    assert!(trips <= 12, "{trips} round trips for nothing to do");
}
