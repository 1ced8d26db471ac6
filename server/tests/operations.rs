//! The life of the process: health, readiness, logs, shutdown.

mod common;

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use common::databases::{Database as _, MariaDb, Postgres, Sqlite, Stoppable, free_port, left_out};
use common::{Server, command};
use serde_json::{Value, json};

#[test]
fn healthcheck_tells_alive_from_dead() {
    let database = Sqlite::start();
    let server = Server::start(&[("DATABASE_URL", &database.url())], &[]);
    let port = server.at.port().to_string();
    assert!(command(&[("PORT", &port)], &["healthcheck"]).status().expect("it runs").success());
    let dead = free_port().to_string();
    assert_eq!(command(&[("PORT", &dead)], &["healthcheck"]).status().expect("it runs").code(), Some(1));
}

#[test]
fn version_is_named_by_the_environment() {
    let database = Sqlite::start();
    let server = Server::start(&[("DATABASE_URL", &database.url()), ("CRUD_VERSION", "v42")], &[]);
    let answer = server.get("/version");
    assert_eq!(answer.json()["version"], "v42");
    assert_eq!(answer.header("x-crud-version"), Some("v42"));
    assert_eq!(server.get("/").status, 200);
    assert_eq!(server.get("/nothing").header("x-crud-version"), Some("v42"));
}

#[test]
fn each_request_is_one_json_line_with_the_callers_id() {
    let database = Sqlite::start();
    let mut server = Server::start(&[("DATABASE_URL", &database.url())], &[]);
    let trace = ("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");
    let answer = server.send("GET", "/employees/get", &[trace], b"");
    assert_eq!(answer.header("x-request-id"), Some("4bf92f3577b34da6a3ce929d0e0e4736"));
    let line: Value = serde_json::from_str(&server.wait_for("\"request\"")).expect("JSON");
    assert_eq!(line["request_id"], "4bf92f3577b34da6a3ce929d0e0e4736");
    assert_eq!(
        (&line["method"], &line["path"], &line["status"]),
        (&json!("GET"), &json!("/employees/get"), &json!(200))
    );
}

#[test]
fn sigterm_lets_the_request_in_flight_end() {
    let database = Sqlite::start();
    let mut server = Server::start(&[("DATABASE_URL", &database.url())], &[]);
    let mut stream = TcpStream::connect(server.at).expect("connected");
    let body = br#"{"name": "late", "age": 1, "email": "late@bar.com"}"#;
    let head = format!("POST /employees/add HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n\r\n", body.len());
    stream.write_all(head.as_bytes()).expect("sent");
    stream.write_all(&body[..10]).expect("sent");
    // The server has the head once it waits for the rest; only then the signal means "in flight".
    std::thread::sleep(Duration::from_millis(200));
    server.signal("TERM");
    server.wait_for("stopping");
    assert!(TcpStream::connect(server.at).is_err(), "new connections are refused");
    stream.write_all(&body[10..]).expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 201 "), "{answer}");
    assert_eq!(server.wait(), Some(0));
}

#[test]
fn sigint_ends_an_idle_server_at_once_with_0() {
    let database = Sqlite::start();
    let mut server = Server::start(&[("DATABASE_URL", &database.url())], &[]);
    // A kept-alive connection without a request is not in flight.
    let _idle = TcpStream::connect(server.at).expect("connected");
    server.signal("INT");
    assert_eq!(server.wait(), Some(0));
}

#[test]
fn a_bad_setting_ends_the_start_with_a_reason_and_without_secrets() {
    let output = command(&[("DATABASE_URL", "oracle://me:hunter2@db/x")], &[]).output().expect("it runs");
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(text.contains("DATABASE_URL") && text.contains("scheme must be") && !text.contains("hunter2"), "{text}");
}

#[test]
fn waits_for_postgres_and_survives_its_restart() {
    if !left_out("waits_for_postgres_and_survives_its_restart") {
        survives_restarts(&mut Postgres::start());
    }
}

#[test]
fn waits_for_mariadb_and_survives_its_restart() {
    if !left_out("waits_for_mariadb_and_survives_its_restart") {
        survives_restarts(&mut MariaDb::start());
    }
}

fn survives_restarts(database: &mut dyn Stoppable) {
    database.down();
    let mut server = Server::launch(&[("DATABASE_URL", &database.url()), ("DATABASE_WAIT", "1")], &[]);
    assert_eq!(server.get("/healthz").status, 200);
    assert_eq!(server.get("/readyz").status, 503);
    for path in ["/employees/get", "/api/employees"] {
        let answer = server.get(path);
        assert_eq!((answer.status, answer.header("retry-after")), (503, Some("1")), "{answer:?}");
    }
    database.up();
    server.wait_for("\"ready\"");
    assert_eq!(server.get("/readyz").status, 200);
    let add =
        |email: &str| server.json("POST", "/employees/add", &json!({"name": "x", "age": 1, "email": email})).status;
    assert_eq!(add("a@b.c"), 201);
    database.down();
    assert_eq!(add("b@b.c"), 503);
    assert_eq!(server.get("/readyz").status, 503);
    database.up();
    assert_eq!(server.get("/readyz").status, 200);
    assert_eq!(add("c@b.c"), 201);
}
