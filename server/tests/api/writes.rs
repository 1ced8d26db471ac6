//! Creating, changing and deleting rows.

use serde_json::{Value, json};

use crate::shelf::{Shelf, place, problem};

pub(crate) fn creates_reads_replaces_patches_deletes(url: &str) {
    let shelf = Shelf::open(url);
    let server = &shelf.server;
    let made = server.json("POST", "/api/books", &json!({"title": "Emma", "kind": "novel", "isbn": "1"}));
    assert_eq!(made.status, 201, "{made:?}");
    let book = made.json();
    assert_eq!(made.header("location"), Some(place(&book).as_str()));
    assert_eq!(made.header("etag"), Some("\"1\""));
    let keys: Vec<&str> = book.as_object().expect("an object").keys().map(String::as_str).collect();
    let all = "id title pages price lent kind isbn owner code bought notes extra created_at updated_at";
    assert_eq!(keys.join(" "), all);
    assert_eq!((&book["pages"], &book["lent"], &book["price"]), (&json!(100), &json!(false), &Value::Null));

    let read = server.get(&place(&book));
    assert_eq!((read.status, read.header("etag"), read.json()), (200, Some("\"1\""), book.clone()));
    assert_eq!(server.get(&format!("{}?fields=title,pages", place(&book))).body, r#"{"title":"Emma","pages":100}"#);

    // What was answered can be sent back.
    let mut whole = book.clone();
    whole["title"] = "Emma, again".into();
    let put = server.json("PUT", &place(&book), &whole);
    assert_eq!((put.status, put.header("etag")), (200, Some("\"2\"")), "{put:?}");
    let put = put.json();
    assert_eq!((&put["title"], &put["created_at"]), (&json!("Emma, again"), &book["created_at"]));
    assert!(put["updated_at"].as_str() > book["updated_at"].as_str());
    // PUT is the whole row: what it does not name takes its default, or becomes null.
    let put = server.json("PUT", &place(&book), &json!({"title": "Emma", "pages": 7})).json();
    assert_eq!(
        (&put["pages"], &put["kind"], &put["isbn"], &put["lent"]),
        (&json!(7), &Value::Null, &Value::Null, &json!(false))
    );
    assert_eq!(problem(&server.json("PUT", &place(&book), &json!({"pages": 7}))), (422, vec!["#/title".into()]));

    let patched = server.json("PATCH", &place(&book), &json!({"price": 9.5, "pages": null}));
    assert_eq!((patched.status, patched.header("etag")), (200, Some("\"4\"")), "{patched:?}");
    assert_eq!(
        (&patched.json()["price"], &patched.json()["pages"], &patched.json()["title"]),
        (&json!(9.5), &Value::Null, &json!("Emma"))
    );

    let gone = server.send("DELETE", &place(&book), &[], b"");
    assert_eq!((gone.status, gone.body.as_str()), (204, ""));
    for (method, body) in [("GET", ""), ("DELETE", ""), ("PATCH", "{\"pages\": 1}"), ("PUT", "{\"title\": \"x\"}")] {
        assert_eq!(server.send(method, &place(&book), &[], body.as_bytes()).status, 404, "{method}");
    }
}

pub(crate) fn every_type_keeps_its_value(url: &str) {
    let shelf = Shelf::open(url);
    let rows = [
        json!({
            "title": "\u{1f600} ß ' \" \\ ; -- \n", "pages": i64::MAX, "price": 0.1, "lent": true, "kind": "poems", "isbn": "007",
            "owner": "a+b@ex\u{e4}mple.org", "code": "67e55044-10b1-426f-9247-bb680e5fe0c8",
            "bought": "2024-02-29T23:59:59.123456Z", "notes": "é\n".repeat(20_000),
            "extra": {"b": [1, 2.5, {"a": null}], "a": "\u{1f600}", "n": -0.5},
        }),
        json!({"title": "x", "pages": 1, "price": 1.797_693_134_862_315_7e308, "bought": "0001-01-01T00:00:00.000000Z", "extra": []}),
        json!({"title": "y", "pages": 2, "price": 5e-324, "bought": "9999-12-31T23:59:59.999999Z", "extra": "text"}),
        json!({"title": " trailing ", "pages": 3, "price": 2.225_073_858_507_201_4e-308, "extra": false, "notes": ""}),
        json!({"title": "z", "pages": 4, "price": 123_456_789.123_456_79, "extra": 18_446_744_073_709_551_615_u64}),
    ];
    for row in &rows {
        let made = shelf.add(row);
        let read = shelf.server.get(&place(&made)).json();
        assert_eq!(made, read);
        for (name, value) in row.as_object().expect("an object") {
            assert_eq!(read[name], *value, "{name}");
        }
    }
}

pub(crate) fn patches_reach_into_documents(url: &str) {
    let shelf = Shelf::open(url);
    let book = shelf.add(&json!({"title": "x", "extra": {"a": {"b": 1, "c": 2}, "d": [1, 2]}}));
    let patch = |extra: &Value| {
        let kind = [("content-type", "application/merge-patch+json")];
        let answer = shelf.server.send("PATCH", &place(&book), &kind, json!({"extra": extra}).to_string().as_bytes());
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.json()["extra"].clone()
    };
    let after = json!({"a": {"c": 3}, "d": [3], "e": {"f": true}});
    assert_eq!(patch(&json!({"a": {"b": null, "c": 3}, "d": [3], "e": {"f": true, "g": null}})), after);
    assert_eq!(patch(&json!([1])), json!([1]));
    assert_eq!(patch(&json!({"a": null, "b": 1})), json!({"b": 1}));
    assert_eq!(patch(&Value::Null), Value::Null);
}

pub(crate) fn unique_values_conflict(url: &str) {
    let shelf = Shelf::open(url);
    let server = &shelf.server;
    shelf.add(&json!({"title": "books_isbn_key", "isbn": "1"}));
    let other = shelf.add(&json!({"title": "b", "isbn": "2"}));
    // Nulls are no values.
    shelf.add(&json!({"title": "c"}));
    shelf.add(&json!({"title": "d"}));
    let isbn = (409, vec!["#/isbn".to_owned()]);
    assert_eq!(problem(&server.json("POST", "/api/books", &json!({"title": "x", "isbn": "1"}))), isbn);
    assert_eq!(problem(&server.json("PATCH", &place(&other), &json!({"isbn": "1"}))), isbn);
    assert_eq!(problem(&server.json("PUT", &place(&other), &json!({"title": "b", "isbn": "1"}))), isbn);
    assert_eq!(shelf.titles("isbn=2"), ["b"]);
}

pub(crate) fn bulk_is_all_or_none(url: &str) {
    let shelf = Shelf::open(url);
    let server = &shelf.server;
    let books = |from: usize, to: usize| -> Value {
        (from..to).map(|n| json!({"title": format!("book {n}"), "isbn": n.to_string()})).collect()
    };
    let made = server.json("POST", "/api/books", &books(0, 1000));
    assert_eq!((made.status, made.header("location")), (201, None));
    let items = made.json()["items"].as_array().expect("items").clone();
    assert_eq!((items.len(), &items[999]["title"]), (1000, &json!("book 999")));
    assert_eq!(server.get(&place(&items[999])).json(), items[999]);
    // More values than a statement may have are sent in several, in one transaction.
    assert_eq!(problem(&server.json("POST", "/api/books", &books(1000, 2001))), (422, vec![]));
    assert_eq!(problem(&server.json("POST", "/api/books", &json!([]))), (422, vec![]));
    assert_eq!(problem(&server.json("POST", "/api/books", &json!([{"title": "x"}, 1]))), (400, vec![]));

    let wrong = json!([{"title": "x"}, {"pages": 0}, {"title": "y", "kind": "essay"}]);
    let places = ["#/1/title", "#/1/pages", "#/2/kind"].map(str::to_owned).to_vec();
    assert_eq!(problem(&server.json("POST", "/api/books", &wrong)), (422, places));
    let taken = json!([{"title": "x"}, {"title": "y", "isbn": "1000"}, {"title": "z", "isbn": "7"}]);
    assert_eq!(problem(&server.json("POST", "/api/books", &taken)), (409, vec!["#/2/isbn".into()]));
    let twice = json!([{"title": "x", "isbn": "1000"}, {"title": "y", "isbn": "1001"}, {"title": "z", "isbn": "1000"}]);
    assert_eq!(problem(&server.json("POST", "/api/books", &twice)), (409, vec!["#/2/isbn".into()]));
    assert!(shelf.titles("title=x").is_empty());
}

pub(crate) fn etags_prevent_lost_updates(url: &str) {
    let shelf = Shelf::open(url);
    let server = &shelf.server;
    let book = shelf.add(&json!({"title": "x", "extra": {}}));
    let send = |method: &str, header: (&str, &str), body: &str| {
        let headers = [("content-type", "application/json"), header];
        server.send(method, &place(&book), &headers, body.as_bytes()).status
    };
    assert_eq!(send("PATCH", ("if-match", "\"1\""), r#"{"pages": 1}"#), 200);
    // The version is 2 now.
    for method in ["PATCH", "PUT", "DELETE"] {
        for tag in ["\"1\"", "W/\"2\"", "\"x\"", "\"1\", \"3\""] {
            assert_eq!(send(method, ("if-match", tag), r#"{"title": "y"}"#), 412, "{method} {tag}");
        }
        assert_eq!(send(method, ("if-none-match", "*"), r#"{"title": "y"}"#), 412, "{method}");
        assert_eq!(send(method, ("if-match", "2"), r#"{"title": "y"}"#), 400, "{method}");
    }
    assert_eq!(send("PATCH", ("if-match", "\"1\""), r#"{"extra": {"a": 1}}"#), 412);
    assert_eq!(send("PUT", ("if-match", "\"1\", \"2\""), r#"{"title": "y"}"#), 200);
    assert_eq!(send("PATCH", ("if-match", "*"), r#"{"pages": 3}"#), 200);
    assert_eq!(send("PATCH", ("if-none-match", "\"3\""), r#"{"pages": 4}"#), 200);
    let read = |header| server.send("GET", &place(&book), &[header], b"");
    let same = read(("if-none-match", "\"5\""));
    assert_eq!((same.status, same.body.as_str(), same.header("etag")), (304, "", Some("\"5\"")));
    assert_eq!(read(("if-none-match", "\"4\"")).status, 200);
    assert_eq!(send("DELETE", ("if-match", "\"5\""), ""), 204);
    assert_eq!(send("DELETE", ("if-match", "\"5\""), ""), 404);
}

pub(crate) fn keys_make_requests_idempotent(url: &str) {
    let shelf = Shelf::open(url);
    let post = |key: &str, body: &Value| {
        let headers = [("content-type", "application/json"), ("idempotency-key", key)];
        shelf.server.send("POST", "/api/books", &headers, body.to_string().as_bytes())
    };
    let book = json!({"title": "x", "isbn": "1", "price": 0.1});
    let first = post("a", &book);
    assert_eq!(first.status, 201, "{first:?}");
    for key in ["a", "\"a\""] {
        let again = post(key, &book);
        assert_eq!((again.status, &again.body), (201, &first.body));
        assert_eq!((again.header("location"), again.header("etag")), (first.header("location"), first.header("etag")));
    }
    assert_eq!(problem(&post("a", &json!({"title": "y"}))), (422, vec![]));
    // A request that was refused leaves its key free.
    assert_eq!(problem(&post("b", &book)), (409, vec!["#/isbn".into()]));
    assert_eq!(post("b", &json!({"title": "y"})).status, 201);
    let many = post("c", &json!([{"title": "z"}, {"title": "z"}]));
    assert_eq!(post("c", &json!([{"title": "z"}, {"title": "z"}])).body, many.body);
    assert_eq!(shelf.titles("sort=title"), ["x", "y", "z", "z"]);
    for bad in ["", &"k".repeat(201), "\u{e9}"] {
        assert_eq!(problem(&post(bad, &book)).0, 400, "{bad}");
    }
}
