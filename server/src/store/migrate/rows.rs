//! Rules that rows of before must keep, too: else answers would break their own reference. They are looked at only when
//! the declaration changed, since it means to read the table.

use anyhow::{Context as _, bail};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};

use super::session::Session;
use super::types;
use crate::log;
use crate::model::{Field, Kind, Resource, Value};
use crate::store::target::Dialect;

/// The table of the declarations that the rows are known to keep.
const TABLE: &str = "crud_declarations";

pub(super) async fn prepare(session: &mut Session) -> anyhow::Result<()> {
    let sql = format!(
        "CREATE TABLE IF NOT EXISTS {TABLE} (table_name varchar(64) NOT NULL PRIMARY KEY, digest varchar(64) NOT NULL)"
    );
    session.execute(&sql).await.map(drop)
}

pub(super) async fn keep_the_rules(session: &mut Session, resource: &Resource) -> anyhow::Result<()> {
    let (table, digest) = (&resource.table, URL_SAFE_NO_PAD.encode(Sha256::digest(format!("{resource:?}"))));
    let known = session.texts(&format!("SELECT digest FROM {TABLE} WHERE table_name = '{table}'")).await?;
    if known.first() == Some(&digest) {
        return Ok(());
    }
    let mut broken = Vec::new();
    for field in &resource.fields {
        fill(session, resource, field).await?;
        for (condition, rule) in rules(session, field) {
            broken.extend(found(session, resource, field, &condition, rule).await?);
        }
        if read_here(field) {
            broken.extend(read(session, resource, field).await?);
        }
    }
    if !broken.is_empty() {
        bail!("{}; change these rows, or the declaration", broken.join("; "));
    }
    session.execute(&format!("DELETE FROM {TABLE} WHERE table_name = '{table}'")).await?;
    session.execute(&format!("INSERT INTO {TABLE} (table_name, digest) VALUES ('{table}', '{digest}')")).await?;
    Ok(())
}

/// A field that became required takes its default where it has no value.
async fn fill(session: &mut Session, resource: &Resource, field: &Field) -> anyhow::Result<()> {
    let (true, Some(default)) = (field.required, &field.default) else {
        return Ok(());
    };
    let (table, name) = (session.quoted(&resource.table), session.quoted(&field.name));
    let value = types::literal(session.dialect(), default);
    let count = session.execute(&format!("UPDATE {table} SET {name} = {value} WHERE {name} IS NULL")).await?;
    if count > 0 {
        let told = [("table", resource.table.clone()), ("field", field.name.clone()), ("rows", count.to_string())];
        log::info("filled a required field with its default", &told);
    }
    Ok(())
}

/// Keys that an error names; who has more rows to mend has the condition.
const SHOWN: usize = 5;
/// Rows that are read at once: their texts can be long.
const PAGE: usize = 200;

/// What is wrong with the rows for which a condition holds, if there are any.
async fn found(
    session: &mut Session,
    resource: &Resource,
    field: &Field,
    condition: &str,
    rule: String,
) -> anyhow::Result<Option<String>> {
    let (table, id) = (session.quoted(&resource.table), session.quoted("id"));
    let sql = format!("SELECT {} FROM {table} WHERE {condition}", session.as_text("count(*)"));
    let count: u64 = session.texts(&sql).await?.first().context("a count has no row")?.parse()?;
    if count == 0 {
        return Ok(None);
    }
    let id_text = session.as_text(&id);
    let sql = format!("SELECT {id_text} FROM {table} WHERE {condition} ORDER BY {id} LIMIT {SHOWN}");
    let first = session.texts(&sql).await?;
    Ok(Some(told(count, &first, field, &format!("{rule} (`... WHERE {condition}`)"))))
}

fn told(count: u64, first: &[String], field: &Field, rule: &str) -> String {
    let rows = if count == 1 { "there is 1 row".to_owned() } else { format!("there are {count} rows") };
    let more = if count > first.len() as u64 { ", ..." } else { "" };
    format!("{rows} whose `{}` {rule}: id {}{more}", field.name, first.join(", "))
}

/// Whether a field has rules that SQL does not say, or not on every database alike.
fn read_here(field: &Field) -> bool {
    field.pattern.is_some() || matches!(field.kind, Kind::Email | Kind::Json)
}

/// What is wrong with the rows whose value the field would not take; the first rule is told.
async fn read(session: &mut Session, resource: &Resource, field: &Field) -> anyhow::Result<Option<String>> {
    let (table, id, name) = (session.quoted(&resource.table), session.quoted("id"), session.quoted(&field.name));
    let (id_text, mut from) = (session.as_text(&id), String::new());
    let (mut count, mut first, mut rule) = (0, Vec::new(), String::new());
    loop {
        let sql =
            format!("SELECT {id_text}, {name} FROM {table} WHERE {name} IS NOT NULL{from} ORDER BY {id} LIMIT {PAGE}");
        let rows = session.pairs(&sql).await?;
        for (key, value) in &rows {
            if let Err(why) = field.read_plain(value) {
                count += 1;
                if first.len() < SHOWN {
                    first.push(key.clone());
                }
                if rule.is_empty() {
                    rule = why;
                }
            }
        }
        match rows.last() {
            Some((key, _)) if rows.len() == PAGE => {
                let key = types::literal(session.dialect(), &Value::Text(key.clone()));
                from = format!(" AND {id} > {key}");
            }
            _ => break,
        }
    }
    Ok((count > 0).then(|| told(count, &first, field, &rule)))
}

/// Conditions of rows that break the field's rules, with what is wrong.
fn rules(session: &Session, field: &Field) -> Vec<(String, String)> {
    let name = session.quoted(&field.name);
    let characters = if session.dialect() == Dialect::Sqlite { "length" } else { "char_length" };
    let mut rules = Vec::new();
    if field.required {
        rules.push((format!("{name} IS NULL"), "is null, which is required".to_owned()));
    }
    if let Some(min) = field.min {
        rules.push((format!("{name} < {min:e}"), format!("is less than {min}")));
    }
    if let Some(max) = field.max {
        rules.push((format!("{name} > {max:e}"), format!("is more than {max}")));
    }
    if let Some(min) = field.min_length {
        rules.push((format!("{characters}({name}) < {min}"), format!("has fewer than {min} characters")));
    }
    if let Some(max) = field.longest() {
        rules.push((format!("{characters}({name}) > {max}"), format!("has more than {max} characters")));
    }
    if let Kind::Enum(words) = &field.kind {
        let list: Vec<String> =
            words.iter().map(|word| types::literal(session.dialect(), &Value::Text(word.clone()))).collect();
        rules.push((format!("{name} NOT IN ({})", list.join(", ")), format!("is not one of: {}", words.join(", "))));
    }
    rules
}
