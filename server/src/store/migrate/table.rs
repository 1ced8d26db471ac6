//! One table: made, extended, indexed.

use anyhow::{Context as _, bail};

use super::catalogue::{self, Found};
use super::session::Session;
use super::types;
use crate::log;
use crate::model::{Column, Field, Resource, index_name};
use crate::store::target::Dialect;

pub(super) async fn bring(session: &mut Session, resource: &Resource) -> anyhow::Result<()> {
    let there = catalogue::columns(session, &resource.table).await?;
    if there.is_empty() {
        create(session, resource).await?;
    } else {
        for column in resource.columns() {
            match there.iter().find(|found| found.name == column.name) {
                Some(found) => fit(session, resource, column, found).await?,
                None => add(session, resource, column).await?,
            }
        }
        left_over(session, resource, &there)?;
    }
    indexes(session, resource).await
}

async fn create(session: &mut Session, resource: &Resource) -> anyhow::Result<()> {
    let columns = resource.columns();
    let columns = columns.iter().map(|column| {
        let rule = match column.name {
            "id" => " NOT NULL PRIMARY KEY",
            "created_at" | "updated_at" | "row_version" => " NOT NULL",
            // Whether a field is required is a rule of the declaration, checked before every write: as a rule of
            // the table it could not be changed later without rewriting the table in SQLite.
            _ => "",
        };
        let kind = types::of(session, resource, column.name, column.store);
        format!("{} {kind}{rule}", session.quoted(column.name))
    });
    let columns = columns.collect::<Vec<_>>().join(", ");
    let end = if session.dialect() == Dialect::Mysql { " ENGINE=InnoDB DEFAULT CHARSET=utf8mb4" } else { "" };
    session.execute(&format!("CREATE TABLE {} ({columns}){end}", session.quoted(&resource.table))).await?;
    log::info("created a table", &[("table", resource.table.clone())]);
    Ok(())
}

/// A column that is there: of the declared type, or refused; wide enough, or widened.
async fn fit(session: &mut Session, resource: &Resource, column: Column<'_>, found: &Found) -> anyhow::Result<()> {
    let wanted = types::of(session, resource, column.name, column.store);
    let (table, name) = (session.quoted(&resource.table), session.quoted(column.name));
    let alter = match session.dialect() {
        Dialect::Mysql => format!("ALTER TABLE {table} MODIFY {name} {wanted}"),
        Dialect::Postgres => format!("ALTER TABLE {table} ALTER COLUMN {name} TYPE {wanted}"),
        Dialect::Sqlite => format!("ALTER TABLE {table} RENAME COLUMN {name} TO old_{}", column.name),
    };
    if !types::holds(found, &wanted, column.store) {
        bail!(
            "column `{}` is `{}` and the declaration wants `{wanted}`: changing a type can lose data, so it is not done \
             here. Declare a new field and move the values, or convert the column by hand, beginning with: {alter}",
            column.name,
            found.kind,
        );
    }
    if session.dialect() != Dialect::Sqlite
        && resource.field(column.name).is_some_and(|field| types::narrow(found, field))
    {
        session.execute(&alter).await?;
        log::info("widened a column", &[("table", resource.table.clone()), ("column", column.name.to_owned())]);
    }
    Ok(())
}

/// A column that is not there yet. Rows that are get its default in the same statement, so that a crash leaves either
/// no column or a whole one.
async fn add(session: &mut Session, resource: &Resource, column: Column<'_>) -> anyhow::Result<()> {
    let (table, name) = (session.quoted(&resource.table), session.quoted(column.name));
    let field = resource.field(column.name);
    let fill = match field {
        Some(field) => field.default.as_ref().map(|value| types::literal(session.dialect(), value)),
        None => (column.name == "row_version").then(|| "1".to_owned()),
    };
    let needed = field.is_none_or(|field| field.required);
    if needed && fill.is_none() && !session.texts(&format!("SELECT 'x' FROM {table} LIMIT 1")).await?.is_empty() {
        match field {
            Some(field) => bail!(
                "the new field `{}` is required and the table has rows: give it a `default`, or make it optional",
                field.name
            ),
            None => bail!("column `{}` is missing in a table that has rows: add and fill it by hand", column.name),
        }
    }
    let kind = types::of(session, resource, column.name, column.store);
    // In brackets, since MySQL takes a default of a long text only as an expression; SQLite wants a literal without.
    let fill = fill.map_or_else(String::new, |fill| match session.dialect() {
        Dialect::Mysql => format!(" DEFAULT ({fill})"),
        Dialect::Postgres | Dialect::Sqlite => format!(" DEFAULT {fill}"),
    });
    session.execute(&format!("ALTER TABLE {table} ADD COLUMN {name} {kind}{fill}")).await?;
    log::info("added a column", &[("table", resource.table.clone()), ("column", column.name.to_owned())]);
    Ok(())
}

/// Columns that are not declared (any more). Nothing is dropped here: an older release that a rollback brings back
/// meets the columns of the newer one, and must serve.
fn left_over(session: &Session, resource: &Resource, there: &[Found]) -> anyhow::Result<()> {
    for found in there.iter().filter(|found| resource.column(&found.name).is_none()) {
        let (table, name) = (session.quoted(&resource.table), session.quoted(&found.name));
        let drop = format!("ALTER TABLE {table} DROP COLUMN {name}");
        if found.must {
            bail!(
                "column `{}` is not declared, takes no null and has no default, so no row could be added: declare the field \
                 again, or, if its values may go, drop it by hand: {drop}",
                found.name
            );
        }
        log::warn(
            "a column is not declared: it is kept, and no longer shown; drop it by hand once no release needs it",
            &[("table", resource.table.clone()), ("column", found.name.clone()), ("statement", drop)],
        );
    }
    Ok(())
}

async fn indexes(session: &mut Session, resource: &Resource) -> anyhow::Result<()> {
    let mut wanted: Vec<(String, bool, Vec<&str>)> = Vec::new();
    for field in resource.fields.iter().filter(|field| field.unique) {
        wanted.push((resource.unique_index(&field.name), true, vec![&field.name]));
    }
    for index in &resource.indexes {
        let columns: Vec<&str> = index.iter().map(String::as_str).collect();
        wanted.push((index_name(&format!("{}_{}_idx", resource.table, columns.join("_"))), false, columns));
    }
    // The order of lists without `sort`.
    wanted.push((index_name(&format!("{}_created_at_id_idx", resource.table)), false, vec!["created_at", "id"]));
    let there = catalogue::indexes(session, &resource.table).await?;
    let table = session.quoted(&resource.table);
    for (name, unique, columns) in &wanted {
        if there.contains(name) {
            continue;
        }
        let columns = columns.iter().map(|column| session.quoted(column)).collect::<Vec<_>>().join(", ");
        let kind = if *unique { "UNIQUE INDEX" } else { "INDEX" };
        let sql = format!("CREATE {kind} {} ON {table} ({columns})", session.quoted(name));
        session.execute(&sql).await.with_context(|| {
            let hint =
                if *unique { ": are there rows that share a value? Change them, or the declaration" } else { "" };
            format!("cannot create the index `{name}`{hint}")
        })?;
    }
    for name in there.iter().filter(|name| !wanted.iter().any(|(wanted, ..)| wanted == *name)) {
        let was = |field: &&Field| *name == resource.unique_index(&field.name);
        if let Some(field) = resource.fields.iter().find(was) {
            log::warn(
                "a field is not declared unique and its index keeps it so; drop the index by hand once no release needs it",
                &[("table", resource.table.clone()), ("field", field.name.clone()), ("index", name.clone())],
            );
        }
    }
    Ok(())
}
