//! What is refused, with which status, and which part of the request is named.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use serde_json::json;

use crate::shelf::{Shelf, place, problem};

pub(crate) fn bodies(url: &str) {
    let shelf = Shelf::open(url);
    let deep = format!("{{\"title\": \"x\", \"extra\": {}}}", "[".repeat(200_000));
    let cases: [(&str, u16, &[&str]); 20] = [
        ("{", 400, &[]),
        ("", 400, &[]),
        ("1", 400, &[]),
        (&deep, 400, &[]),
        (r#"{"title": "x", "title": "y"}"#, 400, &[]),
        (r#"{"title": "x", "extra": {"a": {"b": 1, "b": 2}}}"#, 400, &[]),
        (r#"{"title": "x", "price": 1e999}"#, 400, &[]),
        (r#"{"title": "\ud800"}"#, 400, &[]),
        (r#"{"pages": 0, "lent": "yes", "x/y~": 1}"#, 422, &["#/x~1y~0", "#/title", "#/pages", "#/lent"]),
        (r#"{"title": null}"#, 422, &["#/title"]),
        (r#"{"title": ""}"#, 422, &["#/title"]),
        (r#"{"title": "a\u0000b"}"#, 422, &["#/title"]),
        (r#"{"title": "x", "row_version": 1}"#, 422, &["#/row_version"]),
        (r#"{"title": "x", "pages": 9223372036854775808}"#, 422, &["#/pages"]),
        (r#"{"title": "x", "pages": 1.5}"#, 422, &["#/pages"]),
        (r#"{"title": "x", "isbn": "a"}"#, 422, &["#/isbn"]),
        (r#"{"title": "x", "kind": "essay"}"#, 422, &["#/kind"]),
        (r#"{"title": "x", "owner": "nobody"}"#, 422, &["#/owner"]),
        (r#"{"title": "x", "code": "1", "bought": "now"}"#, 422, &["#/code", "#/bought"]),
        (r#"{"title": "x", "extra": "\u0000"}"#, 422, &["#/extra"]),
    ];
    for (body, status, places) in cases {
        let answer = shelf.server.send("POST", "/api/books", &[("content-type", "application/json")], body.as_bytes());
        let places = places.iter().map(ToString::to_string).collect();
        assert_eq!(problem(&answer), (status, places), "{}", body.chars().take(80).collect::<String>());
    }
    let long = json!({"title": "x".repeat(256)});
    assert_eq!(problem(&shelf.server.json("POST", "/api/books", &long)), (422, vec!["#/title".into()]));
    let invalid = b"{\"title\": \"\xff\"}";
    assert_eq!(shelf.server.send("POST", "/api/books", &[], invalid).status, 400);
    let large = json!({"title": "x", "notes": "x".repeat(1_100_000)});
    assert_eq!(problem(&shelf.server.json("POST", "/api/books", &large)), (413, vec![]));
    assert!(shelf.titles("").is_empty());
}

pub(crate) fn parameters(url: &str) {
    let shelf = Shelf::open(url);
    let cursor = {
        shelf.add(&json!({"title": "a"}));
        shelf.add(&json!({"title": "b"}));
        shelf.server.get("/api/books?limit=1").json()["next"].as_str().expect("a cursor").to_owned()
    };
    let other_order = format!("sort=title&cursor={cursor}");
    let cases: [(&str, &[&str]); 27] = [
        ("limit=0", &["limit"]),
        ("limit=501", &["limit"]),
        ("limit=1&limit=2", &["limit"]),
        ("limit=x&sort=nothing&fields=id,nothing&unknown=1", &["limit", "sort", "fields", "unknown"]),
        ("sort=row_version", &["sort"]),
        ("sort=notes", &["sort"]),
        ("sort=extra", &["sort"]),
        ("sort=title,-title", &["sort"]),
        ("sort=", &["sort"]),
        ("fields=", &["fields"]),
        ("cursor=x", &["cursor"]),
        ("cursor=W10", &["cursor"]),
        (&other_order, &["cursor"]),
        ("pages=many", &["pages"]),
        ("pages=9223372036854775808", &["pages"]),
        ("pages[like]=1", &["pages[like]"]),
        ("bought[prefix]=2024", &["bought[prefix]"]),
        ("lent[gt]=false", &["lent[gt]"]),
        ("lent=maybe", &["lent"]),
        ("extra=1", &["extra"]),
        ("extra[like]=1", &["extra[like]"]),
        ("pages[between]=1", &["pages[between]"]),
        ("price[null]=perhaps", &["price[null]"]),
        ("price=NaN", &["price"]),
        ("title=a%00b", &["title"]),
        ("row_version=1", &["row_version"]),
        ("id=1", &["id"]),
    ];
    for (query, names) in cases {
        let answer = shelf.server.get(&format!("/api/books?{query}"));
        assert_eq!(problem(&answer), (400, names.iter().map(ToString::to_string).collect()), "{query}");
    }
    assert_eq!(problem(&shelf.server.get("/api/books?title=%FF")), (400, vec![]));
}

pub(crate) fn paths(url: &str) {
    let shelf = Shelf::open(url);
    let book = shelf.add(&json!({"title": "x"}));
    for path in ["/api/novels", "/api/books/1", "/api/books/x%00", "/api", "/api/books/", "/nothing"] {
        assert_eq!(problem(&shelf.server.get(path)), (404, vec![]), "{path}");
    }
    for path in ["/api/%FF", "/api/books/%FF"] {
        assert_eq!(problem(&shelf.server.get(path)), (400, vec![]), "{path}");
    }
    assert_eq!(problem(&shelf.server.get(&format!("{}?fields=nothing", place(&book)))), (400, vec!["fields".into()]));
    assert_eq!(problem(&shelf.server.get(&format!("{}?limit=1", place(&book)))), (400, vec!["limit".into()]));
}

pub(crate) fn headers_and_methods(url: &str) {
    let shelf = Shelf::open(url);
    let book = shelf.add(&json!({"title": "x"}));
    let send = |method: &str, path: &str, kind: &str| {
        shelf.server.send(method, path, &[("content-type", kind)], br#"{"title": "y"}"#)
    };
    for kind in ["text/plain", "application/x-www-form-urlencoded", "application/xml", "nonsense"] {
        assert_eq!(problem(&send("POST", "/api/books", kind)), (415, vec![]), "{kind}");
        assert_eq!(problem(&send("PUT", &place(&book), kind)), (415, vec![]), "{kind}");
        assert_eq!(problem(&send("PATCH", &place(&book), kind)), (415, vec![]), "{kind}");
    }
    assert_eq!(send("PUT", &place(&book), "application/merge-patch+json").status, 415);
    assert_eq!(send("PATCH", &place(&book), "application/merge-patch+json").status, 200);
    assert_eq!(send("POST", "/api/books", "Application/JSON; charset=utf-8").status, 201);
    let wrong = send("DELETE", "/api/books", "application/json");
    assert_eq!((problem(&wrong).0, wrong.header("allow")), (405, Some("GET,HEAD,POST")));
    let wrong = send("POST", &place(&book), "application/json");
    assert_eq!((problem(&wrong).0, wrong.header("allow")), (405, Some("GET,HEAD,PUT,PATCH,DELETE")));
    assert_eq!(shelf.server.send("HEAD", &place(&book), &[], b"").header("etag"), Some("\"2\""));
}

/// SQL and worse in every place that takes text: it is data, and nothing of it reaches a parser.
pub(crate) fn hostile_texts(url: &str) {
    let shelf = Shelf::open(url);
    for text in [
        "'; DROP TABLE books; --",
        "\\' OR 1=1 -- ",
        "\" OR \"\"=\"",
        "%' OR '1'='1",
        "$1",
        "?",
        "{{7*7}}",
        "\u{202e}\u{feff}",
    ] {
        let made = shelf.add(&json!({"title": text, "notes": text, "extra": {text: text}}));
        let query = percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string();
        for filter in ["title=", "title[like]=", "title[prefix]=", "notes=", "notes[like]="] {
            assert_eq!(shelf.titles(&format!("{filter}{query}")), [text], "{filter}");
        }
        assert_eq!(shelf.server.get(&place(&made)).json()["extra"][text], text);
        for path in [
            format!("/api/{query}"),
            format!("/api/books/{query}"),
            format!("/api/books?{query}=1"),
            format!("/api/books?sort={query}"),
        ] {
            let status = shelf.server.get(&path).status;
            assert!(status == 404 || status == 400, "{path}: {status}");
        }
    }
    // A head beyond the limit is refused without an end of the process.
    let mut stream = TcpStream::connect(shelf.server.at).expect("connected");
    let head = format!("GET /api/books HTTP/1.1\r\nhost: x\r\nx-long: {}\r\n\r\n", "x".repeat(200_000));
    // The server may close the connection before all of it is sent.
    drop(stream.write_all(head.as_bytes()));
    let mut answer = Vec::new();
    drop(stream.read_to_end(&mut answer));
    assert!(answer.is_empty() || answer.starts_with(b"HTTP/1.1 431"), "{}", String::from_utf8_lossy(&answer));
    assert_eq!(shelf.server.get("/healthz").status, 200);
}
