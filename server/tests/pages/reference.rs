//! `/docs`: all of the OpenAPI document, and examples that work.

use serde_json::Value;

use crate::site::{Site, text};

#[test]
fn the_reference_has_every_operation_and_schema() {
    let site = Site::open();
    let page = site.page("/docs");
    let document = site.server.get("/openapi.json").json();
    let mut count = 0;
    for (path, item) in document["paths"].as_object().expect("paths") {
        for (method, operation) in
            item.as_object().expect("operations").iter().filter(|(name, _)| *name != "parameters")
        {
            let id = operation["operationId"].as_str().expect("an id");
            let (_, article) = page.split_once(&format!("<article id=\"{id}\"")).expect(id);
            let (article, _) = article.split_once("</article>").expect("its end");
            let article = text(article);
            count += 1;
            assert!(article.contains(&method.to_uppercase()) && article.contains(&format!(">{path}</code>")), "{id}");
            let own = operation["parameters"].as_array().into_iter().flatten();
            for parameter in own.chain(item["parameters"].as_array().into_iter().flatten()) {
                assert!(
                    article.contains(&format!("<code>{}</code>", parameter["name"].as_str().expect("a name"))),
                    "{id}"
                );
            }
            for (status, answer) in operation["responses"].as_object().expect("answers") {
                assert!(article.contains(&format!("<th scope=\"row\">{status}</th>")), "{id} {status}");
                assert!(article.contains(answer["description"].as_str().expect("words")), "{id} {status}");
            }
            assert!(article.contains("curl "), "{id}");
        }
    }
    assert!(count > 30, "{count}");
    for (name, schema) in document["components"]["schemas"].as_object().expect("schemas") {
        let (_, article) = page.split_once(&format!("<article id=\"schema-{name}\"")).expect(name);
        let (article, _) = article.split_once("</article>").expect("its end");
        for property in schema["properties"].as_object().expect("properties").keys() {
            assert!(article.contains(&format!("<code>{property}</code>")), "{name}.{property}");
        }
    }
}

/// The requests of the examples: method, path, body.
fn examples(page: &str) -> Vec<(String, String, String)> {
    let commands = page.split("<code>curl ").skip(1).map(|rest| text(rest.split_once("</code>").expect("an end").0));
    commands
        .map(|command| {
            let method =
                command.strip_prefix("-X ").and_then(|rest| rest.split(' ').next()).unwrap_or("GET").to_owned();
            let (_, path) = command.split_once("\"$BASE").expect("a path");
            let body = command.split_once("-d '").map_or("", |(_, rest)| rest.strip_suffix('\'').expect("an end"));
            (method, path.split_once('"').expect("an end").0.to_owned(), body.to_owned())
        })
        .collect()
}

#[test]
fn the_examples_are_what_the_server_takes() {
    let site = Site::open();
    let examples = examples(&site.page("/docs"));
    assert!(examples.len() > 30, "{}", examples.len());
    for (method, path, body) in &examples {
        let answer = site.server.send(method, path, &[("content-type", "application/json")], body.as_bytes());
        // No row has the examples' id, and two contracts make the same employee.
        let good: &[u16] = match method.as_str() {
            _ if path.contains("00000000-") => &[404],
            _ if path.contains('@') => &[200, 204],
            "POST" if path.contains("employees") => &[201, 409],
            "POST" if path == "/v1" => &[200],
            "POST" => &[201],
            _ => &[200],
        };
        assert!(good.contains(&answer.status), "{method} {path} {body}: {answer:?}");
    }
    let made = site.server.get("/api/books").json();
    assert_eq!(made["items"].as_array().map(Vec::len), Some(1), "{made}");
    assert_eq!(made["items"][0]["title"], Value::from("text"));
}
