//! `/docs`: the API reference, from the OpenAPI document of `/openapi.json`.

mod example;
mod operation;
mod schema;

use std::sync::Arc;

use axum::extract::State;
use maud::{Markup, html};
use serde_json::{Map, Value as Json};

use self::operation::Operation;
use super::site;
use super::visitor::Visitor;
use crate::http::{App, openapi};
use crate::page::Page;

pub(super) async fn reference(State(app): State<Arc<App>>, visitor: Visitor) -> Page {
    let document = openapi::document(&app);
    let groups = groups(&document);
    let schemas = document.pointer("/components/schemas").and_then(Json::as_object);
    let main = html! {
        div.docs {
            (contents(&groups, schemas))
            div.text {
                (introduction(&app, &document))
                @for group in &groups {
                    section id={ "tag-" (group.slug()) } aria-labelledby={ "tag-" (group.slug()) "-name" } {
                        div {
                            h2 id={ "tag-" (group.slug()) "-name" } { (group.tag) }
                            @if !group.description.is_empty() { p.soft { (group.description) } }
                        }
                        @for operation in &group.operations { (operation.article(&document)) }
                    }
                }
                section #schemas aria-labelledby="schemas-name" {
                    h2 #schemas-name { "Schemas" }
                    @for (name, schema) in schemas.into_iter().flatten() { (schema::article(name, schema)) }
                }
            }
        }
    };
    site::page(&visitor, "/docs", "API reference", main)
}

/// The operations of one tag.
struct Group<'d> {
    tag: &'d str,
    description: &'d str,
    operations: Vec<Operation<'d>>,
}

impl Group<'_> {
    fn slug(&self) -> String {
        self.tag.replace(' ', "-")
    }
}

fn groups(document: &Json) -> Vec<Group<'_>> {
    let mut groups: Vec<Group<'_>> = Vec::new();
    let described = |tag: &str| {
        let tags = document["tags"].as_array().into_iter().flatten();
        tags.filter(|entry| entry["name"] == tag).find_map(|entry| entry["description"].as_str()).unwrap_or_default()
    };
    for operation in Operation::all(document) {
        let tag = operation.tag();
        match groups.iter_mut().find(|group| group.tag == tag) {
            Some(group) => group.operations.push(operation),
            None => groups.push(Group { tag, description: described(tag), operations: vec![operation] }),
        }
    }
    groups
}

fn contents(groups: &[Group<'_>], schemas: Option<&Map<String, Json>>) -> Markup {
    html! {
        nav aria-label="On this page" {
            @for group in groups {
                details {
                    summary { (group.tag) }
                    ul {
                        @for operation in &group.operations {
                            li { a href={ "#" (operation.id()) } { (operation.summary()) } }
                        }
                    }
                }
            }
            details {
                summary { "Schemas" }
                ul {
                    @for name in schemas.into_iter().flat_map(|schemas| schemas.keys()) {
                        li { a href={ "#schema-" (name) } { (name) } }
                    }
                }
            }
        }
    }
}

fn introduction(app: &App, document: &Json) -> Markup {
    html! {
        section aria-labelledby="reference" {
            div.head {
                div {
                    h1 #reference { "API reference" }
                    p {
                        "Version " (document["info"]["version"].as_str().unwrap_or_default()) ", as an "
                        a href="/openapi.json" { "OpenAPI " (document["openapi"].as_str().unwrap_or_default()) " document" }
                        " for programs, too."
                    }
                }
            }
            p {
                "Bodies are JSON. An error is a " a href="#schema-Problem" { "problem" } " (RFC 9457) that names \
                 everything that is wrong. In the examples " code { "$BASE" } " is the address of this server."
            }
            @if app.auth.is_some() {
                p {
                    "Requests need an API key or a token, which the examples have in " code { "$KEY" } ", unless it says \
                     that everybody may ask."
                }
            } @else {
                p { "Authentication is off: everybody who reaches this server may use all of it." }
            }
        }
    }
}

/// A table with a caption, which scrolls by itself where it is too wide.
fn table(id: &str, caption: &str, heads: [&str; 3], rows: &Markup) -> Markup {
    html! {
        div.scroll role="region" aria-labelledby=(id) tabindex="0" {
            table {
                caption id=(id) { (caption) }
                thead { tr { @for head in heads { th scope="col" { (head) } } } }
                tbody { (rows) }
            }
        }
    }
}
