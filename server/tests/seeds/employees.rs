//! The employees service as seed 000 documents it, against the real binary on real databases.

use serde_json::{Value, json};

use crate::common::databases::{Database as _, Postgres, Sqlite, left_out};
use crate::common::{Answer, Server};

#[test]
fn employees_on_sqlite() {
    let database = Sqlite::start();
    let server = Server::start(&[("DATABASE_URL", &database.url())], &[]);
    contract(&server);
}

#[test]
fn employees_on_postgres_by_the_seeds_variables() {
    if left_out("employees_on_postgres_by_the_seeds_variables") {
        return;
    }
    let database = Postgres::start();
    let host = database.host();
    let env = [
        ("DB_USERNAME", Postgres::USER),
        ("DB_PASSWORD", Postgres::PASSWORD),
        ("DB_URL", host.as_str()),
        ("DB_NAME", "postgres"),
    ];
    let server = Server::start(&env, &[]);
    contract(&server);
    drop(server);
    // The rows are still there for the next process, which finds its tables made.
    let server = Server::start(&[("DATABASE_URL", &database.url())], &[]);
    assert_eq!(employees(&server.get("/employees/get")).len(), 1);
}

fn employees(answer: &Answer) -> Vec<Value> {
    assert_eq!(answer.status, 200, "{answer:?}");
    let body = answer.json();
    assert_eq!(body["message"], "success");
    body["employees"].as_array().expect("an array").clone()
}

fn timestamp(value: &Value) -> bool {
    let text = value.as_str().unwrap_or_default();
    let shape: String = text.chars().map(|c| if c.is_ascii_digit() { '9' } else { c }).collect();
    shape == "9999-99-99 99:99:99.999999"
}

fn contract(server: &Server) {
    assert!(employees(&server.get("/employees/get")).is_empty());

    let made = server.json("POST", "/employees/add", &json!({"name": "affan", "age": 25, "email": "foo+1@bar.com"}));
    assert_eq!(made.status, 201, "{made:?}");
    let body = made.json();
    assert_eq!(body["message"], "success");
    let employee = &body["employee"];
    let keys: Vec<&String> = employee.as_object().expect("an object").keys().collect();
    assert_eq!(keys, ["age", "created_at", "email", "id", "name", "updated_at"]);
    assert_eq!(employee["age"], "25");
    assert_eq!(employee["email"], "foo+1@bar.com");
    assert_eq!(employee["name"], "affan");
    assert_eq!(employee["id"].as_str().map(str::len), Some(36));
    assert!(timestamp(&employee["created_at"]), "{employee}");
    assert_eq!(employee["created_at"], employee["updated_at"]);

    server.json("POST", "/employees/add", &json!({"name": "affan2", "age": 30, "email": "foo@bar.com"}));
    let list = employees(&server.get("/employees/get"));
    assert_eq!(list.iter().map(|e| e["name"].as_str()).collect::<Vec<_>>(), [Some("affan"), Some("affan2")]);
    assert_eq!(list[0], *employee);

    let changed = server.json("PATCH", "/employees/update/foo@bar.com", &json!({"name": "affan-test"}));
    assert_eq!(changed.status, 200, "{changed:?}");
    let changed = changed.json();
    assert_eq!(changed["employee"]["name"], "affan-test");
    assert_eq!(changed["employee"]["age"], "30");
    assert_eq!(changed["employee"]["created_at"], list[1]["created_at"]);
    assert!(changed["employee"]["updated_at"].as_str() > list[1]["updated_at"].as_str());

    // The address itself can change, and the escaped form of a path names the same row.
    let moved =
        server.json("PATCH", "/employees/update/foo%2B1%40bar.com", &json!({"email": "new@bar.com", "age": "26"}));
    assert_eq!(moved.json()["employee"]["email"], "new@bar.com", "{moved:?}");
    assert_eq!(moved.json()["employee"]["age"], "26");

    refusals(server);

    let gone = server.send("DELETE", "/employees/delete/foo@bar.com", &[], b"");
    assert_eq!((gone.status, gone.body.as_str()), (204, ""));
    assert_eq!(server.send("DELETE", "/employees/delete/foo@bar.com", &[], b"").status, 404);
    assert_eq!(employees(&server.get("/employees/get")).len(), 1);
}

/// Each with its status and a message that says what is wrong.
fn refusals(server: &Server) {
    let add = "/employees/add";
    let cases: [(&str, &str, &str, u16, &str); 12] = [
        ("POST", add, r#"{"name": "x"}"#, 422, "`age` is required; `email` is required"),
        ("POST", add, r#"{"name": "x", "age": "old", "email": "a@b.c"}"#, 422, "`age` must be a whole number"),
        ("POST", add, r#"{"name": "x", "age": 1, "email": "nobody"}"#, 422, "mail address"),
        ("POST", add, r#"{"name": "x", "age": 1, "email": "new@bar.com"}"#, 409, "`email` is taken already"),
        ("POST", add, r#"{"name": "x", "age": 1, "email": "a@b.c", "admin": true}"#, 422, "`admin` is not a field"),
        ("POST", add, "{", 400, "no JSON"),
        ("POST", add, "[]", 400, "must be a JSON object"),
        ("PATCH", "/employees/update/foo@bar.com", "{}", 400, "at least one of"),
        ("PATCH", "/employees/update/none@bar.com", r#"{"age": 1}"#, 404, "employee not found"),
        ("PATCH", "/employees/update/foo@bar.com", r#"{"email": "new@bar.com"}"#, 409, "taken"),
        ("DELETE", "/employees/delete/a%00@b.c", "", 404, "employee not found"),
        ("PATCH", "/employees/update/%FF@b.c", r#"{"age": 1}"#, 400, "the path is not UTF-8"),
    ];
    for (method, path, body, status, message) in cases {
        let answer = server.send(method, path, &[("content-type", "application/json")], body.as_bytes());
        assert_eq!(answer.status, status, "{method} {path} {body}: {answer:?}");
        let text = answer.json()["message"].as_str().unwrap_or_default().to_owned();
        assert!(text.contains(message), "{method} {path} {body}: {text}");
    }
    assert_eq!(server.send("PUT", add, &[], b"{}").status, 405);
    assert_eq!(server.get("/employees").status, 404);
}
