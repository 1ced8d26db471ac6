//! Seeds 001 and 002: passengers, on PostgreSQL.

use serde_json::{Value, json};

use crate::common::Server;
use crate::common::databases::{Database as _, Postgres, left_out};
use crate::curl;

/// The header that the seed's table asks for with every request.
const JSON: [&str; 2] = ["--header", "Content-Type: application/json"];

/// The bodies of the seed's table.
const POST: &str = r#"{"survived":true,"passengerClass":2,"name":"Post-Test-Name","sex":"male","age":27.0,"siblingsOrSpousesAboard":0,"parentsOrChildrenAboard":0,"fare":13.0}"#;
const PUT: &str = r#"{"survived":false,"passengerClass":2,"name":"Put-Test-Name","sex":"male","age":27.0,"siblingsOrSpousesAboard":0,"parentsOrChildrenAboard":0,"fare":13.0}"#;

/// The answer to a request whose fields are those of `body`, without its uuid.
fn same(answer: &str, body: &str) -> String {
    let mut answer: Value = serde_json::from_str(answer).expect("JSON");
    let uuid = answer.as_object_mut().and_then(|object| object.shift_remove("uuid")).expect("a uuid");
    assert_eq!(answer.to_string(), body);
    uuid.as_str().expect("text").to_owned()
}

#[test]
fn passengers_on_postgres() {
    if left_out("passengers_on_postgres") {
        return;
    }
    let database = Postgres::start();
    let server = Server::start(&[("DATABASE_URL", &database.url())], &[]);
    assert_eq!(curl(&server, &JSON, "/hello"), (200, r#"{"message":"ok"}"#.into()));
    assert_eq!(curl(&server, &JSON, "/zero"), (200, r#"{"0":""}"#.into()));
    assert_eq!(curl(&server, &JSON, "/passengerlist"), (200, "[]".into()));

    let with = |method: &'static str, body: &'static str| [&JSON[..], &["-X", method, "-d", body]].concat();
    let (status, made) = curl(&server, &with("POST", POST), "/postpassenger");
    assert_eq!(status, 201, "{made}");
    let uuid = same(&made, POST);
    let path = |verb: &str| format!("/{verb}passenger/{uuid}");
    assert_eq!(curl(&server, &JSON, &path("get")), (200, made.clone()));
    let (status, put) = curl(&server, &with("PUT", PUT), &path("put"));
    assert_eq!((status, same(&put, PUT)), (200, uuid.clone()));
    assert_eq!(curl(&server, &JSON, "/passengerlist"), (200, format!("[{put}]")));
    // An answer can be sent back.
    assert_eq!(server.send("PUT", &path("put"), &[], put.as_bytes()).body, put);
    assert_eq!(curl(&server, &[&JSON[..], &["-X", "DELETE"]].concat(), &path("delete")), (204, String::new()));
    for (method, verb, body) in [("GET", "get", ""), ("DELETE", "delete", ""), ("PUT", "put", PUT)] {
        let answer = server.send(method, &path(verb), &[], body.as_bytes());
        assert_eq!((answer.status, answer.json()), (404, json!({"message": "passenger not found"})), "{verb}");
    }

    assert_eq!(server.get("/getpassenger/1").status, 404);
    assert_eq!(server.get("/postpassenger").status, 405);
    let wrong = server.send("POST", "/postpassenger", &[], br#"{"name": "x", "passengerClass": 4, "age": -1}"#);
    let errors = wrong.json()["errors"].as_object().expect("by field").keys().cloned().collect::<Vec<_>>();
    let all =
        ["survived", "passengerClass", "sex", "age", "siblingsOrSpousesAboard", "parentsOrChildrenAboard", "fare"];
    assert_eq!((wrong.status, errors), (422, all.map(str::to_owned).to_vec()));
}
