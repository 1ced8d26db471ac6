//! Handlers that a run owes: a run that is killed, or that fails, leaves word on the host, and the next one runs them.

use std::process::{Command, Output};
use std::time::Duration;

use crate::lab::until;
use crate::machine::{Machine, lab, without_lab};

const PLAYBOOK: &str = r#"
- name: owed
  hosts: all
  gather_facts: false
  tasks:
    - name: as another user
      copy: {content: one, dest: /tmp/owed-one}
      notify: one
    - name: as root
      copy: {content: two, dest: /etc/owed-two}
      become: true
      notify: [two]
    - name: over a stream
      get_url: {url: "http://127.0.0.1:8099/three", dest: /tmp/owed-three}
      notify: three
      when: web | default(false) | bool
    - name: no change in the end
      command: "true"
      changed_when: "'a' in 'b'"
      notify: never
    - name: stands still
      command: sleep 600
      when: still | default(false) | bool
    - name: fails
      fail:
      when: fails | default(false) | bool
  handlers:
    - {name: one, shell: echo one >>/tmp/ran}
    - {name: two, shell: echo two >>/tmp/ran}
    - {name: three, shell: echo three >>/tmp/ran}
    - {name: never, shell: echo never >>/tmp/ran}
"#;

/// Changes what the first task wrote, and answers `GET /three`.
const SERVER: &str = r#"echo other >/tmp/owed-one
nohup perl -MIO::Socket::INET -e '
  my $s = IO::Socket::INET->new(LocalAddr => "127.0.0.1", LocalPort => 8099, Listen => 5, ReuseAddr => 1) or die;
  while (my $c = $s->accept) {
    while (<$c>) { last if /^\r?\n/ }
    print $c "HTTP/1.1 200 OK\r\nContent-Length: 6\r\nConnection: close\r\n\r\nthree\n";
    close $c;
  }' >/dev/null 2>&1 &
until perl -MIO::Socket::INET -e 'exit !IO::Socket::INET->new("127.0.0.1:8099")'; do sleep 0.1; done"#;

#[test]
fn handlers_that_were_owed_are_run() {
    if without_lab("handlers_that_were_owed_are_run") {
        return;
    }
    let machine = Machine::up("w40", &[]);
    let ssh = |command: &str| lab(&["host", "ssh", &machine.name, command]);
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("owed.yml"), PLAYBOOK).expect("written");
    std::fs::write(folder.path().join("other.yml"), PLAYBOOK.replace("owed\n", "other\n")).expect("written");
    let inventory = lab(&["delay", "up", &machine.name, "--rtt", "1"]);
    std::fs::write(folder.path().join("hosts.ini"), inventory.lines().last().expect("a line")).expect("written");
    let command = |playbook: &str, more: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_crudctl"));
        command.current_dir(folder.path()).args(["run", "-i", "hosts.ini", playbook, "--output", "plain"]).args(more);
        command
    };
    let text = |output: &Output| {
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
    };
    let expect = |playbook: &str, more: &[&str], part: &str| {
        let said = text(&command(playbook, more).output().expect("crudctl"));
        assert!(said.contains(part), "no `{part}`: {said}");
        said
    };
    let ran =
        || ssh("sort /tmp/ran 2>/dev/null; rm -f /tmp/ran").split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    let killed = || {
        let mut child = command("owed.yml", &["-e", "still=true"]).spawn().expect("crudctl");
        until(Duration::from_mins(1), "the run never came to its sleep", || {
            !ssh("pgrep -x sleep || true").trim().is_empty()
        });
        child.kill().expect("killed");
        child.wait().expect("ended");
        ssh("sudo pkill -x sleep || true");
    };

    killed();
    assert_eq!(ran(), Vec::<String>::new());
    // Another playbook's handlers of these names are not meant, and a plan says what it would do without doing it.
    expect("other.yml", &[], "changed=0");
    let said = expect("owed.yml", &["--check"], "the handler `two` is owed by an earlier run");
    assert!(said.contains("changed=2") || said.contains("skipped"), "{said}");
    assert_eq!(ran(), Vec::<String>::new());
    // The form of Ansible's own command keeps no journal, and leaves the one that is there alone.
    let form = ["ansible-playbook", "-i", "hosts.ini", "owed.yml"];
    let form =
        Command::new(env!("CARGO_BIN_EXE_crudctl")).current_dir(folder.path()).args(form).output().expect("crudctl");
    assert!(form.status.success() && text(&form).contains("changed=0"), "{}", text(&form));
    assert_eq!(ran(), Vec::<String>::new());
    expect("owed.yml", &[], "the handler `one` is owed by an earlier run");
    // Whether a command whose `changed_when` is told here had changed something died with the run: its handler is owed, too.
    assert_eq!(ran(), ["never", "one", "two"]);
    expect("owed.yml", &[], "changed=0");
    assert_eq!(ran(), Vec::<String>::new());
    let left = ssh("sudo ls /var/lib/crudctl ~/.local/state/crudctl 2>&1 || true");
    assert_eq!(left.matches("No such file").count(), 2, "{left}");

    // A failure, a loss, and a module that works through a stream.
    ssh(SERVER);
    expect("owed.yml", &["-e", "fails=true", "-e", "web=true"], "failed=1");
    assert_eq!(ran(), Vec::<String>::new());
    expect("owed.yml", &["-e", "web=true"], "is owed by an earlier run");
    assert_eq!(ran(), ["one", "three"]);

    // Nothing owed: a converged play pays nothing for its journal.
    lab(&["delay", "zero", &machine.name]);
    expect("owed.yml", &[], "changed=0");
    let with = machine.count("round_trips");
    let plain = PLAYBOOK.lines().filter(|line| !line.contains("notify:")).collect::<Vec<_>>().join("\n");
    std::fs::write(folder.path().join("plain.yml"), plain).expect("written");
    lab(&["delay", "zero", &machine.name]);
    expect("plain.yml", &[], "changed=0");
    let without = machine.count("round_trips");
    // One for the command whose `changed_when` only this side can tell.
    assert!(with <= without + 1, "{with} round trips with handlers, {without} without");
}
