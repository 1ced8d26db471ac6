//! `/`: what there is. Programs get it as JSON, browsers as a page.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse as _, Response};
use maud::html;
use serde_json::json;

use super::visitor::Visitor;
use super::{shown, site};
use crate::http::App;
use crate::page::Page;
use crate::problem::Problem;

pub(super) async fn contents(State(app): State<Arc<App>>, headers: HeaderMap) -> Result<Response, Problem> {
    let mut response =
        if wants_page(&headers) { page(&app, &Visitor::of(&app, &headers).await?).into_response() } else { json(&app) };
    response.headers_mut().insert(header::VARY, HeaderValue::from_static("accept"));
    Ok(response)
}

fn json(app: &App) -> Response {
    let names: Vec<String> = app.resources.iter().map(|resource| format!("/api/{}", resource.name)).collect();
    Json(json!({
        "service": "crud-server",
        "version": app.frame.version,
        "resources": names,
        "reference": "/openapi.json",
        "operations": ["/healthz", "/readyz", "/version", "/metrics"],
    }))
    .into_response()
}

fn page(app: &App, visitor: &Visitor) -> Page {
    let main = html! {
        div.head {
            div {
                h1 { "Resources" }
                p { "What this server keeps. Choose one to look at its records, or to add and change them." }
            }
        }
        @if app.resources.is_empty() {
            div.empty { p { "No resources are declared." } }
        } @else {
            ul.cards {
                @for resource in &app.resources {
                    li {
                        h2 { a href={ "/ui/" (resource.name) } { (shown::label(&resource.name)) } }
                        @if let Some(text) = &resource.description { p { (text) } }
                    }
                }
            }
        }
        p.links {
            span { "Version " (app.frame.version) }
            a href="/docs" { "API reference" }
            a href="/openapi.json" { "OpenAPI document" }
            a href="/healthz" { "Health" }
            a href="/readyz" { "Readiness" }
            a href="/metrics" { "Metrics" }
        }
    };
    site::page(visitor, "/", "", main)
}

/// Whether `Accept` puts a page before JSON (RFC 9110, section 12.5.1). Who takes anything is a program.
pub(super) fn wants_page(headers: &HeaderMap) -> bool {
    let (mut page, mut json) = (0.0, 0.0);
    for line in headers.get_all(header::ACCEPT).iter().filter_map(|line| line.to_str().ok()) {
        for range in line.split(',') {
            let mut parts = range.split(';').map(str::trim);
            let kind = parts.next().unwrap_or_default().to_ascii_lowercase();
            let weight = parts.find_map(|part| part.strip_prefix("q=")).map_or(1.0, |q| q.parse().unwrap_or(0.0));
            match kind.as_str() {
                "text/html" | "application/xhtml+xml" => page = f64::max(page, weight),
                "application/json" => json = f64::max(json, weight),
                _ => {}
            }
        }
    }
    page > json
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn browsers_get_pages_and_programs_get_json() {
        let page = |accept: &'static str| {
            wants_page(&HeaderMap::from_iter([(header::ACCEPT, HeaderValue::from_static(accept))]))
        };
        assert!(page("text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8"));
        assert!(page("application/json;q=0.5, text/html"));
        for program in ["", "*/*", "application/json", "text/html;q=0.5, application/json", "text/html;q=0"] {
            assert!(!page(program), "{program}");
        }
        assert!(!wants_page(&HeaderMap::new()));
    }
}
