//! Create, read, update and delete by the rules of a resource: what every contract over HTTP is built from.

use serde_json::{Map, Value as Json};
use uuid::Uuid;

use crate::clock;
use crate::model::{Resource, Value};
use crate::problem::Problem;
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
            Err(rule) => wrong.push((field.name.clone(), rule)),
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
                Err(rule) => wrong.push((field.name.clone(), rule)),
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

fn unknown(resource: &Resource, object: &Map<String, Json>) -> Vec<(String, String)> {
    let known = |name: &str| resource.column(name).is_some();
    let names = object.keys().filter(|name| !known(name));
    names.map(|name| (name.clone(), "is not a field of this resource".into())).collect()
}

/// Adds a row.
pub async fn create(database: &Database, resource: &Resource, row: Row) -> Result<Row, Problem> {
    database.insert(resource, std::slice::from_ref(&row)).await.map_err(|error| taken(resource, error))?;
    Ok(row)
}

/// The row whose unique column has this value.
pub async fn find(database: &Database, resource: &Resource, key: Condition) -> Result<Option<Row>, Problem> {
    let query = Select { conditions: vec![key], limit: Some(1), ..Select::default() };
    Ok(database.select(resource, &query).await?.pop())
}

/// Changes the row for which the conditions hold; none: there is no such row.
pub async fn update(
    database: &Database,
    resource: &Resource,
    set: &[(String, Value)],
    conditions: &[Condition],
) -> Result<Option<Row>, Problem> {
    database.update(resource, set, conditions).await.map_err(|error| taken(resource, error))
}

/// Says which field is taken, where the index tells it.
fn taken(resource: &Resource, error: StoreError) -> Problem {
    let StoreError::Unique(index) = &error else {
        return error.into();
    };
    let unique = || resource.fields.iter().filter(|field| field.unique);
    let named = |name: &str| {
        // PostgreSQL and MySQL name the index, SQLite `table.column`.
        index.contains(&format!("{}_{name}_key", resource.table))
            || index.ends_with(&format!("{}.{name}", resource.table))
    };
    let field = unique()
        .find(|field| named(&field.name))
        .or_else(|| if unique().count() == 1 { unique().next() } else { None });
    let mut problem = Problem::from(error);
    if let Some(field) = field {
        let rule = "is taken already".to_owned();
        problem.detail = format!("`{}` {rule}", field.name);
        problem.fields.push((field.name.clone(), rule));
    }
    problem
}
