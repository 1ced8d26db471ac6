//! The list of a resource's records: search, order, pages.

use std::sync::Arc;

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, RawQuery, State};
use maud::{Markup, html};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::visitor::Visitor;
use super::{form, shown, site};
use crate::http::api::list::{self as lists, sortable};
use crate::http::api::{self, cursor};
use crate::http::{App, query};
use crate::model::{Field, Kind, Resource, Store};
use crate::page::Page;
use crate::problem::{Problem, Wrong};
use crate::store::{Condition, Operator, Row, Select};

/// Rows of a page.
const ROWS: usize = 25;
/// Most columns of the table.
const COLUMNS: usize = 8;
/// The order unless another is asked for: what is new stands first.
const ORDER: &str = "-created_at";

/// What was asked for.
struct Asked {
    search: String,
    sort: String,
}

impl Asked {
    /// The place of the list with other parameters.
    fn link(&self, resource: &Resource, sort: &str, more: &str) -> String {
        let encode = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
        let search = (!self.search.is_empty()).then(|| format!("q={}", encode(&self.search)));
        let sort = (sort != ORDER).then(|| format!("sort={}", encode(sort)));
        let more = (!more.is_empty()).then(|| more.to_owned());
        let query: Vec<String> = search.into_iter().chain(sort).chain(more).collect();
        if query.is_empty() {
            format!("/ui/{}", resource.name)
        } else {
            format!("/ui/{}?{}", resource.name, query.join("&"))
        }
    }
}

/// A page of rows and what is beyond it.
struct Rows {
    rows: Vec<Row>,
    /// It is not the first page, or was not when it was asked for.
    inside: bool,
    before: Option<String>,
    next: Option<String>,
}

pub(super) async fn show(
    State(app): State<Arc<App>>,
    visitor: Visitor,
    path: Result<Path<String>, PathRejection>,
    RawQuery(raw): RawQuery,
) -> Result<Page, Problem> {
    let resource = api::resource(&app, path.map(|Path(name)| name))?;
    let pairs = query::pairs(raw.as_deref())?;
    let asked = |name: &str| form::value(&pairs, name).filter(|value| !value.is_empty());
    let (search, sort) = (asked("q").unwrap_or_default().trim(), asked("sort").unwrap_or(ORDER));
    let mut query = lists::read(resource, &[("sort".to_owned(), sort.to_owned())])?.select;
    let list = Asked { search: search.to_owned(), sort: sort.to_owned() };
    let place = match (asked("cursor"), asked("before")) {
        (_, Some(text)) => Some((text, true)),
        (Some(text), None) => Some((text, false)),
        (None, None) => None,
    };
    if let Some((text, _)) = place {
        let wrong = || Problem::parameters(vec![Wrong::parameter("cursor", "is not one of this list in this order")]);
        query.after = Some(cursor::read(resource, &query.sort, text).ok_or_else(wrong)?);
    }
    query.any = matching(resource, search);
    let nothing = !search.is_empty() && query.any.is_empty();
    let rows = if nothing {
        Rows { rows: Vec::new(), inside: false, before: None, next: None }
    } else {
        read(&app, resource, query, place.map(|(_, back)| back)).await?
    };
    let notice = asked("done").filter(|done| *done == "deleted").map(|_| "The record is deleted.");
    Ok(page(&visitor, resource, &list, &rows, notice))
}

/// The rows behind a place (`back`: before it), or the first ones.
async fn read(app: &App, resource: &Resource, mut query: Select, back: Option<bool>) -> Result<Rows, Problem> {
    let sort = query.sort.clone();
    query.limit = u32::try_from(ROWS + 1).ok();
    if back == Some(true) {
        query.sort.iter_mut().for_each(|sort| sort.descending = !sort.descending);
    }
    let mut rows = app.database.select(resource, &query).await?;
    let more = rows.len() > ROWS;
    rows.truncate(ROWS);
    if back == Some(true) {
        rows.reverse();
    }
    let at = |row: Option<&Row>, there: bool| row.filter(|_| there).map(|row| cursor::write(resource, &sort, row));
    let (before, next) = match back {
        None => (false, more),
        Some(false) => (true, more),
        Some(true) => (more, true),
    };
    Ok(Rows { inside: back.is_some(), before: at(rows.first(), before), next: at(rows.last(), next), rows })
}

/// What a search finds: texts that contain it, and numbers, identifiers and ids that are it.
fn matching(resource: &Resource, search: &str) -> Vec<Condition> {
    if search.is_empty() {
        return Vec::new();
    }
    let columns = resource.columns();
    let columns = columns.iter().filter(|column| column.name == "id" || resource.field(column.name).is_some());
    let conditions = columns.filter_map(|column| {
        let operator = match column.store {
            Store::Text => Operator::Contains,
            Store::Int | Store::Float | Store::Uuid => Operator::Eq,
            Store::Bool | Store::Time | Store::Json => return None,
        };
        let value = resource.reader(column.name)?.read_plain(search).ok()?;
        Some(Condition { column: column.name.to_owned(), operator, value })
    });
    conditions.collect()
}

fn page(visitor: &Visitor, resource: &Resource, asked: &Asked, rows: &Rows, notice: Option<&str>) -> Page {
    let label = shown::label(&resource.name);
    let writes = visitor.writes(resource.access);
    let main = html! {
        (site::path(&[("/", "Resources")], &label))
        div.head {
            div {
                h1 { (label) }
                @if let Some(text) = &resource.description { p { (text) } }
            }
            @if writes { a.button.primary href={ "/ui/" (resource.name) "/new" } { "Add record" } }
        }
        @if let Some(notice) = notice { p.note role="status" { (notice) } }
        (tools(resource, asked))
        @if rows.rows.is_empty() { (empty(resource, asked, rows, writes)) } @else { (table(resource, asked, &rows.rows)) }
        (pager(resource, asked, rows))
    };
    site::page(visitor, site::RECORDS, &label, main)
}

fn tools(resource: &Resource, asked: &Asked) -> Markup {
    let mut orders: Vec<(String, String)> =
        [(ORDER, "Newest first"), ("created_at", "Oldest first"), ("-updated_at", "Changed last first")]
            .map(|(sort, text)| (sort.to_owned(), text.to_owned()))
            .to_vec();
    for field in resource.fields.iter().filter(|field| sortable(resource, &field.name)) {
        let label = shown::label(&field.name);
        orders.push((field.name.clone(), format!("{label}, ascending")));
        orders.push((format!("-{}", field.name), format!("{label}, descending")));
    }
    if !orders.iter().any(|(sort, _)| *sort == asked.sort) {
        orders.push((asked.sort.clone(), asked.sort.clone()));
    }
    html! {
        form.tools role="search" action={ "/ui/" (resource.name) } {
            div {
                label for="search" { "Search" }
                input #search type="search" name="q" value=(asked.search) autocomplete="off" spellcheck="false";
            }
            div.order {
                label for="order" { "Order" }
                select #order name="sort" {
                    @for (sort, text) in &orders { option value=(sort) selected[*sort == asked.sort] { (text) } }
                }
            }
            button { "Show" }
            @if !asked.search.is_empty() {
                a.button href=(Asked { search: String::new(), sort: String::new() }.link(resource, &asked.sort, "")) {
                    "Clear"
                }
            }
        }
    }
}

fn empty(resource: &Resource, asked: &Asked, rows: &Rows, writes: bool) -> Markup {
    html! {
        div.empty {
            @if !asked.search.is_empty() {
                p { "No record has “" (asked.search) "” in one of its fields." }
            } @else if rows.inside {
                p { "There are no records here." }
            } @else {
                p { "There are no records yet." }
                @if writes { p { a href={ "/ui/" (resource.name) "/new" } { "Add the first one" } } }
            }
        }
    }
}

/// The fields that have a column: the naming one first, those that are hard to read in one only where there is room.
fn columns(resource: &Resource) -> Vec<&Field> {
    let naming = shown::naming(resource);
    let long = |field: &Field| matches!(field.kind, Kind::Uuid | Kind::Text | Kind::Json);
    let other = |field: &&Field| naming.is_none_or(|naming| naming.name != field.name);
    let mut room = COLUMNS.saturating_sub(1);
    let mut wanted: Vec<&str> = Vec::new();
    for pass in [false, true] {
        for field in resource.fields.iter().filter(other).filter(|field| long(field) == pass) {
            if room > 0 {
                wanted.push(&field.name);
                room -= 1;
            }
        }
    }
    let rest = resource.fields.iter().filter(|field| wanted.contains(&field.name.as_str()));
    naming.into_iter().chain(rest).collect()
}

fn table(resource: &Resource, asked: &Asked, rows: &[Row]) -> Markup {
    let columns = columns(resource);
    let count = if rows.len() == 1 { "1 record".to_owned() } else { format!("{} records", rows.len()) };
    html! {
        div.scroll.list role="region" aria-labelledby="caption" tabindex="0" {
            table role="table" {
                caption #caption {
                    (count) " on this page"
                    @if !asked.search.is_empty() { " with “" (asked.search) "”" }
                }
                thead role="rowgroup" {
                    tr role="row" { @for field in &columns { (head(resource, asked, field)) } }
                }
                tbody role="rowgroup" {
                    @for row in rows {
                        tr role="row" {
                            @for (index, field) in columns.iter().enumerate() {
                                @if index == 0 {
                                    th scope="row" role="rowheader" {
                                        a href=(shown::place(resource, row)) { (shown::name_of(resource, row)) }
                                    }
                                } @else {
                                    td.number[numeric(field)] role="cell" data-label=(shown::label(&field.name)) {
                                        (shown::short(field, shown::value_of(resource, row, &field.name)))
                                    }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn numeric(field: &Field) -> bool {
    matches!(field.kind, Kind::Integer | Kind::Number)
}

/// A column's head: a link that sorts by it, and by it the other way round where it does already.
fn head(resource: &Resource, asked: &Asked, field: &Field) -> Markup {
    let (descending, first) = match asked.sort.split(',').next().unwrap_or_default() {
        sort if sort.starts_with('-') => (true, &sort[1..]),
        sort => (false, sort),
    };
    let sorted = (first == field.name).then_some(if descending { "descending" } else { "ascending" });
    let other = if sorted == Some("ascending") { format!("-{}", field.name) } else { field.name.clone() };
    let label = shown::label(&field.name);
    html! {
        th.number[numeric(field)] scope="col" role="columnheader" aria-sort=[sorted] {
            @if sortable(resource, &field.name) {
                a href=(asked.link(resource, &other, "")) { span.hidden { "Sort by " } (label) }
            } @else { (label) }
        }
    }
}

fn pager(resource: &Resource, asked: &Asked, rows: &Rows) -> Markup {
    if !rows.inside && rows.next.is_none() {
        return html! {};
    }
    html! {
        nav.pages aria-label="Pages" {
            @if rows.inside { a.button href=(asked.link(resource, &asked.sort, "")) { "First page" } }
            @if let Some(before) = &rows.before {
                a.button rel="prev" href=(asked.link(resource, &asked.sort, &format!("before={before}"))) {
                    "Previous page"
                }
            }
            @if let Some(next) = &rows.next {
                a.button rel="next" href=(asked.link(resource, &asked.sort, &format!("cursor={next}"))) { "Next page" }
            }
        }
    }
}
