//! `/login` takes an API key (or a token) and keeps it in a cookie that only these pages look at: no script can read it,
//! no other site's page can make the browser send it, and it ends with the browser. `/logout` forgets it.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Redirect, Response};
use maud::html;

use super::visitor::{PLAIN, SECURE, Visitor};
use super::{form, site};
use crate::http::{App, query};
use crate::page::Page;
use crate::problem::Problem;

/// Most characters of a key or token: what every browser keeps in a cookie.
const LONGEST: usize = 3800;

pub(super) async fn form(visitor: Visitor, RawQuery(raw): RawQuery) -> Result<Response, Problem> {
    let pairs = query::pairs(raw.as_deref())?;
    let back = back(form::value(&pairs, "next").unwrap_or_default());
    if !visitor.asked {
        return Ok(Redirect::to(back).into_response());
    }
    Ok(page(&visitor, back, None).into_response())
}

pub(super) async fn login(State(app): State<Arc<App>>, headers: HeaderMap, body: Body) -> Result<Response, Problem> {
    let pairs = form::pairs(&app, &headers, body).await?;
    let back = back(form::value(&pairs, "next").unwrap_or_default());
    let key = form::value(&pairs, "key").unwrap_or_default().trim();
    let Some(authority) = &app.auth else {
        return Ok(Redirect::to(back).into_response());
    };
    let fits = key.len() <= LONGEST && key.bytes().all(|byte| byte.is_ascii_graphic() && byte != b';' && byte != b',');
    let known = !key.is_empty() && fits && authority.check(&app.database, key).await?.is_some();
    if !known {
        let nobody = Visitor { principal: None, asked: true };
        let said = match key.len() {
            0 => "Enter a key.",
            length if length > LONGEST => "This is too long for a cookie: take an API key.",
            _ => "This key is not known: it may be mistyped or revoked.",
        };
        let page = Page { status: StatusCode::UNPROCESSABLE_ENTITY, ..page(&nobody, back, Some(said)) };
        return Ok(page.into_response());
    }
    // Where the browser is says `Origin`, which it writes itself; proxies need not be asked.
    let https = headers.get(header::ORIGIN).is_some_and(|origin| origin.as_bytes().starts_with(b"https://"));
    let cookie = if https {
        format!("{SECURE}={key}; Path=/; HttpOnly; SameSite=Strict; Secure")
    } else {
        format!("{PLAIN}={key}; Path=/; HttpOnly; SameSite=Strict")
    };
    let mut cookie = HeaderValue::try_from(cookie).map_err(|_| Problem::bad("the key is no text for a cookie"))?;
    cookie.set_sensitive(true);
    let mut response = Redirect::to(back).into_response();
    response.headers_mut().insert(header::SET_COOKIE, cookie);
    Ok(response)
}

pub(super) async fn logout() -> Response {
    let mut response = Redirect::to("/").into_response();
    for gone in [
        "crud_key=; Path=/; HttpOnly; SameSite=Strict; Max-Age=0",
        "__Host-crud_key=; Path=/; HttpOnly; SameSite=Strict; Secure; Max-Age=0",
    ] {
        response.headers_mut().append(header::SET_COOKIE, HeaderValue::from_static(gone));
    }
    response
}

/// Where to go afterwards: a page of this server, or its first.
fn back(place: &str) -> &str {
    let own = place == "/docs" || place.starts_with("/ui/");
    if own && place.bytes().all(|byte| byte.is_ascii_graphic()) { place } else { "/" }
}

/// The form; `said` is why it is shown again.
pub(super) fn page(visitor: &Visitor, next: &str, said: Option<&str>) -> Page {
    let next = back(next);
    let main = html! {
        div.head { h1 { "Log in" } }
        @if let Some(principal) = &visitor.principal {
            p.note role="status" { "You are logged in as " (principal.name) " (" (principal.role.name()) ")." }
        }
        form.panel method="post" action="/login" {
            input type="hidden" name="next" value=(next);
            div.field.bad[said.is_some()] {
                label for="key" { "API key" }
                p.hint #key-hint {
                    "One that " code { "crud-server key create" } " made, or a token. \
                     It is kept in a cookie until the browser is closed, or until you log out."
                }
                @if let Some(said) = said { p.wrong #key-error role="alert" { (said) } }
                input #key type="password" name="key" required autocomplete="current-password" spellcheck="false"
                    aria-invalid=[said.map(|_| "true")]
                    aria-describedby=(if said.is_some() { "key-hint key-error" } else { "key-hint" });
            }
            div.actions {
                button.primary { "Log in" }
                @if next != "/" { a href=(next) { "I am logged in already" } }
            }
        }
    };
    site::page(visitor, "/login", if said.is_some() { "Error: log in" } else { "Log in" }, main)
}

#[cfg(test)]
mod tests {
    use super::back;

    #[test]
    fn after_the_login_one_stays_on_this_server() {
        for place in ["/ui/books?q=a%20b&sort=-title", "/docs"] {
            assert_eq!(back(place), place);
        }
        for place in ["", "//evil.example.org", "https://evil.example.org", "/\\evil", "/ui/\r\nx: y", "/logout", "ui/"]
        {
            assert_eq!(back(place), "/", "{place}");
        }
    }
}
