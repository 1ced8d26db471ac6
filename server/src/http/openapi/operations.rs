//! The operations of a resource: parameters, bodies, answers.

use serde_json::{Map, Value, json};

use super::schemas::{compared, words};
use super::{reference, schema_name};
use crate::http::api::create::MAX_ROWS;
use crate::http::api::list::{LIMIT, MAX_LIMIT, OPERATORS, comparable};
use crate::model::{Column, Resource, Store};

/// A list of entity tags, or `*`.
const TAGS: &str = r#"^(\*|(W/)?"[\x21\x23-\x7e]*"( *, *(W/)?"[\x21\x23-\x7e]*")*)$"#;

pub(super) fn collection(resource: &Resource) -> Value {
    let name = schema_name(&resource.name);
    let whole =
        json!({"type": "array", "items": reference(&format!("{name}Input")), "minItems": 1, "maxItems": MAX_ROWS});
    let made = json!({
        "type": "object", "required": ["items"],
        "properties": {"items": {"type": "array", "items": reference(&name)}},
    });
    let mut created = answer(
        "Made.",
        &json!({"oneOf": [reference(&name), made]}),
        &[("Location", "The new row, if it is one."), ("ETag", "Its version.")],
    );
    let links = ["get", "replace", "patch", "delete"].map(|verb| {
        let operation = format!("{verb}_{}", resource.name);
        (verb.to_owned(), json!({"operationId": operation, "parameters": {"id": "$response.body#/id"}}))
    });
    created["links"] = Value::Object(Map::from_iter(links));
    json!({
        "get": {
            "tags": [resource.name], "operationId": format!("list_{}", resource.name),
            "summary": "A page of rows",
            "parameters": list_parameters(resource),
            "responses": responses(&[
                ("200", answer("A page.", &reference(&format!("{name}Page")), &[("Link", "The next page.")])),
                ("400", problem("A parameter is wrong.")),
            ]),
        },
        "post": {
            "tags": [resource.name], "operationId": format!("create_{}", resource.name),
            "summary": "A new row; with an array several, all or none",
            "parameters": [{
                "name": "Idempotency-Key", "in": "header",
                "description": "The same request with the same key is answered as the first one was, and does nothing.",
                "schema": {"type": "string", "pattern": "^[!-~]{1,200}$"},
            }],
            "requestBody": {"required": true, "content": {"application/json": {
                "schema": {"oneOf": [reference(&format!("{name}Input")), whole]},
            }}},
            "responses": responses(&[
                ("201", created),
                ("400", problem("The body is no JSON, or not of this shape.")),
                ("409", problem("A unique value is taken.")),
                ("413", problem("The body is too large.")),
                ("415", problem("The body is not JSON.")),
                ("422", problem("Fields are wrong: each is named.")),
            ]),
        },
    })
}

pub(super) fn item(resource: &Resource) -> Value {
    let name = schema_name(&resource.name);
    let row = || answer("The row.", &reference(&name), &[("ETag", "Its version.")]);
    let operation = |verb: &str, summary: &str, parameters: Vec<Value>, more: Value| {
        let mut operation = Map::new();
        operation.insert("tags".into(), json!([resource.name]));
        operation.insert("operationId".into(), format!("{verb}_{}", resource.name).into());
        operation.insert("summary".into(), summary.into());
        operation.insert("parameters".into(), parameters.into());
        if let Value::Object(more) = more {
            operation.extend(more);
        }
        Value::Object(operation)
    };
    let body = |kinds: &[&str], schema: &str| {
        let content = kinds.iter().map(|kind| ((*kind).to_owned(), json!({"schema": reference(schema)})));
        json!({"required": true, "content": content.collect::<Map<_, _>>()})
    };
    let change = || {
        responses(&[
            ("200", row()),
            ("400", problem("The body is no JSON object, or a header is wrong.")),
            ("404", problem("There is no such row.")),
            ("409", problem("A unique value is taken.")),
            ("412", problem("The row is not of the version that If-Match names: somebody else changed it.")),
            ("413", problem("The body is too large.")),
            ("415", problem("The body is not JSON.")),
            ("422", problem("Fields are wrong: each is named.")),
        ])
    };
    json!({
        "parameters": [{"name": "id", "in": "path", "required": true, "schema": {"type": "string", "format": "uuid"}}],
        "get": operation("get", "One row", vec![fields_parameter(resource), tags("If-None-Match")], json!({
            "responses": responses(&[
                ("200", answer("The row.", &reference(&format!("{name}Part")), &[("ETag", "Its version.")])),
                ("304", json!({"description": "The row is of the version that If-None-Match names."})),
                ("400", problem("A parameter or a header is wrong.")),
                ("404", problem("There is no such row.")),
            ]),
        })),
        "put": operation("replace", "All fields anew", vec![tags("If-Match")], json!({
            "requestBody": body(&["application/json"], &format!("{name}Input")), "responses": change(),
        })),
        "patch": operation("patch", "Some fields anew (RFC 7396)", vec![tags("If-Match")], json!({
            "requestBody": body(&["application/merge-patch+json", "application/json"], &format!("{name}Patch")),
            "responses": change(),
        })),
        "delete": operation("delete", "The row is gone", vec![tags("If-Match")], json!({
            "responses": responses(&[
                ("204", json!({"description": "Done."})),
                ("400", problem("A header is wrong.")),
                ("404", problem("There is no such row.")),
                ("412", problem("The row is not of the version that If-Match names.")),
            ]),
        })),
    })
}

fn list_parameters(resource: &Resource) -> Vec<Value> {
    let parameter = |name: &str, description: &str, schema: Value| json!({"name": name, "in": "query", "description": description, "schema": schema});
    let mut list = vec![
        parameter(
            "limit",
            "Most rows of the page.",
            json!({
                "type": "integer", "minimum": 1, "maximum": MAX_LIMIT, "default": LIMIT,
            }),
        ),
        parameter("cursor", "`next` of the page before.", json!({"type": "string"})),
        parameter("sort", "Fields, separated by commas, `-` before one for descending order.", words(resource, true)),
        fields_parameter(resource),
    ];
    for column in resource.columns() {
        if column.name != "row_version" {
            list.extend(filters(resource, column));
        }
    }
    list
}

fn filters(resource: &Resource, column: Column<'_>) -> Vec<Value> {
    let name = column.name;
    let parameter = |name: String, schema: Value| json!({"name": name, "in": "query", "schema": schema});
    let mut list = Vec::new();
    for (word, operator) in OPERATORS {
        if comparable(column.store, operator) {
            let name = if word == "eq" { name.to_owned() } else { format!("{name}[{word}]") };
            list.push(parameter(name, compared(resource, column.name)));
        }
    }
    if column.store == Store::Json || resource.field(name).is_some_and(|field| !field.required) {
        list.push(parameter(format!("{name}[null]"), json!({"type": "boolean"})));
    }
    list
}

fn fields_parameter(resource: &Resource) -> Value {
    json!({
        "name": "fields", "in": "query", "description": "The fields to answer, separated by commas; all without it.",
        "schema": words(resource, false),
    })
}

fn tags(name: &str) -> Value {
    json!({
        "name": name, "in": "header", "description": "Entity tags as in ETag, or `*`.",
        "schema": {"type": "string", "pattern": TAGS},
    })
}

/// The answers, with those that every operation may give.
fn responses(own: &[(&str, Value)]) -> Value {
    let mut all: Map<String, Value> =
        own.iter().map(|(status, answer)| ((*status).to_owned(), answer.clone())).collect();
    all.insert("503".into(), problem("The database does not answer."));
    all.insert("default".into(), problem("Anything else."));
    Value::Object(all)
}

fn answer(description: &str, schema: &Value, headers: &[(&str, &str)]) -> Value {
    let headers = headers
        .iter()
        .map(|(name, text)| ((*name).to_owned(), json!({"description": text, "schema": {"type": "string"}})));
    json!({
        "description": description,
        "headers": headers.collect::<Map<_, _>>(),
        "content": {"application/json": {"schema": schema}},
    })
}

fn problem(description: &str) -> Value {
    json!({"description": description, "content": {"application/problem+json": {"schema": reference("Problem")}}})
}
