//! `crudctl up` and its kin on fresh machines of the lab, from nothing to `down`.
//!
//! Needs root and `tests/lab/lab`; with `CRUDCTL_NO_LAB` set each test says that it was skipped.

mod engine;
mod here;
mod host;
#[path = "../lab/lab.rs"]
mod lab;
mod seeds;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use host::{Host, Said};
use lab::{until, without_lab};

const BUNDLED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/server");
const FAULTY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/service");

fn project(package: &str, more: &str) -> String {
    format!("name: employees\nimage: {{build: {{cargo: {package}}}}}\n{more}")
}

/// Milliseconds since 1970.
fn now() -> u128 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock").as_millis()
}

/// The whole life of a service: up, up again, plan, a new release and back under load, releases that fail, locks, down.
#[test]
fn a_service_from_nothing_to_down() {
    if without_lab("a_service_from_nothing_to_down") {
        return;
    }
    let host = Host::up("up1", &[]);
    host.project(&project(BUNDLED, ""));
    refusals(&host);
    let fresh = host.picture();
    let said = host.crudctl(&["plan", "--detailed-exitcode"]);
    said.expect(6, "changes are pending");
    host.expect_picture(&fresh, "a plan");

    host.crudctl(&["up"]).expect(0, "look further");
    let created = host.http("POST", "/employees/add", r#"{"name":"Ann","age":40,"email":"ann@example.org"}"#);
    assert!(created.starts_with("HTTP/1.1 201") || created.starts_with("HTTP/1.1 200"), "{created}");
    assert!(host.http("GET", "/employees/get", "").contains("ann@example.org"));

    let said = host.crudctl(&["up"]);
    said.expect(0, "changed=0");
    let trips = said.round_trips();
    assert!(trips <= 15, "{trips} round trips for nothing to do");
    let events = host.events(&["up"]);
    assert!(events.iter().all(serde_json::Value::is_object) && events.len() > 10, "{events:?}");
    let converged = host.picture();
    host.crudctl(&["plan", "--detailed-exitcode"]).expect(0, "no changes are pending");
    host.expect_picture(&converged, "a plan");

    a_new_release_and_back(&host);
    releases_that_fail(&host);
    locks(&host);

    host.project(&project(BUNDLED, ""));
    host.crudctl(&["down", "--volumes"]).expect(0, "changed=");
    let left = host.ssh("docker ps -aq; docker volume ls -q; docker images -q; ls /etc/nginx/conf.d /var/lib/crudctl");
    assert_eq!(left.split_whitespace().collect::<Vec<_>>(), ["/etc/nginx/conf.d:", "/var/lib/crudctl:"], "{left}");
}

/// Where `up` can't do its work it says so before it changes anything, with what to do.
fn refusals(host: &Host) {
    let before = host.picture();
    host.inventory_user("locked");
    host.crudctl(&["up"]).expect(2, "--ask-become-pass");
    host.inventory_user("deploy");
    host.expect_picture(&before, "a refusal");
    host.ssh("mv /usr/bin/apt-get /usr/bin/apt-get.away");
    let before = host.picture();
    host.crudctl(&["up"]).expect(2, "needs root (or sudo) and apt");
    host.expect_picture(&before, "a refusal");
    host.ssh("mv /usr/bin/apt-get.away /usr/bin/apt-get");
}

fn a_new_release_and_back(host: &Host) {
    let stop = Arc::new(AtomicBool::new(false));
    let load = {
        let (stop, address) = (Arc::clone(&stop), host.address());
        std::thread::spawn(move || {
            let (mut good, mut bad) = (0u32, Vec::new());
            while !stop.load(Ordering::Relaxed) {
                match host::http(&address, "GET", "/employees/get", "") {
                    Ok(text) if text.starts_with("HTTP/1.1 200") => good += 1,
                    Ok(text) => bad.push(text),
                    Err(error) => bad.push(error.to_string()),
                }
            }
            (good, bad)
        })
    };
    host.project(&project(BUNDLED, "service: {env: {LOG_LEVEL: debug}}\n"));
    host.crudctl(&["up"]).expect(0, "look further");
    host.crudctl(&["history"]).expect(0, "employees:");
    host.crudctl(&["status"]).expect(0, "  2  ");
    host.crudctl(&["logs"]).expect(0, "employees/get");
    host.crudctl(&["rollback"]).expect(0, "release 1 serves again");
    stop.store(true, Ordering::Relaxed);
    let (good, bad) = load.join().expect("the load");
    assert!(bad.is_empty(), "{} of {} requests failed: {:?}", bad.len(), good, bad.first());
    assert!(good > 100, "{good} requests only");
    host.crudctl(&["status"]).expect(0, "  1  ");
}

/// Each cause is told within three seconds of the state in which it can't be undone, and the old release goes on.
fn releases_that_fail(host: &Host) {
    let cases: [(&str, &str, u128, &[&str]); 4] = [
        ("exit", "", 0, &["exited with status 3", "no licence found"]),
        ("memory", ", memory: 33554432", 0, &["killed for memory (limit 33554432 bytes)"]),
        ("port", ", health_timeout: 3", 3, &["the container listens on [9999], not on 8080"]),
        ("error", ", health_timeout: 3", 3, &["still answers 500: the migrations are off"]),
    ];
    for (mode, more, patience, words) in cases {
        host.project(&project(FAULTY, &format!("service: {{env: {{MODE: {mode}}}{more}}}\n")));
        let said = host.crudctl(&["up"]);
        let end = now();
        for word in words {
            said.expect(8, word);
        }
        said.expect(8, "goes on serving");
        let began: u128 = said.after("began at ").parse().expect("when it began");
        let late = end - began - patience * 1000;
        assert!(late < 3000, "{mode}: told {late} ms after its end");
        assert!(host.http("GET", "/employees/get", "").contains("ann@example.org"), "{mode}: the old release is gone");
    }
}

fn locks(host: &Host) {
    host.project(&project(BUNDLED, ""));
    // Another operator, at work.
    let other = host.hold_lock();
    host.crudctl(&["up"]).expect(7, "locked by bob@desk");
    host.crudctl(&["up", "--lock-wait", "1"]).expect(7, "locked by bob@desk");
    let waiting = host.start(&["up", "--lock-wait", "60"]);
    std::thread::sleep(Duration::from_secs(2));
    drop(other);
    assert!(waiting.wait_with_output().expect("ended").status.success(), "it did not wait for the lock");
    // Another one, whose process was killed: its shell on the host is gone.
    host.ssh("printf '4194000 1\\nbob@desk since yesterday\\n' >/var/lib/crudctl/lock");
    host.crudctl(&["up"]).expect(0, "took over the stale lock of bob@desk since yesterday");

    // Killed at several points: the next run converges, and nothing stays here or there.
    for (n, wait) in [300, 900, 1800, 2600].into_iter().enumerate() {
        host.project(&project(BUNDLED, &format!("service: {{env: {{N: '{n}'}}}}\n")));
        let mut child = host.start(&["up"]);
        std::thread::sleep(Duration::from_millis(wait));
        child.kill().expect("killed");
        child.wait().expect("ended");
    }
    host.crudctl(&["up"]).expect(0, "look further");
    // Ctrl-C: it ends by itself, gives the lock back, and the next run converges.
    for (n, wait) in [500, 1500].into_iter().enumerate() {
        host.project(&project(BUNDLED, &format!("service: {{env: {{M: '{n}'}}}}\n")));
        let child = host.start(&["up"]);
        std::thread::sleep(Duration::from_millis(wait));
        let id = i32::try_from(child.id()).expect("a process id");
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(id), nix::sys::signal::Signal::SIGINT).expect("interrupted");
        let ended = child.wait_with_output().expect("ended");
        assert!(matches!(ended.status.code(), Some(0 | 130)), "{ended:?}");
        until(Duration::from_secs(5), "the lock stayed", || host.ssh("ls /var/lib/crudctl").trim() == "employees");
    }
    host.crudctl(&["up"]).expect(0, "look further");
    host.crudctl(&["up"]).expect(0, "changed=0");
    until(Duration::from_secs(15), "an ssh master stayed", || host.masters() == 0);
    let left = host.ssh("ls -A /var/lib/crudctl; find /etc/nginx -name '.*' -type f");
    assert_eq!(left.trim(), "employees", "left behind");
    an_owed_reload(host);
    assert!(host.http("GET", "/employees/get", "").contains("ann@example.org"));
}

/// A run that was killed between the proxy's site and its reload: the next one reloads, before the old release is stopped.
fn an_owed_reload(host: &Host) {
    host.project(&project(BUNDLED, "service: {env: {N: owed}}\n"));
    let old = host.ssh("cat /etc/nginx/conf.d/crudctl-employees.conf");
    let mut child = host.start(&["up"]);
    // nginx, stopped, takes no reload: the run stands still there, and is killed.
    host.ssh("mv /usr/sbin/nginx /usr/sbin/nginx.away; printf '#!/bin/sh\\nsleep 600\\n' >/usr/sbin/nginx; chmod +x /usr/sbin/nginx");
    until(Duration::from_mins(1), "the run never came to its reload", || {
        !host.ssh("pgrep -f '[s]h /usr/sbin/nginx' || true").trim().is_empty()
    });
    child.kill().expect("killed");
    child.wait().expect("ended");
    host.ssh("mv /usr/sbin/nginx.away /usr/sbin/nginx; pkill -f '[s]leep 600' || true");
    assert_ne!(host.ssh("cat /etc/nginx/conf.d/crudctl-employees.conf"), old, "the site was not there yet");
    host.crudctl(&["up"]).expect(0, "look further");
    assert!(host.http("GET", "/employees/get", "").contains("ann@example.org"), "the proxy leads to a stopped release");
    host.crudctl(&["up"]).expect(0, "changed=0");
}

/// PostgreSQL on the host and Docker from its makers, where PID 1 is not systemd: no service manager, and init scripts that a
/// container refuses.
#[test]
fn with_postgres_and_docker_ce_and_without_systemd() {
    if without_lab("with_postgres_and_docker_ce_and_without_systemd") {
        return;
    }
    let host = Host::up("up2", &["--no-systemd"]);
    host.trust_docker_com();
    let more = "database: postgres\nproxy: {tls: {cert: cert.pem, key: key.pem}}\ndocker: {source: docker-ce}\n";
    host.project(&project(BUNDLED, more));
    host.certificate();
    host.crudctl(&["plan", "--detailed-exitcode"]).expect(6, "changes are pending");
    host.crudctl(&["up"]).expect(0, "look further");
    let engine = host.ssh("dpkg-query -W -f '${Package} ${db:Status-Status}\\n' 'docker*' containerd.io");
    assert!(engine.contains("docker-ce installed") && !engine.contains("docker.io installed"), "{engine}");
    let password = host.ssh("cat /var/lib/crudctl/employees/db-password");
    assert!(password.trim().len() >= 16, "a short password");
    let first = host.https("POST", "/employees/add", r#"{"name":"Ann","age":40,"email":"ann@example.org"}"#);
    assert!(first.contains("ann@example.org"), "{first}");
    let said: Said = host.crudctl(&["up"]);
    said.expect(0, "changed=0");
    let trips = said.round_trips();
    assert!(trips <= 20, "{trips} round trips for nothing to do");
    host.crudctl(&["plan", "--detailed-exitcode"]).expect(0, "no changes are pending");
    assert_eq!(host.ssh("cat /var/lib/crudctl/employees/db-password"), password);
    assert!(host.https("GET", "/employees/get", "").contains("ann@example.org"));
}
