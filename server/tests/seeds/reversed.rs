//! Seed 004: reversed and in capitals.

use serde_json::json;

use crate::common::Server;
use crate::common::databases::{Database as _, Sqlite};
use crate::curl;

#[test]
fn data_comes_back_reversed_and_in_capitals() {
    let database = Sqlite::start();
    let server = Server::start(&[("DATABASE_URL", &database.url())], &[]);
    // As the seed's README has it.
    let arguments = ["--header", "Content-Type: application/json", "-X", "POST", "-d", r#"{"data": "hello, world!"}"#];
    assert_eq!(curl(&server, &arguments, "/v1"), (200, r#"{"data":"!DLROW ,OLLEH"}"#.into()));

    let post = |body: &str| server.send("POST", "/v1", &[], body.as_bytes());
    assert_eq!(
        post(&json!({"data": "u\u{308}ber \u{1f1e9}\u{1f1ea}"}).to_string()).json(),
        json!({"data": "\u{1f1e9}\u{1f1ea} REBU\u{308}"})
    );
    for (body, status) in
        [("{}", 422), (r#"{"data": 1}"#, 422), (r#"{"data": null}"#, 422), ("[]", 400), ("hello", 400)]
    {
        let answer = post(body);
        assert_eq!(answer.status, status, "{body}");
        assert!(answer.json()["message"].is_string(), "{body}");
    }
    assert_eq!(server.get("/v1").status, 405);
}
