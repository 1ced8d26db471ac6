//! The one frame of every HTML page: its head, its style, and the headers that keep a browser from doing anything else
//! with it. Pages load nothing from anywhere and have no scripts.

use std::sync::LazyLock;

use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use maud::{DOCTYPE, Markup, PreEscaped, html};
use sha2::{Digest as _, Sha256};

const STYLE: &str = include_str!("style.css");

/// A square of the accent's colour, so that no browser asks for /favicon.ico.
const ICON: &str = "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 8 8'%3E\
    %3Crect width='8' height='8' rx='2' fill='%230f6b5c'/%3E%3C/svg%3E";

/// Nothing but the page's own style (by its hash) and icon; forms go to this server only; nobody may frame it.
static POLICY: LazyLock<HeaderValue> = LazyLock::new(|| {
    let hash = STANDARD.encode(Sha256::digest(STYLE));
    let policy = format!(
        "default-src 'none'; style-src 'sha256-{hash}'; img-src data:; form-action 'self'; base-uri 'none'; \
         frame-ancestors 'none'"
    );
    HeaderValue::try_from(policy).expect("ASCII")
});

/// The other headers of a page. The referrer stays within this server, and is not `no-referrer`: with that, browsers send
/// `Origin: null` with a form, which is what tells a form of these pages from another site's.
const HEADERS: [(HeaderName, &str); 6] = [
    (header::CACHE_CONTROL, "no-store"),
    (header::REFERRER_POLICY, "same-origin"),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
];

/// A page.
#[derive(Debug)]
pub struct Page {
    /// The status of the answer.
    pub status: StatusCode,
    /// What the window is called.
    pub title: String,
    /// What stands above the page: its name, where else one can go.
    pub header: Option<Markup>,
    /// What it is about, with the one `h1`.
    pub main: Markup,
}

impl Page {
    /// 200, without a header.
    pub fn new(title: impl Into<String>, main: Markup) -> Self {
        Self { status: StatusCode::OK, title: title.into(), header: None, main }
    }

    fn html(&self) -> Markup {
        html! {
            (DOCTYPE)
            html lang="en" {
                head {
                    meta charset="utf-8";
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    meta name="color-scheme" content="light dark";
                    title { (self.title) }
                    link rel="icon" href=(ICON);
                    style { (PreEscaped(STYLE)) }
                }
                body {
                    @if let Some(header) = &self.header {
                        a.skip href="#main" { "Skip to the content" }
                        header.top { (header) }
                    }
                    main #main tabindex="-1" { (self.main) }
                }
            }
        }
    }
}

impl IntoResponse for Page {
    fn into_response(self) -> Response {
        let mut response = (self.status, Html(self.html().into_string())).into_response();
        let headers = response.headers_mut();
        for (name, value) in HEADERS {
            headers.insert(name, HeaderValue::from_static(value));
        }
        headers.insert(header::CONTENT_SECURITY_POLICY, POLICY.clone());
        response
    }
}
