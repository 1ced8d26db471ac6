//! Errors as people see them. The routes answer problems as the API does, and this makes pages of them.

use axum::body::to_bytes;
use axum::http::{HeaderMap, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse as _, Response};
use maud::html;
use serde_json::Value as Json;

use super::visitor::Visitor;
use super::{login, site};
use crate::http::{App, guard};
use crate::page::Page;

/// Most bytes of a problem.
const LARGEST: usize = 1024 * 1024;

/// The page of a problem; any other answer as it is.
pub(super) async fn page(app: &App, method: &Method, uri: &Uri, headers: &HeaderMap, response: Response) -> Response {
    if response.headers().get(header::CONTENT_TYPE).is_none_or(|kind| kind != "application/problem+json") {
        return response;
    }
    let (mut parts, body) = response.into_parts();
    let detail = to_bytes(body, LARGEST).await.ok().and_then(|bytes| {
        let problem: Json = serde_json::from_slice(&bytes).ok()?;
        problem["detail"].as_str().map(str::to_owned)
    });
    // The error may be that nobody can say who it is.
    let nobody = Visitor { principal: None, asked: app.auth.is_some() };
    let visitor = Visitor::of(app, headers).await.unwrap_or(nobody);
    let detail = detail.unwrap_or_default();
    let mut page = if parts.status == StatusCode::UNAUTHORIZED {
        // What was sent is gone; the page it was sent from can be had again.
        let back = if *method == Method::GET { uri.to_string() } else { uri.path().to_owned() };
        let said = (detail != guard::NOBODY).then(|| super::shown::sentence(&detail));
        login::page(&visitor, &back, said.as_deref())
    } else {
        told(&visitor, parts.status, &detail)
    };
    page.status = parts.status;
    parts.headers.remove(header::CONTENT_TYPE);
    parts.headers.remove(header::CONTENT_LENGTH);
    let mut response = page.into_response();
    response.headers_mut().extend(parts.headers);
    response.extensions_mut().extend(parts.extensions);
    response
}

fn told(visitor: &Visitor, status: StatusCode, detail: &str) -> Page {
    let title = match status {
        StatusCode::NOT_FOUND => "Not found",
        StatusCode::FORBIDDEN => "Not allowed",
        StatusCode::SERVICE_UNAVAILABLE => "Not available right now",
        StatusCode::PAYLOAD_TOO_LARGE => "Too large",
        status if status.is_server_error() => "Something went wrong",
        _ => "This does not work",
    };
    let main = html! {
        div.panel {
            h1 { (title) }
            p.soft { (super::shown::sentence(detail)) }
            p.links { a href="/" { "All resources" } }
        }
    };
    site::page(visitor, "", title, main)
}
