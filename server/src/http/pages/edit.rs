//! Adding a record and changing one.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Redirect, Response};
use maud::{Markup, html};
use uuid::Uuid;

use super::record::{self, Filled};
use super::visitor::Visitor;
use super::{form, shown};
use crate::auth::Role;
use crate::http::api::{self, Segments};
use crate::http::{App, guard, query};
use crate::model::{Resource, Value};
use crate::page::Page;
use crate::problem::Problem;
use crate::records;
use crate::store::Row;

type Segment = Result<Path<String>, PathRejection>;

pub(super) async fn new(State(app): State<Arc<App>>, visitor: Visitor, path: Segment) -> Result<Page, Problem> {
    let resource = api::resource(&app, path.map(|Path(name)| name))?;
    must_write(&visitor, resource)?;
    Ok(Filled::new(resource).page(&visitor, None))
}

pub(super) async fn create(
    State(app): State<Arc<App>>,
    visitor: Visitor,
    path: Segment,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let resource = api::resource(&app, path.map(|Path(name)| name))?;
    let pairs = form::pairs(&app, &headers, body).await?;
    let texts = form::texts(resource, &pairs);
    let id = form::id(&pairs);
    let made = match form::new_row(resource, &texts) {
        Ok(row) => make(&app, resource, row, id).await,
        Err(problem) => Err(problem),
    };
    match made {
        Ok(row) => Ok(Redirect::to(&format!("{}?done=added", shown::place(resource, &row))).into_response()),
        Err(problem) => {
            let new = Filled::new(resource);
            again(&visitor, Filled { texts, id: id.unwrap_or(new.id), ..new }, problem)
        }
    }
}

/// Adds the row with the id of its form. A form that comes again (a double click, a page loaded anew) finds its record; where it says
/// something else by now, it makes another.
async fn make(app: &App, resource: &Resource, mut row: Row, id: Option<Uuid>) -> Result<Row, Problem> {
    let add = async |row: &Row| records::create(&app.database, resource, std::slice::from_ref(row)).await;
    let Some(id) = id else { return add(&row).await.map(|()| row) };
    let own = std::mem::replace(&mut row[0], Value::Uuid(id));
    let Err(problem) = add(&row).await else { return Ok(row) };
    match records::find(&app.database, resource, id).await? {
        Some(stored) if form::same(resource, &stored, &row) => Ok(stored),
        Some(_) => {
            row[0] = own;
            add(&row).await.map(|()| row)
        }
        None => Err(problem),
    }
}

pub(super) async fn existing(
    State(app): State<Arc<App>>,
    visitor: Visitor,
    path: Segments,
    RawQuery(raw): RawQuery,
) -> Result<Page, Problem> {
    let (resource, id) = api::item(&app, path)?;
    let row = record::stored(&app, resource, id).await?;
    if !visitor.writes(resource.access) {
        return Ok(record::read_only(&visitor, resource, &row));
    }
    let pairs = query::pairs(raw.as_deref())?;
    let notice = form::value(&pairs, "done").and_then(|done| notice(resource, done));
    Ok(Filled::of(resource, &row).page(&visitor, notice.as_ref()))
}

pub(super) async fn save(
    State(app): State<Arc<App>>,
    visitor: Visitor,
    path: Segments,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let (resource, id) = api::item(&app, path)?;
    let pairs = form::pairs(&app, &headers, body).await?;
    let version = form::version(&pairs)?;
    let row = record::stored(&app, resource, id).await?;
    let texts = form::texts(resource, &pairs);
    if api::version(&row) != version {
        return Ok(lost(&visitor, resource, &row, texts));
    }
    let set = match form::changes(resource, &row, &texts) {
        Ok(set) => set,
        Err(problem) => return again(&visitor, Filled { texts, ..Filled::of(resource, &row) }, problem),
    };
    let done = |word: &str| Redirect::to(&format!("{}?done={word}", shown::place(resource, &row))).into_response();
    if set.is_empty() {
        return Ok(done("unchanged"));
    }
    match records::update(&app.database, resource, &set, &api::in_version(id, version)).await {
        Ok(Some(_)) => Ok(done("saved")),
        // Somebody was faster between reading and writing.
        Ok(None) => {
            let row = record::stored(&app, resource, id).await?;
            Ok(lost(&visitor, resource, &row, texts))
        }
        Err(problem) => again(&visitor, Filled { texts, ..Filled::of(resource, &row) }, problem),
    }
}

/// 403 for who may look, but not write.
pub(super) fn must_write(visitor: &Visitor, resource: &Resource) -> Result<(), Problem> {
    let role = visitor.principal.as_ref().map_or(Role::Public, |principal| principal.role);
    if visitor.writes(resource.access) {
        Ok(())
    } else if visitor.principal.is_none() {
        Err(guard::nobody())
    } else {
        Err(guard::forbidden(resource.access.write, role))
    }
}

/// The form with what was sent and what is wrong with it; a problem that is not of its fields is a page of its own.
fn again(visitor: &Visitor, filled: Filled<'_>, problem: Problem) -> Result<Response, Problem> {
    if problem.wrong.is_empty() {
        return Err(problem);
    }
    let status = problem.status;
    let page = Filled { wrong: problem.wrong, ..filled }.page(visitor, None);
    Ok(Page { status, ..page }.into_response())
}

/// 409: the form with what was sent and what is stored.
fn lost(visitor: &Visitor, resource: &Resource, row: &Row, texts: Vec<String>) -> Response {
    let page = Filled { texts, lost: true, ..Filled::of(resource, row) }.page(visitor, None);
    Page { status: StatusCode::CONFLICT, ..page }.into_response()
}

fn notice(resource: &Resource, done: &str) -> Option<Markup> {
    let text = match done {
        "added" => "The record is added.",
        "saved" => "The changes are saved.",
        "unchanged" => "Nothing was changed, so nothing is saved.",
        _ => return None,
    };
    Some(html! {
        p.note role="status" {
            (text) " "
            @if done == "added" { a href={ "/ui/" (resource.name) "/new" } { "Add another" } " · " }
            a href={ "/ui/" (resource.name) } { "All " (shown::label(&resource.name).to_lowercase()) }
        }
    })
}
