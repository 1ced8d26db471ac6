//! The page of one record: a form for who may change it, else its values.

use axum::http::StatusCode;
use maud::{Markup, html};
use uuid::Uuid;

use super::input::{self, Shown};
use super::visitor::Visitor;
use super::{form, shown, site};
use crate::http::{App, api};
use crate::model::Resource;
use crate::page::Page;
use crate::problem::{At, Problem, Wrong};
use crate::records;
use crate::store::Row;

/// The record as it is stored; 404 where it is not.
pub(super) async fn stored(app: &App, resource: &Resource, id: Uuid) -> Result<Row, Problem> {
    let gone = || Problem::new(StatusCode::NOT_FOUND, "this record is not there, or not any more");
    records::find(&app.database, resource, id).await?.ok_or_else(gone)
}

/// What the form of a record shows.
pub(super) struct Filled<'a> {
    pub(super) resource: &'a Resource,
    /// The stored row; none for a new one.
    pub(super) row: Option<&'a Row>,
    /// The id that a new one will have.
    pub(super) id: Uuid,
    /// What the inputs hold.
    pub(super) texts: Vec<String>,
    /// What is wrong.
    pub(super) wrong: Vec<Wrong>,
    /// Somebody else changed the row meanwhile: what is stored now stands beside what was written.
    pub(super) lost: bool,
}

impl<'a> Filled<'a> {
    /// A form for a new row: the defaults.
    pub(super) fn new(resource: &'a Resource) -> Self {
        let text = |field: &crate::model::Field| {
            let value = field.default.clone().unwrap_or(crate::model::Value::Null);
            form::text_of(field, &value)
        };
        let texts = resource.fields.iter().map(text).collect();
        Self { resource, row: None, id: Uuid::now_v7(), texts, wrong: Vec::new(), lost: false }
    }

    /// A form with what is stored.
    pub(super) fn of(resource: &'a Resource, row: &'a Row) -> Self {
        let texts = resource.fields.iter().zip(row.iter().skip(1)).map(|(field, value)| form::text_of(field, value));
        Self { resource, row: Some(row), id: Uuid::nil(), texts: texts.collect(), wrong: Vec::new(), lost: false }
    }

    fn rule(&self, name: &str) -> Option<&str> {
        let of = |wrong: &&Wrong| matches!(&wrong.at, At::Field(field) if field == name);
        self.wrong.iter().find(of).map(|wrong| wrong.rule.as_str())
    }

    fn fields(&self) -> Markup {
        html! {
            @for (index, (field, text)) in self.resource.fields.iter().zip(&self.texts).enumerate() {
                @let stored = self.row.filter(|_| self.lost).and_then(|row| row.get(index + 1));
                @let stored = stored.map(|value| form::text_of(field, value)).filter(|stored| stored != text);
                (input::field(field, &Shown { text, wrong: self.rule(&field.name), stored: stored.as_deref() }))
            }
        }
    }

    /// What is wrong, with a link to each field.
    fn summary(&self, own: &str) -> Markup {
        html! {
            @if self.lost {
                div.note.warning role="alert" {
                    h2 { "Somebody else changed this record meanwhile" }
                    p {
                        "Nothing is saved yet. Below, what is stored now stands beside what you wrote. Save again to store \
                         what you wrote, or " a href=(own) { "take what is stored" } "."
                    }
                }
            }
            @if !self.wrong.is_empty() {
                div.note.error role="alert" {
                    h2 { "Nothing is saved yet" }
                    ul {
                        @for field in &self.resource.fields {
                            @if let Some(rule) = self.rule(&field.name) {
                                li { a href={ "#" (input::id(field)) } { (shown::label(&field.name)) " " (rule) } }
                            }
                        }
                    }
                }
            }
        }
    }

    /// The page, with a notice of what was done before.
    pub(super) fn page(&self, visitor: &Visitor, notice: Option<&Markup>) -> Page {
        let (resource, label) = (self.resource, shown::label(&self.resource.name));
        let list = format!("/ui/{}", resource.name);
        let own = self.row.map_or_else(|| format!("{list}/new"), |row| shown::place(resource, row));
        let name = self.row.map_or_else(|| "New record".to_owned(), |row| shown::name_of(resource, row));
        let main = html! {
            (site::path(&[("/", "Resources"), (&list, &label)], &name))
            div.head { h1 { (name) } }
            @if let Some(notice) = notice { (notice) }
            (self.summary(&own))
            div.record {
                form.panel method="post" action=(own) autocomplete="off" {
                    @match self.row {
                        Some(row) => input type="hidden" name=(form::VERSION) value=(api::version(row));,
                        None => input type="hidden" name=(form::ID) value=(self.id);,
                    }
                    (self.fields())
                    div.actions {
                        button.primary { @if self.row.is_some() { "Save" } @else { "Add record" } }
                        a.button href=(list) { "Cancel" }
                        @if self.row.is_some() { a.button.danger.away href={ (own) "/delete" } { "Delete…" } }
                    }
                }
                @if let Some(row) = self.row { (about(resource, row)) }
            }
        };
        let error = if self.lost || !self.wrong.is_empty() { "Error: " } else { "" };
        site::page(visitor, site::RECORDS, &format!("{error}{name} · {label}"), main)
    }
}

/// The values, for who may not change them.
pub(super) fn read_only(visitor: &Visitor, resource: &Resource, row: &Row) -> Page {
    let (label, name) = (shown::label(&resource.name), shown::name_of(resource, row));
    let main = html! {
        (site::path(&[("/", "Resources"), (&format!("/ui/{}", resource.name), &label)], &name))
        div.head { h1 { (name) } }
        div.record {
            div.panel { (values(resource, row)) }
            (about(resource, row))
        }
    };
    site::page(visitor, site::RECORDS, &format!("{name} · {label}"), main)
}

/// All fields with their values.
pub(super) fn values(resource: &Resource, row: &Row) -> Markup {
    html! {
        dl.facts {
            @for (field, value) in resource.fields.iter().zip(row.iter().skip(1)) {
                dt { (shown::label(&field.name)) }
                dd { (shown::whole(value)) }
            }
        }
    }
}

/// What the server keeps of the row itself.
fn about(resource: &Resource, row: &Row) -> Markup {
    html! {
        dl.facts.about {
            @for (name, label) in [("id", "Id"), ("created_at", "Added"), ("updated_at", "Changed")] {
                dt { (label) }
                dd { (shown::whole(shown::value_of(resource, row, name))) }
            }
        }
    }
}
