//! Keys and roles, on every database.

mod common;

use std::time::{Duration, Instant};

use common::{Answer, Server, command};
use serde_json::json;

on_each_database! {
    roles_may_do_what_they_are_for,
    keys_are_made_listed_and_revoked,
}

const NOTES: &str = "access: { read: public, write: admin }\nfields:\n  text: { type: string }\n";

fn run(url: &str, arguments: &[&str]) -> (Option<i32>, String, String) {
    let output =
        command(&[("DATABASE_URL", url)], arguments).stdout(std::process::Stdio::piped()).output().expect("it runs");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim_end().to_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

fn key(url: &str, role: &str) -> String {
    let (code, key, error) = run(url, &["key", "create", "--name", role, "--role", role]);
    assert_eq!(code, Some(0), "{error}");
    assert!(key.starts_with("crud_") && key.len() > 40 && !error.contains(&key), "{error}");
    key
}

fn send(server: &Server, key: &str, method: &str, path: &str, body: &str) -> Answer {
    let authorization = format!("Bearer {key}");
    let headers = [("authorization", authorization.as_str()), ("content-type", "application/json")];
    server.send(method, path, if key.is_empty() { &headers[1..] } else { &headers }, body.as_bytes())
}

fn roles_may_do_what_they_are_for(url: &str) {
    let folder = tempfile::TempDir::new().expect("a folder");
    let file = folder.path().join("notes.yml").display().to_string();
    std::fs::write(&file, NOTES).expect("written");
    let keys = ["reader", "writer", "admin"].map(|role| key(url, role));
    let mut server = Server::start(&[("DATABASE_URL", url), ("CRUD_RESOURCES", &file), ("AUTH", "keys")], &[]);
    let person = json!({"name": "x", "age": 1, "email": "a@b.c"}).to_string();
    let [reader, writer, admin] = keys.each_ref().map(String::as_str);
    let cases = [
        // Nobody, or somebody unknown.
        ("", "GET", "/api/employees", "", 401),
        ("nonsense", "GET", "/api/employees", "", 401),
        ("", "GET", "/api/%65mployees", "", 401),
        ("", "GET", "/api/nothing", "", 401),
        ("", "GET", "/employees/get", "", 401),
        ("", "POST", "/v1", r#"{"data": "x"}"#, 401),
        (reader, "GET", "/api/employees", "", 200),
        (reader, "GET", "/employees/get", "", 200),
        (reader, "POST", "/api/employees", &person, 403),
        (reader, "POST", "/employees/add", &person, 403),
        (reader, "DELETE", "/employees/delete/a@b.c", "", 403),
        (reader, "PATCH", "/api/%65mployees/1", "{}", 403),
        (writer, "POST", "/employees/add", &person, 201),
        (writer, "GET", "/api/employees", "", 200),
        (writer, "POST", "/v1", r#"{"data": "x"}"#, 200),
        // The declaration says who reads and who writes.
        ("", "GET", "/api/notes", "", 200),
        ("nonsense", "GET", "/api/notes", "", 200),
        ("", "POST", "/api/notes", "{}", 401),
        (writer, "POST", "/api/notes", "{}", 403),
        (admin, "POST", "/api/notes", "{}", 201),
        (admin, "POST", "/api/employees", "{}", 422),
        // Neither is for anybody's data.
        ("", "GET", "/healthz", "", 200),
        ("", "GET", "/readyz", "", 200),
        ("", "GET", "/openapi.json", "", 200),
        // The server's own tables are no resources.
        (admin, "GET", "/api/crud_keys", "", 404),
    ];
    for (key, method, path, body, status) in cases {
        let answer = send(&server, key, method, path, body);
        assert_eq!(answer.status, status, "{method} {path}: {answer:?}");
        assert_eq!(answer.header("www-authenticate").is_some(), [401, 403].contains(&status), "{answer:?}");
        assert!(!answer.body.contains(reader), "{answer:?}");
    }
    let line = server.wait_for("\"key\":\"writer\"");
    assert!(!line.contains(writer), "{line}");
    let document = server.get("/openapi.json").json();
    assert_eq!(document["security"], json!([{"bearer": []}]));
    assert_eq!(document["paths"]["/api/notes"]["get"]["security"], json!([]));
    assert_eq!(document["paths"]["/api/notes"]["post"]["security"], serde_json::Value::Null);
}

fn keys_are_made_listed_and_revoked(url: &str) {
    let secret = key(url, "reader");
    let server = Server::start(&[("DATABASE_URL", url), ("AUTH", "keys")], &[]);
    assert_eq!(send(&server, &secret, "GET", "/api/employees", "").status, 200);
    let (code, _, error) = run(url, &["key", "create", "--name", "reader", "--role", "admin"]);
    assert!(code == Some(1) && error.contains("a key `reader` already"), "{error}");
    let (_, list, _) = run(url, &["key", "list"]);
    assert!(list.starts_with("reader\treader\t2") && !list.contains(&secret), "{list}");
    // What is kept is no key.
    let kept = common::databases::sql(url, "SELECT digest FROM crud_keys").remove(0);
    assert!(!secret.contains(&kept) && send(&server, &kept, "GET", "/api/employees", "").status == 401);

    assert_eq!(run(url, &["key", "revoke", "reader"]).0, Some(0));
    assert_eq!(run(url, &["key", "revoke", "reader"]).0, Some(1));
    let end = Instant::now() + Duration::from_secs(30);
    while send(&server, &secret, "GET", "/api/employees", "").status != 401 {
        assert!(Instant::now() < end, "a revoked key lives on");
        std::thread::sleep(Duration::from_millis(100));
    }
    drop(server);
    // Off by default, which is said.
    let mut server = Server::launch(&[("DATABASE_URL", url)], &[]);
    server.wait_for("\"ready\"");
    assert_eq!(server.get("/api/employees").status, 200);
}
