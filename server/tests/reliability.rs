//! What a service must survive: being killed in the middle of writes, and rows that others hold.

mod common;

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use common::databases::{Database as _, Held, MariaDb, Postgres, Sqlite, Stoppable, left_out};
use common::{Server, command};
use serde_json::{Value, json};

on_each_database! {
    a_kill_under_load_loses_no_acknowledged_write,
}

fn start(url: &str) -> Server {
    Server::start(&[("DATABASE_URL", url), ("CRUD_RESOURCES", "employees")], &[])
}

fn employee(n: usize) -> Value {
    json!({"name": "x", "age": 1, "email": format!("{n}@example.org")})
}

fn a_kill_under_load_loses_no_acknowledged_write(url: &str) {
    let server = start(url);
    let acknowledged = Mutex::new(Vec::new());
    let enough = || acknowledged.lock().expect("no client panics").len() >= 200;
    thread::scope(|scope| {
        for client in 0..8 {
            let (server, acknowledged) = (&server, &acknowledged);
            scope.spawn(move || {
                for n in 0.. {
                    let body = employee(client * 1_000_000 + n).to_string();
                    match server.try_send("POST", "/api/employees", &[], body.as_bytes()) {
                        Ok(answer) if answer.status == 201 => {
                            acknowledged.lock().expect("no client panics").push(answer.json());
                        }
                        Ok(answer) => panic!("{answer:?}"),
                        // The process is gone.
                        Err(_) => return,
                    }
                }
            });
        }
        let end = Instant::now() + Duration::from_mins(1);
        while !enough() {
            assert!(Instant::now() < end, "no load");
            thread::yield_now();
        }
        server.signal("KILL");
    });
    let server = start(url);
    for row in acknowledged.into_inner().expect("no client panicked") {
        let path = format!("/api/employees/{}", row["id"].as_str().expect("an id"));
        assert_eq!(server.get(&path).json(), row);
    }
}

#[test]
fn postgres_may_restart_under_load() {
    if !left_out("postgres_may_restart_under_load") {
        restart_under_load(&mut Postgres::start());
    }
}

#[test]
fn mariadb_may_restart_under_load() {
    if !left_out("mariadb_may_restart_under_load") {
        restart_under_load(&mut MariaDb::start());
    }
}

/// While the database is away every answer is 503 with `Retry-After`; afterwards all is well, without a restart.
fn restart_under_load(database: &mut dyn Stoppable) {
    let url = database.url();
    let server = Server::start(&[("DATABASE_URL", &url), ("DATABASE_WAIT", "1")], &[]);
    let seen = Mutex::new(BTreeMap::<u16, usize>::new());
    let done = AtomicBool::new(false);
    let count = |status: u16| seen.lock().expect("no client panics").get(&status).copied().unwrap_or_default();
    let until = |what: &str, enough: &dyn Fn() -> bool| {
        let end = Instant::now() + Duration::from_mins(1);
        while !enough() {
            assert!(Instant::now() < end, "{what}: {seen:?}");
            thread::yield_now();
        }
    };
    thread::scope(|scope| {
        for client in 0..8 {
            let (server, seen, done) = (&server, &seen, &done);
            scope.spawn(move || {
                for n in 0.. {
                    if done.load(Ordering::Relaxed) {
                        return;
                    }
                    let body = employee(client * 1_000_000 + n);
                    let answer = match n % 3 {
                        0 => server.json("POST", "/api/employees", &body),
                        // Two statements in one transaction.
                        1 => server.json(
                            "POST",
                            "/api/employees",
                            &json!([body, employee(client * 1_000_000 + 500_000 + n)]),
                        ),
                        _ => server.get("/api/employees?limit=5"),
                    };
                    assert_eq!(answer.status == 503, answer.header("retry-after").is_some(), "{answer:?}");
                    *seen.lock().expect("no client panics").entry(answer.status).or_default() += 1;
                }
            });
        }
        // Whatever is asserted here, the clients must end.
        let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            for round in 1..=2 {
                let before = count(201);
                until("writes", &|| count(201) > before + 50);
                database.down();
                let before = count(503);
                until("refusals", &|| count(503) > before + 20);
                database.up();
                let before = count(201);
                until(&format!("writes after restart {round}"), &|| count(201) > before + 50);
            }
        }));
        done.store(true, Ordering::Relaxed);
        if let Err(panic) = ended {
            std::panic::resume_unwind(panic);
        }
    });
    let statuses: Vec<u16> = seen.into_inner().expect("no client panicked").into_keys().collect();
    assert_eq!(statuses, [200, 201, 503]);
}

#[test]
fn a_backup_under_load_is_whole_and_holds_what_was_acknowledged_before() {
    let database = Sqlite::start();
    let (url, server) = (database.url(), start(&database.url()));
    let folder = tempfile::TempDir::new().expect("a folder");
    let copy = folder.path().join("copy.db");
    let done = AtomicBool::new(false);
    let (server, done) = (&server, &done);
    thread::scope(|scope| {
        let (sender, written) = std::sync::mpsc::channel();
        scope.spawn(move || {
            for n in 0.. {
                assert_eq!(server.json("POST", "/api/employees", &employee(n)).status, 201);
                if sender.send(n).is_err() || done.load(Ordering::Relaxed) {
                    return;
                }
            }
        });
        for _ in 0..3 {
            let before = written.iter().nth(20).expect("a write");
            let copy = copy.to_str().expect("UTF-8");
            let status = command(&[("DATABASE_URL", &url)], &["backup", copy]).status().expect("it runs");
            assert!(status.success());
            let mut held = Held::new(&format!("sqlite://{copy}"), &[]);
            assert_eq!(held.run("PRAGMA integrity_check"), ["ok"]);
            let count = held.run("SELECT cast(count(*) AS text) FROM employees")[0].parse::<usize>().expect("a number");
            assert!(count > before, "{count} of {before}");
        }
        done.store(true, Ordering::Relaxed);
    });
    let names: Vec<_> =
        std::fs::read_dir(folder.path()).expect("read").map(|entry| entry.expect("read").file_name()).collect();
    assert!(!names.iter().any(|name| name.to_string_lossy().ends_with(".part")), "{names:?}");
    let missing = format!("sqlite://{}/none.db", folder.path().display());
    let nowhere = copy.to_str().expect("UTF-8");
    let output = command(&[("DATABASE_URL", &missing)], &["backup", nowhere]).output().expect("it runs");
    assert_eq!(output.status.code(), Some(1));
    let output =
        command(&[("DATABASE_URL", "postgres://u:secret@h/d")], &["backup", nowhere]).output().expect("it runs");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.code() == Some(1) && said.contains("pg_dump") && !said.contains("secret"), "{said}");
}

/// InnoDB ends a wait for a row's lock with error 1205, which says "later", not "never".
#[test]
fn a_row_that_is_held_on_mysql_is_503() {
    if left_out("a_row_that_is_held_on_mysql_is_503") {
        return;
    }
    let database = MariaDb::start();
    Held::new(&database.url(), &["SET GLOBAL innodb_lock_wait_timeout = 1"]);
    let server = start(&database.url());
    let row = server.json("POST", "/api/employees", &employee(1)).json();
    let path = format!("/api/employees/{}", row["id"].as_str().expect("an id"));
    let held = Held::new(&database.url(), &["BEGIN", "SELECT id FROM employees FOR UPDATE"]);
    let answer = server.json("PATCH", &path, &json!({"age": 2}));
    assert_eq!((answer.status, answer.header("retry-after")), (503, Some("1")), "{answer:?}");
    drop(held);
    assert_eq!(server.json("PATCH", &path, &json!({"age": 2})).status, 200);
}
