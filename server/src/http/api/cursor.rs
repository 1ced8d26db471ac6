//! A place in a list, as clients carry it from page to page: the order, and the values of the page's last row in it.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value as Json;

use crate::model::{Resource, Value};
use crate::store::{Row, Sort};

pub(in crate::http) fn write(resource: &Resource, sort: &[Sort], row: &Row) -> String {
    let columns = resource.columns();
    let values = sort.iter().map(|sort| {
        let at = columns.iter().position(|column| column.name == sort.column);
        at.and_then(|at| row.get(at)).map_or(Json::Null, Value::to_json)
    });
    let cursor: Vec<Json> = std::iter::once(order(sort).into()).chain(values).collect();
    URL_SAFE_NO_PAD.encode(Json::Array(cursor).to_string())
}

/// The values; none if the text is no cursor or belongs to another order.
pub(in crate::http) fn read(resource: &Resource, sort: &[Sort], text: &str) -> Option<Vec<Value>> {
    let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
    let cursor: Vec<Json> = serde_json::from_slice(&bytes).ok()?;
    let (first, values) = cursor.split_first()?;
    if first.as_str()? != order(sort) || values.len() != sort.len() {
        return None;
    }
    sort.iter().zip(values).map(|(sort, value)| resource.reader(&sort.column)?.read(value).ok()).collect()
}

fn order(sort: &[Sort]) -> String {
    let words: Vec<String> =
        sort.iter().map(|sort| format!("{}{}", if sort.descending { "-" } else { "" }, sort.column)).collect();
    words.join(",")
}
