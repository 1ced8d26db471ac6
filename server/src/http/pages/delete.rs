//! Deleting a record: a page that asks, and its form.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Redirect, Response};
use maud::html;

use super::visitor::Visitor;
use super::{edit, form, record, shown, site};
use crate::http::App;
use crate::http::api::{self, Segments};
use crate::model::Resource;
use crate::page::Page;
use crate::problem::Problem;
use crate::store::Row;

pub(super) async fn ask(State(app): State<Arc<App>>, visitor: Visitor, path: Segments) -> Result<Page, Problem> {
    let (resource, id) = api::item(&app, path)?;
    edit::must_write(&visitor, resource)?;
    let row = record::stored(&app, resource, id).await?;
    Ok(question(&visitor, resource, &row, false))
}

pub(super) async fn delete(
    State(app): State<Arc<App>>,
    visitor: Visitor,
    path: Segments,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let (resource, id) = api::item(&app, path)?;
    let version = form::version(&form::pairs(&app, &headers, body).await?)?;
    if app.database.delete(resource, &api::in_version(id, version)).await? > 0 {
        return Ok(Redirect::to(&format!("/ui/{}?done=deleted", resource.name)).into_response());
    }
    let row = record::stored(&app, resource, id).await?;
    let page = question(&visitor, resource, &row, true);
    Ok(Page { status: StatusCode::CONFLICT, ..page }.into_response())
}

/// `changed`: the row is not any more what the person was asked about.
fn question(visitor: &Visitor, resource: &Resource, row: &Row, changed: bool) -> Page {
    let (label, name, place) =
        (shown::label(&resource.name), shown::name_of(resource, row), shown::place(resource, row));
    let main = html! {
        (site::path(&[("/", "Resources"), (&format!("/ui/{}", resource.name), &label), (&place, &name)], "Delete"))
        div.head { h1 { "Delete “" (name) "”?" } }
        @if changed {
            div.note.warning role="alert" {
                h2 { "Somebody else changed this record meanwhile" }
                p { "It is not deleted. This is what is stored now." }
            }
        }
        form.panel method="post" action={ (place) "/delete" } {
            input type="hidden" name=(form::VERSION) value=(api::version(row));
            p.field { "This cannot be undone." }
            (record::values(resource, row))
            div.actions {
                button.danger.sure { "Delete" }
                a.button href=(place) { "Keep it" }
            }
        }
    };
    site::page(visitor, site::RECORDS, &format!("Delete {name} · {label}"), main)
}
