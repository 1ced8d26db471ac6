//! What every page of the service has around it.

use maud::{Markup, html};

use super::visitor::Visitor;
use crate::page::Page;

/// A page with the name of the service, where else one can go, and who looks. `here` is the page's place, or that of what
/// it belongs to.
pub(super) fn page(visitor: &Visitor, here: &str, title: &str, main: Markup) -> Page {
    let header = html! {
        div {
            a.brand href="/" { "crud-server" }
            nav aria-label="Main" {
                @for (place, name) in [("/", "Resources"), ("/docs", "API reference")] {
                    a href=(place) aria-current=[current(here, place)] { (name) }
                }
            }
            @if visitor.asked { (who(visitor)) }
        }
    };
    let title = if title.is_empty() { "crud-server".to_owned() } else { format!("{title} · crud-server") };
    Page { header: Some(header), ..Page::new(title, main) }
}

/// Whether a link leads to this page, or to what it is a part of.
fn current(here: &str, place: &str) -> Option<&'static str> {
    match (here, place) {
        (here, place) if here == place => Some("page"),
        (RECORDS, "/") => Some("true"),
        _ => None,
    }
}

/// Where the pages of records are.
pub(super) const RECORDS: &str = "/ui";

fn who(visitor: &Visitor) -> Markup {
    html! {
        div.who {
            @if let Some(principal) = &visitor.principal {
                span { (principal.name) " (" (principal.role.name()) ")" }
                form method="post" action="/logout" { button.plain { "Log out" } }
            } @else {
                a href="/login" { "Log in" }
            }
        }
    }
}

/// Where a page is: links to what is above it, and its own name.
pub(super) fn path(above: &[(&str, &str)], own: &str) -> Markup {
    html! {
        nav.path aria-label="Breadcrumb" {
            ol {
                @for (place, name) in above { li { a href=(place) { (name) } } }
                li aria-current="page" { (own) }
            }
        }
    }
}
