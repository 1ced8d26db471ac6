//! What the project promises for a whole play, counted at a proxy in front of the host's sshd.

use std::process::Command;

use crate::machine::{Machine, lab, without_lab};

/// Facts, then ten times command, file, copy, lineinfile, template.
fn playbook(r#become: bool) -> String {
    let mut text = format!("- hosts: all\n  become: {become}\n  vars: {{site: example}}\n  tasks:\n");
    for n in 0..10 {
        text.push_str(&format!(
            r#"  - {{name: command {n}, command: "true", changed_when: false}}
  - {{name: file {n}, file: {{path: /opt/play/d{n}, state: directory, mode: "0755"}}}}
  - {{name: copy {n}, copy: {{content: "hello {n} of {{{{ site }}}}\n", dest: /etc/play-copy-{n}, mode: "0644"}}}}
  - {{name: line {n}, lineinfile: {{path: /etc/play-line-{n}, line: key{n}=value, create: true, mode: "0644"}}}}
  - {{name: template {n}, template: {{src: t.j2, dest: /etc/play-template-{n}, mode: "0644"}}, vars: {{n: {n}}}}}
"#
        ));
    }
    text
}

#[test]
fn a_play_of_51_tasks() {
    if without_lab("a_play_of_51_tasks") {
        return;
    }
    let machine = Machine::up("w39", &[]);
    let folder = tempfile::tempdir().expect("a folder");
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).expect("written");
    std::fs::create_dir(folder.path().join("templates")).expect("a folder");
    write(
        "templates/t.j2",
        "# {{ ansible_distribution }} {{ n }}\n{% for i in range(10) %}\nserver s{{ i }} {{ site }}\n{% endfor %}\n",
    );
    let inventory = lab(&["delay", "up", &machine.name, "--rtt", "20"]);
    write("hosts.ini", inventory.lines().last().expect("an inventory line"));
    let run = || {
        let output = Command::new(env!("CARGO_BIN_EXE_crudctl"))
            .current_dir(folder.path())
            .args(["run", "-i", "hosts.ini", "play.yml"])
            .output()
            .expect("crudctl");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
        text
    };
    let count = |text: &str| {
        lab(&["delay", "zero", &machine.name]);
        write("play.yml", text);
        let said = run();
        (said, machine.count("round_trips"), machine.count("up"))
    };
    let login = {
        lab(&["delay", "zero", &machine.name]);
        write(
            "play.yml",
            "- {hosts: all, gather_facts: false, tasks: []}\n- {hosts: all, gather_facts: false, tasks: [{raw: \":\"}]}\n",
        );
        run();
        machine.count("up")
    };
    let (said, trips, _) = count(&playbook(true));
    assert!(said.contains("changed=40"), "{said}");
    assert!(trips <= 25, "{trips} round trips for 50 changes");
    let (said, trips, up) = count(&playbook(true));
    assert!(said.contains("ok=51 changed=0"), "{said}");
    assert!(trips <= 12, "{trips} round trips");
    let bytes = (up - login) / 51;
    assert!(bytes <= 400, "{bytes} bytes up a task");
}
