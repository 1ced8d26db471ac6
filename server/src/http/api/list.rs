//! `GET /api/{resource}`: filters, order, pages, and a choice of fields.

use serde::ser::{Serialize, SerializeMap as _, Serializer};
use serde_json::{Value as Json, json};

use super::cursor;
use crate::model::{Resource, Store};
use crate::problem::{Problem, Wrong};
use crate::records;
use crate::store::{Condition, Operator, Row, Select, Sort};

/// Rows of a page unless `limit` says otherwise.
pub(in crate::http) const LIMIT: u32 = 50;
/// Most rows of a page.
pub(in crate::http) const MAX_LIMIT: u32 = 500;
/// Most columns in `sort`.
const MAX_SORT: usize = 5;

/// What a list was asked for.
#[derive(Debug)]
pub(in crate::http) struct Query {
    pub(in crate::http) select: Select,
    pub(super) fields: Option<Vec<String>>,
}

/// A comparison by its name in brackets: `age[gte]=18`.
pub(in crate::http) const OPERATORS: [(&str, Operator); 8] = [
    ("eq", Operator::Eq),
    ("ne", Operator::Ne),
    ("lt", Operator::Lt),
    ("lte", Operator::Lte),
    ("gt", Operator::Gt),
    ("gte", Operator::Gte),
    ("like", Operator::Contains),
    ("prefix", Operator::Prefix),
];

/// Whether a column of this kind can be compared in this way.
pub(in crate::http) fn comparable(store: Store, operator: Operator) -> bool {
    match operator {
        Operator::Eq | Operator::Ne => store != Store::Json,
        Operator::Lt | Operator::Lte | Operator::Gt | Operator::Gte => !matches!(store, Store::Json | Store::Bool),
        Operator::Contains | Operator::Prefix => store == Store::Text,
    }
}

/// Whether lists can be ordered by the column: long text is not compared to its end by every database.
pub(in crate::http) fn sortable(resource: &Resource, column: &str) -> bool {
    let long = |field: &crate::model::Field| matches!(field.kind, crate::model::Kind::Text | crate::model::Kind::Json);
    visible(resource, column) && !resource.field(column).is_some_and(long)
}

/// Whether clients see the column.
fn visible(resource: &Resource, column: &str) -> bool {
    resource.field(column).is_some() || records::SERVERS.contains(&column)
}

/// Reads the query; every wrong parameter is named.
pub(in crate::http) fn read(resource: &Resource, pairs: &[(String, String)]) -> Result<Query, Problem> {
    let mut wrong = Vec::new();
    let mut query = Query { select: Select { limit: Some(LIMIT), ..Select::default() }, fields: None };
    let mut seen: Vec<&str> = Vec::new();
    let (mut sort, mut after) = (None, None);
    for (name, value) in pairs {
        let done = match name.as_str() {
            "limit" | "sort" | "cursor" | "fields" if seen.contains(&name.as_str()) => Err("is given twice".to_owned()),
            "limit" => limit(value).map(|limit| query.select.limit = Some(limit)),
            "sort" => read_sort(resource, value).map(|columns| sort = Some(columns)),
            "cursor" => {
                after = Some(value.as_str());
                Ok(())
            }
            "fields" => fields(resource, value).map(|fields| query.fields = Some(fields)),
            _ => filter(resource, name, value).map(|condition| query.select.conditions.push(condition)),
        };
        seen.push(name);
        if let Err(rule) = done {
            wrong.push(Wrong::parameter(name, rule));
        }
    }
    query.select.sort = sort.unwrap_or_else(records::default_sort);
    if let Some(text) = after {
        match cursor::read(resource, &query.select.sort, text) {
            Some(values) => query.select.after = Some(values),
            None => wrong.push(Wrong::parameter("cursor", "is not one of this list in this order")),
        }
    }
    if wrong.is_empty() { Ok(query) } else { Err(Problem::parameters(wrong)) }
}

fn limit(value: &str) -> Result<u32, String> {
    let number = value.parse::<u32>().ok().filter(|number| (1..=MAX_LIMIT).contains(number));
    number.ok_or_else(|| format!("must be a whole number from 1 to {MAX_LIMIT}"))
}

fn read_sort(resource: &Resource, value: &str) -> Result<Vec<Sort>, String> {
    let mut columns: Vec<Sort> = Vec::new();
    for word in value.split(',') {
        let (descending, name) = word.strip_prefix('-').map_or((false, word), |name| (true, name));
        if !sortable(resource, name) {
            let why = if visible(resource, name) { "is too long to be sorted by" } else { "is not a field" };
            return Err(format!("must be a list of fields, each with a `-` for descending order: `{name}` {why}"));
        }
        if columns.iter().any(|sort| sort.column == name) {
            return Err(format!("names `{name}` twice"));
        }
        columns.push(Sort { column: name.to_owned(), descending });
    }
    if columns.len() > MAX_SORT {
        return Err(format!("names more than {MAX_SORT} fields"));
    }
    // The order must be total for pages to be whole.
    if !columns.iter().any(|sort| sort.column == "id") {
        columns.push(Sort { column: "id".into(), descending: columns.last().is_some_and(|sort| sort.descending) });
    }
    Ok(columns)
}

/// The names of `fields=`.
pub(super) fn fields(resource: &Resource, value: &str) -> Result<Vec<String>, String> {
    value
        .split(',')
        .map(|name| {
            if visible(resource, name) {
                Ok(name.to_owned())
            } else {
                Err(format!("names `{name}`, which is not a field"))
            }
        })
        .collect()
}

/// `field=value`, `field[operator]=value` or `field[null]=true`.
fn filter(resource: &Resource, name: &str, value: &str) -> Result<Condition, String> {
    let (column, word) = match name.strip_suffix(']').and_then(|name| name.split_once('[')) {
        Some((column, word)) => (column, word),
        None => (name, "eq"),
    };
    let (Some(reader), Some(store)) = (
        resource.reader(column),
        resource.column(column).map(|column| column.store).filter(|_| visible(resource, column)),
    ) else {
        return Err("is neither a field nor one of limit, sort, cursor and fields".into());
    };
    if word == "null" {
        let operator = match value {
            "true" => Operator::Eq,
            "false" => Operator::Ne,
            _ => return Err("must be true or false".into()),
        };
        return Ok(Condition { column: column.to_owned(), operator, value: crate::model::Value::Null });
    }
    let Some((_, operator)) = OPERATORS.iter().find(|(name, _)| *name == word) else {
        let words: Vec<&str> = OPERATORS.iter().map(|(name, _)| *name).chain(["null"]).collect();
        return Err(format!("compares by `{word}`: known are {}", words.join(", ")));
    };
    if !comparable(store, *operator) {
        let kind = resource.field(column).map_or(reader.kind.name(), |field| field.kind.name());
        return Err(format!("compares by `{word}`, which a {kind} does not know"));
    }
    Ok(Condition { column: column.to_owned(), operator: *operator, value: reader.read_plain(value)? })
}

/// The answer: one page, and the cursor of the next where there are more rows than the page has.
pub(super) fn page<'a>(resource: &'a Resource, query: &Query, mut rows: Vec<Row>) -> Page<'a> {
    let limit = query.select.limit.unwrap_or(LIMIT) as usize - 1;
    let next = (rows.len() > limit).then(|| {
        rows.truncate(limit);
        rows.last().map(|row| cursor::write(resource, &query.select.sort, row))
    });
    let next = next.flatten();
    Page { columns: Columns::of(resource, query.fields.as_deref()), rows, next }
}

/// A page of rows.
pub(super) struct Page<'a> {
    columns: Columns<'a>,
    rows: Vec<Row>,
    /// The cursor of the page behind it.
    pub(super) next: Option<String>,
}

impl Serialize for Page<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let items: Vec<Item<'_>> = self.rows.iter().map(|row| self.columns.item(row)).collect();
        let mut page = serializer.serialize_map(Some(2))?;
        page.serialize_entry("items", &items)?;
        page.serialize_entry("next", &self.next)?;
        page.end()
    }
}

/// The columns that an answer shows: id, fields, times; only those of `only` if it is given.
pub(super) struct Columns<'a>(Vec<(usize, &'a str)>);

impl<'a> Columns<'a> {
    pub(super) fn of(resource: &'a Resource, only: Option<&[String]>) -> Self {
        let wanted = |name: &str| only.is_none_or(|only| only.iter().any(|wanted| wanted == name));
        let columns = resource.columns().into_iter().map(|column| column.name).enumerate();
        Self(columns.filter(|(_, name)| wanted(name) && visible(resource, name)).collect())
    }

    /// A row as a JSON object.
    pub(super) fn item<'r>(&'r self, row: &'r Row) -> Item<'r> {
        Item { columns: &self.0, row }
    }
}

/// A row on its way into an answer: written as it is, not built up as a JSON value first.
pub(super) struct Item<'a> {
    columns: &'a [(usize, &'a str)],
    row: &'a Row,
}

impl Serialize for Item<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.columns.iter().map(|(index, name)| (name, &self.row[*index])))
    }
}

/// A row as a JSON value.
pub(super) fn shown(resource: &Resource, row: &Row) -> Json {
    json!(Columns::of(resource, None).item(row))
}
