//! Create, read, update and delete by the rules of a resource: what every contract over HTTP is built from.

use axum::http::StatusCode;
use serde_json::{Map, Value as Json};
use uuid::Uuid;

use crate::clock;
use crate::model::{Field, Resource, Value};
use crate::problem::{Problem, Wrong};
use crate::store::{Condition, Database, Row, Select, Sort, StoreError};

/// The order of lists that ask for none: oldest first, and the id so that the order is total.
pub fn default_sort() -> Vec<Sort> {
    ["created_at", "id"].map(|column| Sort { column: column.into(), descending: false }).to_vec()
}

/// A new row from a JSON object: defaults filled in, every wrong field named at once.
pub fn read_new(resource: &Resource, object: &Map<String, Json>) -> Result<Row, Problem> {
    let mut wrong = unknown(resource, object);
    let now = clock::now();
    let mut row = vec![Value::Uuid(Uuid::now_v7())];
    for field in &resource.fields {
        let value = match (object.get(&field.name), &field.default) {
            (Some(json), _) => field.read(json),
            (None, Some(default)) => Ok(default.clone()),
            (None, None) if field.required => Err("is required".into()),
            (None, None) => Ok(Value::Null),
        };
        match value {
            Ok(value) => row.push(value),
            Err(rule) => wrong.push(Wrong::field(&field.name, rule)),
        }
    }
    row.extend([Value::Time(now), Value::Time(now), Value::Int(1)]);
    if wrong.is_empty() { Ok(row) } else { Err(Problem::fields(wrong)) }
}

/// The changes of a merge patch (RFC 7396): fields that are not named stay.
pub fn read_patch(resource: &Resource, object: &Map<String, Json>) -> Result<Vec<(String, Value)>, Problem> {
    let mut wrong = unknown(resource, object);
    let mut set = Vec::new();
    for field in &resource.fields {
        if let Some(json) = object.get(&field.name) {
            match field.read(json) {
                Ok(value) => set.push((field.name.clone(), value)),
                Err(rule) => wrong.push(Wrong::field(&field.name, rule)),
            }
        }
    }
    if !wrong.is_empty() {
        return Err(Problem::fields(wrong));
    }
    set.push(("updated_at".into(), Value::Time(clock::now())));
    Ok(set)
}

/// All fields anew (PUT): what is not named takes its default or becomes null.
pub fn read_whole(resource: &Resource, object: &Map<String, Json>) -> Result<Vec<(String, Value)>, Problem> {
    let row = read_new(resource, object)?;
    let names = resource.fields.iter().map(|field| field.name.clone());
    let mut set: Vec<(String, Value)> = names.zip(row.into_iter().skip(1)).collect();
    set.push(("updated_at".into(), Value::Time(clock::now())));
    Ok(set)
}

/// Names that mean nothing here. The server's own columns are taken and ignored, so that an answer can be sent back.
fn unknown(resource: &Resource, object: &Map<String, Json>) -> Vec<Wrong> {
    let known = |name: &str| resource.field(name).is_some() || SERVERS.contains(&name);
    let names = object.keys().filter(|name| !known(name));
    names.map(|name| Wrong::field(name, "is not a field of this resource")).collect()
}

/// Columns of every resource that clients see and do not set.
pub const SERVERS: [&str; 3] = ["id", "created_at", "updated_at"];

/// Adds rows, all or none.
pub async fn create(database: &Database, resource: &Resource, rows: &[Row]) -> Result<(), Problem> {
    match database.insert(&[(resource, rows)]).await {
        Ok(()) => Ok(()),
        Err(error) => Err(taken(database, resource, rows, error).await),
    }
}

/// The row with this id.
pub async fn find(database: &Database, resource: &Resource, id: Uuid) -> Result<Option<Row>, Problem> {
    let query =
        Select { conditions: vec![Condition::equal("id", Value::Uuid(id))], limit: Some(1), ..Select::default() };
    Ok(database.select(resource, &query).await?.pop())
}

/// Changes the row for which the conditions hold; none: there is no such row.
pub async fn update(
    database: &Database,
    resource: &Resource,
    set: &[(String, Value)],
    conditions: &[Condition],
) -> Result<Option<Row>, Problem> {
    database.update(resource, set, conditions).await.map_err(|error| match refused(resource, &error) {
        Some(field) => conflict(vec![Wrong::field(&field.name, TAKEN)]),
        None => error.into(),
    })
}

const TAKEN: &str = "is taken already";

/// Says which field of which row is taken, where the database tells it.
pub async fn taken(database: &Database, resource: &Resource, rows: &[Row], error: StoreError) -> Problem {
    let Some(field) = refused(resource, &error) else {
        return error.into();
    };
    let wrong = Wrong::field(&field.name, TAKEN);
    if rows.len() == 1 {
        return conflict(vec![wrong]);
    }
    let column = resource.columns().iter().position(|column| column.name == field.name).unwrap_or_default();
    let values: Vec<&Value> = rows.iter().filter_map(|row| row.get(column)).collect();
    let twice =
        (1..values.len()).find(|index| *values[*index] != Value::Null && values[..*index].contains(&values[*index]));
    let index = match twice {
        Some(index) => Some(index),
        None => match stored(database, resource, &field.name, &values).await {
            Ok(stored) => values.iter().position(|value| stored.contains(value)),
            Err(problem) => return problem,
        },
    };
    match index {
        Some(index) => conflict(vec![wrong]).of_item(index),
        None => conflict(vec![wrong]),
    }
}

/// Those of the values that rows have already.
async fn stored(
    database: &Database,
    resource: &Resource,
    field: &str,
    values: &[&Value],
) -> Result<Vec<Value>, Problem> {
    let values = values.iter().filter(|value| ***value != Value::Null);
    let any = values.map(|value| Condition::equal(field, (*value).clone())).collect();
    let column = resource.columns().iter().position(|column| column.name == field).unwrap_or_default();
    let rows = database.select(resource, &Select { any, ..Select::default() }).await?;
    Ok(rows.into_iter().filter_map(|mut row| (column < row.len()).then(|| row.swap_remove(column))).collect())
}

/// Applies a merge patch (RFC 7396) to a document.
pub fn merge(target: &mut Json, patch: &Json) {
    let Json::Object(patch) = patch else {
        target.clone_from(patch);
        return;
    };
    if !target.is_object() {
        *target = Json::Object(Map::new());
    }
    let Json::Object(object) = target else { return };
    for (name, change) in patch {
        if change.is_null() {
            object.shift_remove(name);
        } else {
            merge(object.entry(name.as_str()).or_insert(Json::Null), change);
        }
    }
}

fn conflict(wrong: Vec<Wrong>) -> Problem {
    Problem { status: StatusCode::CONFLICT, ..Problem::fields(wrong) }
}

/// The field whose index refused a row.
fn refused<'r>(resource: &'r Resource, error: &StoreError) -> Option<&'r Field> {
    let StoreError::Unique(index) = error else {
        return None;
    };
    resource.fields.iter().filter(|field| field.unique).find(|field| {
        *index == resource.unique_index(&field.name) || *index == format!("{}.{}", resource.table, field.name)
    })
}
