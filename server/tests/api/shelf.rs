//! The resource that the tests use, and what they ask of its server.

use serde_json::Value;

use crate::common::{Answer, BOOKS, Server};

/// A server of the resource `books`, with the folder that holds its declaration.
pub(crate) struct Shelf {
    pub(crate) server: Server,
    _folder: tempfile::TempDir,
}

impl Shelf {
    pub(crate) fn open(url: &str) -> Self {
        let folder = tempfile::TempDir::new().expect("a folder");
        let file = folder.path().join("books.yml");
        std::fs::write(&file, BOOKS).expect("written");
        let resources = format!("{},books", file.display());
        let server = Server::start(&[("DATABASE_URL", url), ("CRUD_RESOURCES", &resources)], &[]);
        Self { server, _folder: folder }
    }

    pub(crate) fn add(&self, book: &Value) -> Value {
        let answer = self.server.json("POST", "/api/books", book);
        assert_eq!(answer.status, 201, "{book}: {answer:?}");
        answer.json()
    }

    pub(crate) fn titles(&self, query: &str) -> Vec<String> {
        let answer = self.server.get(&format!("/api/books?{query}"));
        assert_eq!(answer.status, 200, "{query}: {answer:?}");
        let body = answer.json();
        let items = body["items"].as_array().expect("items");
        items.iter().map(|item| item["title"].as_str().expect("a title").to_owned()).collect()
    }
}

pub(crate) fn place(row: &Value) -> String {
    format!("/api/books/{}", row["id"].as_str().expect("an id"))
}

/// Status, media type and the pointers (or parameters) of the errors.
pub(crate) fn problem(answer: &Answer) -> (u16, Vec<String>) {
    assert_eq!(answer.header("content-type"), Some("application/problem+json"), "{answer:?}");
    let body = answer.json();
    assert_eq!(body["status"], answer.status, "{body}");
    assert!(body["detail"].as_str().is_some_and(|text| !text.is_empty()), "{body}");
    let errors = body["errors"].as_array().cloned().unwrap_or_default();
    let at = |error: &Value| error["pointer"].as_str().or(error["parameter"].as_str()).expect("a place").to_owned();
    (answer.status, errors.iter().map(at).collect())
}
