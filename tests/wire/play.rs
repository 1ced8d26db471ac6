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

/// A project folder whose runs are counted at a machine's proxy.
struct Project<'a> {
    machine: &'a Machine,
    folder: tempfile::TempDir,
}

impl<'a> Project<'a> {
    /// One whose inventory has the machine under these names.
    fn new(machine: &'a Machine, names: &[&str]) -> Self {
        let line = lab(&["delay", "up", &machine.name, "--rtt", "20"]);
        let (_, way) = line.lines().last().and_then(|line| line.split_once(' ')).expect("an inventory line");
        let project = Self { machine, folder: tempfile::tempdir().expect("a folder") };
        let lines: Vec<String> = names.iter().map(|name| format!("{name} {way}\n")).collect();
        project.write("hosts.ini", &lines.concat());
        project
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.folder.path().join(name);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        std::fs::write(path, text).expect("written");
    }

    /// Runs a playbook: what was said, round trips, bytes up.
    fn run(&self, playbook: &str) -> (String, u64, u64) {
        lab(&["delay", "zero", &self.machine.name]);
        self.write("play.yml", playbook);
        let output = Command::new(env!("CARGO_BIN_EXE_crudctl"))
            .current_dir(self.folder.path())
            .args(["run", "-i", "hosts.ini", "play.yml"])
            .output()
            .expect("crudctl");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
        (text, self.machine.count("round_trips"), self.machine.count("up"))
    }
}

#[test]
fn a_play_of_51_tasks() {
    if without_lab("a_play_of_51_tasks") {
        return;
    }
    let machine = Machine::up("w39", &[]);
    let project = Project::new(&machine, &["web"]);
    project.write(
        "templates/t.j2",
        "# {{ ansible_distribution }} {{ n }}\n{% for i in range(10) %}\nserver s{{ i }} {{ site }}\n{% endfor %}\n",
    );
    let (_, _, login) = project.run(
        "- {hosts: all, gather_facts: false, tasks: []}\n- {hosts: all, gather_facts: false, tasks: [{raw: \":\"}]}\n",
    );
    let (said, trips, _) = project.run(&playbook(true));
    assert!(said.contains("changed=40"), "{said}");
    assert!(trips <= 25, "{trips} round trips for 50 changes");
    let (said, trips, up) = project.run(&playbook(true));
    assert!(said.contains("ok=51 changed=0"), "{said}");
    assert!(trips <= 12, "{trips} round trips");
    let bytes = (up - login) / 51;
    assert!(bytes <= 400, "{bytes} bytes up a task");
}

/// Thirty tasks that state what should be, for hosts that go task by task.
fn of_several_hosts(version: u32) -> String {
    let mut text = format!("- hosts: all\n  become: true\n  vars: {{version: {version}}}\n  tasks:\n");
    for n in 0..10 {
        text.push_str(&format!(
            r#"  - {{name: file {n}, file: {{path: "/opt/{{{{ inventory_hostname }}}}/d{n}", state: directory, mode: "0755"}}}}
  - {{name: copy {n}, copy: {{content: "{n} {{{{ version if {n} == 9 else 0 }}}}\n", dest: "/opt/{{{{ inventory_hostname }}}}/d{n}/copy"}}, notify: told}}
  - name: lines {n}
    lineinfile: {{path: "/opt/{{{{ inventory_hostname }}}}/d{n}/lines", line: "{{{{ item }}}}", create: true}}
    loop: [a, b]
    register: lines
"#
        ));
    }
    text.push_str("  handlers:\n  - {name: told, debug: {msg: told}}\n");
    text
}

#[test]
fn several_hosts_go_task_by_task_in_few_round_trips() {
    if without_lab("several_hosts_go_task_by_task_in_few_round_trips") {
        return;
    }
    let machine = Machine::up("w38", &[]);
    let project = Project::new(&machine, &["a", "b", "c"]);
    let recap = |said: &str, host: &str, counts: &str| {
        let found = said.lines().any(|line| line.contains(&format!(" {host} | ok=")) && line.contains(counts));
        assert!(found, "{host} {counts}: {said}");
    };
    let (said, first, _) = project.run(&of_several_hosts(1));
    recap(&said, "b", "changed=30");
    // A loop's items go one by one here.
    assert!(first <= 3 * (12 + 40), "{first} round trips for 40 changes on each of three hosts");
    let (said, converged, _) = project.run(&of_several_hosts(1));
    ["a", "b", "c"].iter().for_each(|host| recap(&said, host, "ok=31 changed=0"));
    assert!(converged <= 3 * 12, "{converged} round trips for three converged hosts ({first} at first)");
    // One task has something to do: its change, the two items behind it, and the line in the journal of owed handlers, struck out later.
    // What ssh itself has to say may fall into a trip of its own.
    let (said, trips, _) = project.run(&of_several_hosts(2));
    recap(&said, "c", "ok=32 changed=1");
    assert!(trips <= converged + 3 * 5, "{trips} round trips for one change on each, {converged} without");

    // What one host changes, the next task of another host sees: here they are the same machine.
    let shared = |kept: &str| {
        format!(
            r"
- hosts: all
  gather_facts: false
  become: true
  tasks:
  - file: {{path: /opt/a, state: directory}}
  - file: {{path: /opt/b, state: directory}}
  - file: {{path: /opt/shared, state: {kept}}}
    when: inventory_hostname == 'a'
  - copy: {{content: kept, dest: /opt/shared}}
    when: inventory_hostname == 'b'
"
        )
    };
    project.run(&shared("touch"));
    let (said, ..) = project.run(&shared("absent"));
    recap(&said, "a", "changed=1");
    recap(&said, "b", "changed=1");
    recap(&said, "c", "changed=0");
}
