//! One operation: what it takes, what it answers, how it is asked.

use maud::{Markup, html};
use serde_json::Value as Json;

use super::{example, schema, table};

const METHODS: [&str; 5] = ["get", "post", "put", "patch", "delete"];

/// An operation of the document.
pub(super) struct Operation<'d> {
    path: &'d str,
    method: &'d str,
    /// The parameters of all operations of the path, then its own.
    parameters: Vec<&'d Json>,
    value: &'d Json,
}

impl<'d> Operation<'d> {
    /// All, in the order of the document.
    pub(super) fn all(document: &'d Json) -> impl Iterator<Item = Self> {
        let paths = document["paths"].as_object().into_iter().flatten();
        paths.flat_map(|(path, item)| {
            let methods = METHODS.iter().filter_map(|method| item.get(*method).map(|value| (*method, value)));
            methods.map(move |(method, value)| {
                let list = |value: &'d Json| value["parameters"].as_array().into_iter().flatten();
                Self { path, method, parameters: list(item).chain(list(value)).collect(), value }
            })
        })
    }

    pub(super) fn tag(&self) -> &'d str {
        self.value["tags"][0].as_str().unwrap_or("other")
    }

    pub(super) fn id(&self) -> &'d str {
        self.value["operationId"].as_str().unwrap_or_default()
    }

    pub(super) fn summary(&self) -> &'d str {
        self.value["summary"].as_str().unwrap_or(self.path)
    }

    pub(super) fn article(&self, document: &Json) -> Markup {
        // Filters are many and need no words.
        let (filters, others): (Vec<&Json>, Vec<&Json>) = self
            .parameters
            .iter()
            .partition(|parameter| parameter["in"] == "query" && parameter["description"].is_null());
        let everybody = document.get("security").is_some() && self.value["security"] == Json::Array(Vec::new());
        html! {
            article id=(self.id()) aria-labelledby={ (self.id()) "-name" } {
                h3 id={ (self.id()) "-name" } {
                    span class={ "method " (self.method) } { (self.method.to_uppercase()) }
                    code { (self.path) }
                }
                p { (self.summary()) "." @if everybody { " Everybody may ask." } }
                @if !others.is_empty() { (parameters(self.id(), "Parameters", &others)) }
                @if !filters.is_empty() {
                    details {
                        summary { "Filters (" (filters.len()) ")" }
                        (parameters(self.id(), "Filters", &filters))
                    }
                }
                @if let Some(content) = self.value["requestBody"]["content"].as_object() {
                    div {
                        h4 { "Body" }
                        @for (kind, media) in content {
                            p { code { (kind) } ": " (schema::kind(&media["schema"])) }
                        }
                    }
                }
                (self.answers())
                div {
                    h4 { "Example" }
                    pre tabindex="0" { code { (self.curl(document, everybody)) } }
                }
            }
        }
    }

    fn answers(&self) -> Markup {
        let answers = self.value["responses"].as_object();
        let rows = html! {
            @for (status, answer) in answers.into_iter().flatten() {
                tr {
                    th scope="row" { (status) }
                    td { (body(answer)) }
                    td { (answer["description"].as_str().unwrap_or_default()) (headers(answer)) }
                }
            }
        };
        html! {
            details {
                summary { "Answers" }
                (table(&format!("{}-answers", self.id()), "Answers", ["Status", "Body", "Meaning"], &rows))
            }
        }
    }

    /// The request for a shell.
    fn curl(&self, document: &Json, everybody: bool) -> String {
        let mut path = self.path.to_owned();
        for parameter in self.parameters.iter().filter(|parameter| parameter["in"] == "path") {
            let name = parameter["name"].as_str().unwrap_or_default();
            let value = example::of(document, &parameter["schema"]);
            path = path.replace(&format!("{{{name}}}"), value.as_str().unwrap_or("1"));
        }
        let mut words = vec!["curl".to_owned()];
        if self.method != "get" {
            words.push(format!("-X {}", self.method.to_uppercase()));
        }
        words.push(format!("\"$BASE{path}\""));
        let mut command = words.join(" ");
        let mut add = |words: &str| command.push_str(&format!(" \\\n  {words}"));
        if document.get("security").is_some() && !everybody {
            add("-H \"Authorization: Bearer $KEY\"");
        }
        let body = self.value["requestBody"]["content"].as_object().and_then(|content| content.iter().next());
        if let Some((kind, media)) = body {
            add(&format!("-H 'Content-Type: {kind}'"));
            let body = example::of(document, &media["schema"]).to_string();
            add(&format!("-d '{}'", body.replace('\'', "'\\''")));
        }
        command
    }
}

fn body(answer: &Json) -> Markup {
    html! {
        @match answer["content"].as_object().and_then(|content| content.values().next()) {
            Some(media) => (schema::kind(&media["schema"])),
            None => span.none { "none" },
        }
    }
}

fn headers(answer: &Json) -> Markup {
    html! {
        @for (name, header) in answer["headers"].as_object().into_iter().flatten() {
            br;
            code { (name) } ": " (header["description"].as_str().unwrap_or_default())
        }
    }
}

fn parameters(id: &str, name: &str, all: &[&Json]) -> Markup {
    let rows = html! {
        @for parameter in all {
            tr {
                th scope="row" { code { (parameter["name"].as_str().unwrap_or_default()) } }
                td { (parameter["in"].as_str().unwrap_or_default()) }
                td { (schema::described(parameter["description"].as_str(), &parameter["schema"])) }
            }
        }
    };
    table(&format!("{id}-{}", name.to_lowercase()), name, ["Name", "In", "What it is"], &rows)
}
