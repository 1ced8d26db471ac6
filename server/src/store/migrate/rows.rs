//! Rules that rows of before must keep, too: else answers would break their own reference. They are looked at only when
//! the declaration changed, since it means to read the table.

use anyhow::bail;
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
    for field in &resource.fields {
        fill(session, resource, field).await?;
        for (broken, rule) in rules(session, field) {
            let sql = format!("SELECT 'x' FROM {} WHERE {broken} LIMIT 1", session.quoted(table));
            if !session.texts(&sql).await?.is_empty() {
                bail!(
                    "there are rows whose `{}` {rule}: change these rows (`... WHERE {broken}`), or the declaration",
                    field.name
                );
            }
        }
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

/// Conditions of rows that break the field's rules, with what is wrong. Patterns are not among them: not every database
/// reads them alike.
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
