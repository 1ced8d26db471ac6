//! Modules of container engines, on a real one and a registry that wants a login.

use std::process::Command;

use crate::engine::Engine;
use crate::lab::without_lab;
use crate::log_in;
use crate::project::{Project, said};
use crate::server::Server;

const PLAYBOOK: &str = r#"
- hosts: localhost
  connection: local
  gather_facts: false
  tasks:
    - docker_image_push: {name: "{{ name }}", tag: one}
      register: pushed
    - docker_image_push: {name: "{{ name }}:one"}
      register: again
    - docker_image: {name: "{{ name }}:one", state: absent, force_absent: true}
    - docker_image_info: {name: ["{{ name }}:one"]}
      register: gone
    - docker_image_pull: {name: "{{ name }}", tag: one, pull: not_present}
      register: pulled
    - docker_image_pull: {name: "{{ name }}", tag: one}
      register: known
    - docker_image_info: {name: ["{{ name }}:one", "nowhere:1"]}
      register: there
    - docker_image_tag: {name: "{{ name }}:one", repository: ["local/busybox", "other:two"]}
      register: tagged
    - docker_image_tag: {name: "{{ name }}:one", repository: ["local/busybox:one", "other:two"]}
      register: tagged_again
    - docker_image_tag: {name: nowhere, repository: [x]}
      register: untaggable
      ignore_errors: true
    - docker_image_remove: {name: other, tag: two}
      register: removed
    - docker_image_remove: {name: other, tag: two}
      register: removed_again
    - docker_image_export: {names: ["{{ name }}:one", local/busybox:one], path: "{{ folder }}/images.tar"}
      register: exported
    - docker_image_export: {names: ["{{ name }}:one"], path: "{{ folder }}/images.tar"}
      register: exported_again
    - command: tar -xOf "{{ folder }}/images.tar" manifest.json
      register: manifest
    - docker_host_info: {containers: true, images: true, volumes: true, networks: true}
      register: engine
    - docker_network: {name: lonely}
    - docker_prune: {networks: true, images: true}
      register: pruned
    - docker_prune: {networks: true, images: true}
      register: pruned_again
    - docker_container_info: {name: shell}
      register: container
    - docker_container_info: {name: other}
      register: missing
    - docker_container_exec:
        container: shell
        argv: [sh, -c, 'cat; echo "$A" >&2; exit 3']
        stdin: hello
        env: {A: world}
      register: ran
    - docker_container_exec: {container: shell, command: "echo 'two words'"}
      register: line
    - assert:
        that:
          - pushed is changed and again is not changed
          - gone.images == [] and pulled is changed and known is not changed
          - there.images | length == 1 and there.images[0].Id == pulled.image.Id
          - tagged is changed and tagged.tagged_images == ['local/busybox:one', 'other:two'] and tagged_again is not changed
          - untaggable is failed and 'Cannot find the image nowhere:latest' in untaggable.msg
          - removed is changed and removed.untagged == ['other:two'] and removed_again is not changed
          - exported is changed and exported.images | length == 2 and exported_again is not changed
          - (manifest.stdout | from_json)[0].RepoTags | sort == [name ~ ':one', 'local/busybox:one'] | sort
          - engine.host_info.ServerVersion is defined and engine.containers[0].Names == ['/shell']
          - engine.images | map(attribute='RepoTags') | flatten is contains('local/busybox:one')
          - "'disk_usage' not in engine and engine.networks | length >= 3"
          - pruned is changed and 'lonely' in pruned.networks and pruned_again is not changed
          - container.exists and container.container.State.Running and not missing.exists and missing.container is none
          - ran.rc == 3 and ran.stdout == 'hello' and ran.stderr == 'world'
          - line.rc == 0 and line.stdout == 'two words'
"#;

#[test]
fn images_and_containers_of_an_engine() {
    if without_lab("images_and_containers_of_an_engine") {
        return;
    }
    let (engine, server) = (Engine::start(), Server::locked());
    let project = Project::new(crate::PROJECT);
    log_in(&project, &server.name());
    engine.base("busybox:latest", &[]);
    let name = format!("{}/team/busybox", server.name());
    engine.docker(&["tag", "busybox:latest", &format!("{name}:one")]);
    engine.docker(&["run", "-d", "--network=none", "--name", "shell", "busybox:latest", "sleep", "600"]);
    std::fs::write(project.path().join("modules.yml"), PLAYBOOK).expect("written");
    let run = |more: &[&str]| {
        let variable = format!("name={name} folder={}", project.path().display());
        let arguments = [&["run", "modules.yml", "-e", variable.as_str()], more].concat();
        let mut command: Command = project.command(&arguments);
        said(command.env("DOCKER_HOST", engine.address()))
    };
    let once = run(&[]).expect(0, "failed=0");
    assert!(!format!("{}{}", once.out, once.err).contains(crate::PASSWORD));
    engine.docker(&["rm", "-f", "shell"]);
    run(&[]).expect(2, "No such container: shell");
}
