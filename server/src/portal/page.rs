//! The page: the hardware, and whether it is as old as that.

use axum::http::StatusCode;
use maud::{Markup, html};

use super::cache::{List, Seen};
use crate::page::Page;

pub(super) fn page(seen: &Seen) -> Page {
    let main = html! {
        div.head { h1 { "Hardware" } }
        @match seen {
            Seen::Fresh { list, .. } => (table(list)),
            Seen::Stale(list) => {
                p.note.warning role="status" {
                    "The hardware service does not answer. This is what it said " (list.age.as_secs()) " seconds ago."
                }
                (table(list))
            }
            Seen::Nothing => p.note.error role="alert" { "The hardware service does not answer. Please try again." },
        }
    };
    let status = if matches!(seen, Seen::Nothing) { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::OK };
    Page { status, ..Page::new("Hardware", main) }
}

fn table(list: &List) -> Markup {
    if list.items.is_empty() {
        return html! { p { "There is no hardware." } };
    }
    html! {
        div.scroll role="region" aria-labelledby="what" tabindex="0" {
            table {
                caption #what { "What is to be had" }
                thead { tr { th scope="col" { "Provider" } th scope="col" { "Name" } th scope="col" { "Availability" } } }
                tbody {
                    @for item in list.items.iter() {
                        tr { td { (item.provider) } td { (item.name) } td { (item.availability) } }
                    }
                }
            }
        }
    }
}
