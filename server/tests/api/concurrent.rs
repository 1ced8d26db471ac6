//! Many clients at once.

use std::thread;

use serde_json::{Value, json};

use crate::shelf::{Shelf, place};

pub(crate) fn one_of_many_updates_wins(url: &str) {
    let shelf = Shelf::open(url);
    let book = shelf.add(&json!({"title": "x", "extra": {"n": 0}}));
    for round in 1..=3 {
        let tag = format!("\"{round}\"");
        let update = |n: usize| {
            let headers = [("content-type", "application/json"), ("if-match", tag.as_str())];
            // Both ways of a patch: one statement, and reading the document first.
            let body = if n.is_multiple_of(2) { json!({"pages": n + 1}) } else { json!({"extra": {"n": n}}) };
            shelf.server.send("PATCH", &place(&book), &headers, body.to_string().as_bytes()).status
        };
        let statuses: Vec<u16> = thread::scope(|scope| {
            let clients: Vec<_> = (0..100).map(|n| scope.spawn(move || update(n))).collect();
            clients.into_iter().map(|client| client.join().expect("an answer")).collect()
        });
        assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 1, "{statuses:?}");
        assert_eq!(statuses.iter().filter(|status| **status == 412).count(), 99, "{statuses:?}");
    }
}

pub(crate) fn one_of_many_equal_requests_makes_the_row(url: &str) {
    let shelf = Shelf::open(url);
    let post = || {
        let headers = [("content-type", "application/json"), ("idempotency-key", "k")];
        let answer = shelf.server.send("POST", "/api/books", &headers, br#"{"title": "x", "isbn": "1"}"#);
        assert_eq!(answer.status, 201, "{answer:?}");
        answer.json()
    };
    let answers: Vec<Value> = thread::scope(|scope| {
        let clients: Vec<_> = (0..30).map(|_| scope.spawn(post)).collect();
        clients.into_iter().map(|client| client.join().expect("an answer")).collect()
    });
    assert!(answers.windows(2).all(|pair| pair[0] == pair[1]));
    assert_eq!(shelf.titles("").len(), 1);
}
