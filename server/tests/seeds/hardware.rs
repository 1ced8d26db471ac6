//! Seed 003: the hardware service on MariaDB, and the portal that asks it, as two processes.

use std::time::{Duration, Instant};

use clap::Parser as _;
use crud_server::config::{Cli, Service};
use serde_json::json;

use crate::common::databases::{MariaDb, free_port, left_out};
use crate::common::{Answer, Server};

#[test]
fn each_service_has_the_port_of_the_seed() {
    let settings = Cli::parse_from(["crud-server"]).settings;
    let ports = [Service::All, Service::Hardware, Service::Portal].map(|service| settings.port(service));
    assert_eq!(ports, [8080, 5001, 5000]);
}

/// Asks until the portal's cache is as said.
fn until(portal: &Server, cache: &str) -> Answer {
    let end = Instant::now() + Duration::from_secs(30);
    loop {
        let answer = portal.get("/");
        if answer.header("x-cache") == Some(cache) {
            return answer;
        }
        assert!(Instant::now() < end, "never {cache}: {answer:?}");
    }
}

#[test]
fn hardware_on_mariadb_and_the_portal_before_it() {
    if left_out("hardware_on_mariadb_and_the_portal_before_it") {
        return;
    }
    let database = MariaDb::start();
    let (host, port) = (database.host(), free_port().to_string());
    let env = [
        ("MYSQL_HOST", host.as_str()),
        ("MYSQL_USER", MariaDb::USER),
        ("MYSQL_PASSWORD", MariaDb::PASSWORD),
        ("MYSQL_DATABASE", "crud"),
        ("PORT", &port),
    ];
    let mut hardware = Server::start(&env, &["serve", "hardware"]);
    assert_eq!(hardware.get("/hardware").body, "[]");
    for name in ["c5", "<b>&\"'"] {
        let machine = json!({"provider": "aws", "name": name, "availability": "HIGH"});
        assert_eq!(hardware.json("POST", "/api/hardware", &machine).status, 201);
    }
    let list = json!([
        {"provider": "aws", "name": "c5", "availability": "HIGH"},
        {"provider": "aws", "name": "<b>&\"'", "availability": "HIGH"},
    ]);
    assert_eq!(hardware.get("/hardware").json(), list);
    assert_eq!(hardware.get("/hardware/").json(), list);
    // It is this resource's service, and no other's.
    assert_eq!(hardware.get("/api/employees").status, 404);

    let place = format!("127.0.0.1:{port}");
    let mut portal = Server::launch(
        &[("HARDWARE_HOST", &place), ("CACHE_SECONDS", "1"), ("HARDWARE_TIMEOUT", "1")],
        &["serve", "portal"],
    );
    assert_eq!((portal.get("/healthz").status, portal.get("/readyz").status), (200, 200));
    let page = portal.get("/");
    assert_eq!((page.status, page.header("x-cache"), page.header("age")), (200, Some("miss"), Some("0")));
    assert_eq!(page.header("content-type"), Some("text/html; charset=utf-8"));
    assert!(page.body.contains("<td>aws</td><td>c5</td><td>HIGH</td>"), "{}", page.body);
    assert!(page.body.contains("<td>&lt;b&gt;&amp;&quot;'</td>"), "{}", page.body);

    // Within the time of the cache nobody is asked; afterwards the change is seen.
    assert_eq!(portal.get("/").header("x-cache"), Some("hit"));
    let machine = json!({"provider": "gcp", "name": "n2", "availability": "LOW"});
    assert_eq!(hardware.json("POST", "/api/hardware", &machine).status, 201);
    assert!(until(&portal, "miss").body.contains("<td>gcp</td>"));

    // The service is gone: what it said last stays, and says that it is old.
    hardware.signal("TERM");
    assert_eq!(hardware.wait(), Some(0));
    let stale = until(&portal, "stale");
    assert_eq!(stale.status, 200);
    assert!(stale.body.contains("<td>gcp</td>") && stale.body.contains("does not answer"), "{}", stale.body);
    portal.wait_for("the hardware service does not answer");

    // It is back: the portal sees it without being told.
    drop(hardware);
    let _hardware = Server::start(&env, &["serve", "hardware"]);
    assert!(!until(&portal, "miss").body.contains("does not answer"));
    portal.signal("TERM");
    assert_eq!(portal.wait(), Some(0));
}

#[test]
fn a_portal_that_never_had_an_answer_says_so() {
    let nobody = format!("127.0.0.1:{}", free_port());
    let portal = Server::launch(&[("HARDWARE_HOST", &nobody)], &["serve", "portal"]);
    let page = portal.get("/");
    assert_eq!((page.status, page.header("retry-after")), (503, Some("1")));
    assert!(page.body.contains("does not answer"), "{}", page.body);
    assert_eq!(portal.get("/employees/get").status, 404);
}

/// A service that takes the connection and says nothing must not hold the page.
#[test]
fn a_hardware_service_that_hangs_is_not_waited_for() {
    let silent = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let place = silent.local_addr().expect("an address").to_string();
    let portal = Server::launch(&[("HARDWARE_HOST", &place), ("HARDWARE_TIMEOUT", "1")], &["serve", "portal"]);
    let started = Instant::now();
    assert_eq!(portal.get("/").status, 503);
    assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
}
