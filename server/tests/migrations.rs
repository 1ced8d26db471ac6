//! Tables follow the declarations: what is added at start, what is refused, and that nothing is lost.

mod common;

use std::thread;

use common::databases::{Database as _, MariaDb, Sqlite, left_out, sql};
use common::{Server, command};
use serde_json::{Value, json};

on_each_database! {
    replicas_that_start_at_once_make_one_table,
    new_fields_are_added_and_filled,
    destructive_changes_are_refused_with_what_to_do,
    rules_that_rows_break_are_refused,
    a_new_pattern_is_held_against_every_row,
    an_older_release_serves_beside_columns_of_a_newer_one,
    a_table_made_by_hand_is_widened_or_refused,
}

/// A declaration of the resource `books`, for `CRUD_RESOURCES`.
struct Declared {
    _folder: tempfile::TempDir,
    words: String,
}

fn declared(fields: &str) -> Declared {
    let folder = tempfile::TempDir::new().expect("a folder");
    let file = folder.path().join("books.yml");
    std::fs::write(&file, format!("fields:\n  title: {{ type: string }}\n  {}\n", fields.replace('\n', "\n  ")))
        .expect("written");
    Declared { words: format!("{},books", file.display()), _folder: folder }
}

fn start(url: &str, fields: &str) -> Server {
    Server::start(&[("DATABASE_URL", url), ("CRUD_RESOURCES", &declared(fields).words)], &[])
}

/// What a start that is refused says.
fn refused(url: &str, fields: &str) -> String {
    let declared = declared(fields);
    let output = command(&[("DATABASE_URL", url), ("CRUD_RESOURCES", &declared.words)], &[]).output().expect("it runs");
    assert_eq!(output.status.code(), Some(1), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    let last: Value = serde_json::from_str(text.lines().last().expect("a line")).expect("JSON");
    last["message"].as_str().expect("a message").to_owned()
}

fn add(server: &Server, book: &Value) -> Value {
    let answer = server.json("POST", "/api/books", book);
    assert_eq!(answer.status, 201, "{answer:?}");
    answer.json()
}

fn books(server: &Server) -> Vec<Value> {
    let answer = server.get("/api/books");
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()["items"].as_array().expect("items").clone()
}

fn replicas_that_start_at_once_make_one_table(url: &str) {
    let servers: Vec<Server> = thread::scope(|scope| {
        let starts: Vec<_> =
            (0..3).map(|_| scope.spawn(|| start(url, "isbn: { type: string, unique: true }"))).collect();
        starts.into_iter().map(|start| start.join().expect("it starts")).collect()
    });
    for (index, server) in servers.iter().enumerate() {
        add(server, &json!({"title": "x", "isbn": index.to_string()}));
    }
    assert_eq!(servers[0].json("POST", "/api/books", &json!({"isbn": "2"})).status, 409);
    assert!(servers.iter().all(|server| books(server).len() == 3));
}

fn new_fields_are_added_and_filled(url: &str) {
    let server = start(url, "pages: { type: integer }");
    let old = add(&server, &json!({"title": "old", "pages": 1}));
    drop(server);
    let more = "pages: { type: integer }\nnotes: { type: text, default: \"it's \\\\ new\" }\nrated: { type: number, required: true, default: 0.5 }\n\
                lent: { type: boolean, default: true }\nbought: { type: timestamp, default: '2024-01-01T00:00:00Z' }\n\
                code: { type: uuid, default: 67e55044-10b1-426f-9247-bb680e5fe0c8 }\nextra: { type: json, default: {a: [1]} }\n\
                kind: { type: enum, values: [novel, poems], default: poems }\nplain: { type: string }";
    for _ in 0..2 {
        let server = start(url, more);
        let book = &books(&server)[0];
        for name in ["id", "title", "pages", "created_at", "updated_at"] {
            assert_eq!(book[name], old[name], "{name}");
        }
        let added = [
            ("notes", json!("it's \\ new")),
            ("rated", json!(0.5)),
            ("lent", json!(true)),
            ("bought", json!("2024-01-01T00:00:00.000000Z")),
            ("code", json!("67e55044-10b1-426f-9247-bb680e5fe0c8")),
            ("extra", json!({"a": [1]})),
            ("kind", json!("poems")),
            ("plain", Value::Null),
        ];
        for (name, value) in added {
            assert_eq!(book[name], value, "{name}");
        }
    }
    // What becomes required takes its default where it has no value.
    let server = start(url, "pages: { type: integer }\nplain: { type: string, required: true, default: filled }");
    assert_eq!(books(&server)[0]["plain"], "filled");
}

fn destructive_changes_are_refused_with_what_to_do(url: &str) {
    drop(start(url, "pages: { type: integer }"));
    let said = refused(url, "pages: { type: boolean }");
    assert!(said.contains("column `pages` is `") && said.contains("ALTER TABLE"), "{said}");
    let server = start(url, "pages: { type: integer }");
    add(&server, &json!({"title": "x", "pages": 1}));
    add(&server, &json!({"title": "x", "pages": 2}));
    drop(server);
    let said = refused(url, "pages: { type: integer }\nisbn: { type: string, required: true }");
    assert!(said.contains("`isbn` is required and the table has rows: give it a `default`"), "{said}");
    // Whatever was refused left the table as it was.
    assert_eq!(books(&start(url, "pages: { type: integer }")).len(), 2);
}

fn rules_that_rows_break_are_refused(url: &str) {
    let server =
        start(url, "pages: { type: integer }\nkind: { type: enum, values: [novel, poems] }\nisbn: { type: string }");
    let first = add(&server, &json!({"title": "long title", "pages": 5, "kind": "poems", "isbn": "1"}));
    add(&server, &json!({"title": "b", "isbn": "1"}));
    drop(server);
    let same = "kind: { type: enum, values: [novel, poems] }\nisbn: { type: string }";
    let cases = [
        (format!("pages: {{ type: integer, required: true }}\n{same}"), "whose `pages` is null"),
        (format!("pages: {{ type: integer, max: 4 }}\n{same}"), "whose `pages` is more than 4"),
        (format!("pages: {{ type: integer, min: 6 }}\n{same}"), "whose `pages` is less than 6"),
        (
            "pages: { type: integer }\nkind: { type: enum, values: [novel] }\nisbn: { type: string }".into(),
            "whose `kind` is not one of: novel",
        ),
        (format!("pages: {{ type: integer }}\n{}", same.replace("string", "string, unique: true")), "share a value"),
        (
            format!("pages: {{ type: integer }}\n{}", same.replace("string", "string, min_length: 2")),
            "there are 2 rows whose `isbn` has fewer than 2 characters",
        ),
        (
            format!("pages: {{ type: integer }}\n{}", same.replace("string", "string, pattern: '^[2-9]$'")),
            "there are 2 rows whose `isbn` must match the pattern ^[2-9]$: id ",
        ),
        (format!("pages: {{ type: integer }}\n{}", same.replace("string", "email")), "must be a mail address"),
    ];
    for (fields, message) in cases {
        let said = refused(url, &fields);
        assert!(said.contains(message) && said.contains("hange"), "{fields}: {said}");
    }
    // Everything that is wrong is told at once, with the keys of the first rows.
    let said = refused(url, &format!("pages: {{ type: integer, max: 4 }}\n{}", same.replace("novel, poems", "novel")));
    assert_eq!(said.matches(&format!(": id {}", first["id"].as_str().expect("an id"))).count(), 2, "{said}");
    // A wider rule is no question.
    drop(start(
        url,
        &format!("pages: {{ type: integer, min: 1, max: 9 }}\n{}", same.replace("poems]", "poems, essay]")),
    ));
}

fn a_new_pattern_is_held_against_every_row(url: &str) {
    let server = start(url, "isbn: { type: string }\nextra: { type: text }");
    // More than are read at once.
    let mut books: Vec<Value> = (0..450).map(|n| json!({"isbn": format!("{n}"), "extra": format!("[{n}]")})).collect();
    books[449]["isbn"] = json!("x");
    books[230] = json!({"isbn": null, "extra": "no JSON"});
    let made = server.json("POST", "/api/books", &json!(books));
    assert_eq!(made.status, 201);
    let id = |n: usize| made.json()["items"][n]["id"].as_str().expect("an id").to_owned();
    let last = [id(449), id(230)];
    drop(server);
    let strict = "isbn: { type: string, pattern: '^[0-9]+$' }\nextra: { type: json }";
    let said = refused(url, strict);
    let isbn = format!("there is 1 row whose `isbn` must match the pattern ^[0-9]+$: id {};", last[0]);
    let extra = "there is 1 row whose `extra` must be JSON: ";
    assert!(said.contains(&isbn) && said.contains(extra) && said.contains(&last[1]), "{said}");
    let server = start(url, "isbn: { type: string }\nextra: { type: text }");
    for id in last {
        assert_eq!(server.send("DELETE", &format!("/api/books/{id}"), &[], b"").status, 204);
    }
    drop(server);
    drop(start(url, strict));
}

fn an_older_release_serves_beside_columns_of_a_newer_one(url: &str) {
    let server = start(url, "pages: { type: integer }\nisbn: { type: string, unique: true, required: true }");
    add(&server, &json!({"title": "new", "pages": 1, "isbn": "1"}));
    drop(server);
    let declared = declared("pages: { type: integer }");
    let mut old = Server::launch(&[("DATABASE_URL", url), ("CRUD_RESOURCES", &declared.words)], &[]);
    let line = old.wait_for("is not declared");
    assert!(line.contains("\"isbn\"") && line.contains("DROP COLUMN"), "{line}");
    old.wait_for("\"ready\"");
    assert_eq!(books(&old)[0]["title"], "new");
    add(&old, &json!({"title": "old", "pages": 2}));
}

fn a_table_made_by_hand_is_widened_or_refused(url: &str) {
    let times = if url.starts_with("mysql") {
        "datetime(6)"
    } else if url.starts_with("sqlite") {
        "text"
    } else {
        "timestamptz"
    };
    let id = if url.starts_with("postgres") {
        "uuid"
    } else if url.starts_with("mysql") {
        "char(36)"
    } else {
        "text"
    };
    let table = |name: &str, more: &str| {
        // The folder of an SQLite file is made by the server.
        if let Some(path) = url.strip_prefix("sqlite://") {
            std::fs::create_dir_all(std::path::Path::new(path).parent().expect("a folder")).expect("made");
        }
        sql(
            url,
            &format!(
                "CREATE TABLE {name} (id {id} NOT NULL PRIMARY KEY, title varchar(5){more}, \
             created_at {times} NOT NULL, updated_at {times} NOT NULL, row_version bigint NOT NULL)"
            ),
        );
    };
    if url.starts_with("sqlite") {
        // SQLite has one type for whole numbers, and its own word for it.
        return;
    }
    table("books", "");
    let server = start(url, "");
    add(&server, &json!({"title": "longer than five"}));
    drop(server);
    sql(url, "DROP TABLE books");
    table("books", ", kept varchar(5) NOT NULL");
    let said = refused(url, "");
    assert!(said.contains("column `kept` is not declared, takes no null") && said.contains("DROP COLUMN"), "{said}");
    sql(url, "DROP TABLE books");
    table("books", ", pages int");
    let said = refused(url, "pages: { type: integer }");
    assert!(said.contains("column `pages` is `int") && said.contains("bigint"), "{said}");
}

/// MySQL has no transaction around changes of tables: a start that is killed in between is taken up by the next.
#[test]
fn a_start_that_was_killed_on_mysql_is_taken_up() {
    if left_out("a_start_that_was_killed_on_mysql_is_taken_up") {
        return;
    }
    let database = MariaDb::start();
    let url = database.fresh();
    let server = start(&url, "");
    add(&server, &json!({"title": "x"}));
    drop(server);
    // As a release of before left it that added the column and died before it filled it.
    sql(&url, "ALTER TABLE books ADD COLUMN kind varchar(255)");
    sql(&url, "DROP INDEX books_created_at_id_idx ON books");
    let server = start(&url, "kind: { type: string, required: true, default: novel }");
    assert_eq!(books(&server)[0]["kind"], "novel");
    let index = "SELECT DISTINCT index_name FROM information_schema.statistics WHERE table_name = 'books' AND index_name LIKE '%_idx'";
    assert_eq!(sql(&url, index), ["books_created_at_id_idx"]);
}

/// Two databases of one server are not in each other's way.
#[test]
fn the_lock_of_a_mysql_is_one_for_each_database() {
    if left_out("the_lock_of_a_mysql_is_one_for_each_database") {
        return;
    }
    let database = MariaDb::start();
    let (one, two) = (database.fresh(), database.fresh());
    let name = |url: &str| sql(url, "SELECT concat('crud-', sha1(database()))").remove(0);
    assert_ne!(name(&one), name(&two));
    let held = common::databases::Held::new(&one, &[&format!("SELECT get_lock('{}', 1)", name(&one))]);
    drop(start(&two, ""));
    let declared = declared("");
    let mut waiting = Server::launch(&[("DATABASE_URL", &one), ("CRUD_RESOURCES", &declared.words)], &[]);
    assert_eq!(waiting.get("/readyz").status, 503);
    drop(held);
    waiting.wait_for("\"ready\"");
}

/// SQLite has one writer: a replica that meets another one at work waits, and does not end.
#[test]
fn a_busy_sqlite_is_waited_for_at_start() {
    let database = Sqlite::start();
    let url = database.url();
    drop(start(&url, ""));
    let held = common::databases::Held::new(&url, &["BEGIN EXCLUSIVE"]);
    let declared = declared("");
    let mut waiting = Server::launch(&[("DATABASE_URL", &url), ("CRUD_RESOURCES", &declared.words)], &[]);
    waiting.wait_for("the database is not available yet");
    drop(held);
    waiting.wait_for("\"ready\"");
}
