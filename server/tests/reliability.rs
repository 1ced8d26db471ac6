//! What a service must survive: being killed in the middle of writes, and rows that others hold.

mod common;

use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use common::Server;
use common::databases::{Database as _, Held, MariaDb, left_out};
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
