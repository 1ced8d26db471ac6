//! The seeds' own paths, where they are served.

use serde_json::{Map, Value, json};

use super::{reference, schemas};
use crate::http::App;
use crate::http::seeds::{employees, hardware, passengers};
use crate::model::Resource;

/// One operation of a seed.
struct Operation {
    path: &'static str,
    method: &'static str,
    summary: &'static str,
    /// The last part of the path, if it is a parameter: its name and schema.
    parameter: Option<(&'static str, Value)>,
    body: Option<Value>,
    status: &'static str,
    answer: Option<Value>,
}

/// Adds the paths and schemas of the seeds that are served.
pub(super) fn extend(app: &App, paths: &mut Map<String, Value>, schemas: &mut Map<String, Value>) {
    schemas.insert("Message".into(), json!({
        "type": "object",
        "properties": {
            "message": {"type": "string"},
            "errors": {"type": "object", "additionalProperties": {"type": "string"}, "description": "What is wrong, by field."},
        },
        "required": ["message"],
    }));
    add(paths, "seed 004", vec![reversed()]);
    let served = |name, fields: &[&str]| app.resource(name).filter(|_| app.has(name, fields));
    if let Some(resource) = served(employees::NAME, &employees::FIELDS) {
        schemas.insert("Employee".into(), employee(resource));
        add(paths, "seed 000", of_employees(resource));
    }
    if let Some(resource) = served(passengers::NAME, &passengers::FIELDS) {
        schemas.insert("Passenger".into(), passenger(resource));
        add(paths, "seeds 001 and 002", of_passengers(resource));
    }
    if let Some(resource) = served(hardware::NAME, &hardware::FIELDS) {
        let item = object(&fields(resource, &hardware::FIELDS, schemas::answered));
        let list = json!({"type": "array", "items": item});
        add(paths, "seed 003", vec![plain("/hardware", "All hardware", list)]);
    }
}

fn of_employees(resource: &Resource) -> Vec<Operation> {
    let email = || Some(("email", json!({"type": "string", "minLength": 1, "examples": ["name@example.org"]})));
    let one = || {
        json!({"type": "object", "required": ["employee", "message"], "properties": {
            "employee": reference("Employee"), "message": {"const": "success"},
        }})
    };
    let all = json!({"type": "object", "required": ["employees", "message"], "properties": {
        "employees": {"type": "array", "items": reference("Employee")}, "message": {"const": "success"},
    }});
    let mut sent = fields(resource, &employees::FIELDS, schemas::sent);
    // An age is a number in the seed's requests and a text in its answers; both are taken.
    sent["age"] = json!({"oneOf": [sent["age"], {"type": "string", "pattern": "^[0-9]{1,3}$"}]});
    let whole = object(&sent);
    let some = json!({"type": "object", "properties": sent, "minProperties": 1});
    vec![
        Operation {
            path: "/employees/add",
            method: "post",
            summary: "A new employee",
            parameter: None,
            body: Some(whole),
            status: "201",
            answer: Some(one()),
        },
        plain("/employees/get", "All employees", all),
        Operation {
            path: "/employees/update/{email}",
            method: "patch",
            summary: "Some fields of an employee anew",
            parameter: email(),
            body: Some(some),
            status: "200",
            answer: Some(one()),
        },
        Operation {
            path: "/employees/delete/{email}",
            method: "delete",
            summary: "An employee is gone",
            parameter: email(),
            body: None,
            status: "204",
            answer: None,
        },
    ]
}

fn of_passengers(resource: &Resource) -> Vec<Operation> {
    let uuid = || Some(("uuid", json!({"type": "string", "format": "uuid"})));
    let body = || Some(object(&fields(resource, &passengers::FIELDS, schemas::sent)));
    let one = || Some(reference("Passenger"));
    vec![
        plain("/hello", "Whether the service is there", object(&json!({"message": {"const": "ok"}}))),
        plain("/zero", "Nothing", object(&json!({"0": {"const": ""}}))),
        plain("/passengerlist", "All passengers", json!({"type": "array", "items": reference("Passenger")})),
        Operation {
            path: "/getpassenger/{uuid}",
            method: "get",
            summary: "One passenger",
            parameter: uuid(),
            body: None,
            status: "200",
            answer: one(),
        },
        Operation {
            path: "/postpassenger",
            method: "post",
            summary: "A new passenger",
            parameter: None,
            body: body(),
            status: "201",
            answer: one(),
        },
        Operation {
            path: "/putpassenger/{uuid}",
            method: "put",
            summary: "All fields of a passenger anew",
            parameter: uuid(),
            body: body(),
            status: "200",
            answer: one(),
        },
        Operation {
            path: "/deletepassenger/{uuid}",
            method: "delete",
            summary: "A passenger is gone",
            parameter: uuid(),
            body: None,
            status: "204",
            answer: None,
        },
    ]
}

fn reversed() -> Operation {
    let data = || object(&json!({"data": {"type": "string"}}));
    Operation {
        path: "/v1",
        method: "post",
        summary: "The text reversed and in capitals",
        parameter: None,
        body: Some(data()),
        status: "200",
        answer: Some(data()),
    }
}

/// `GET` without parameters.
fn plain(path: &'static str, summary: &'static str, answer: Value) -> Operation {
    Operation { path, method: "get", summary, parameter: None, body: None, status: "200", answer: Some(answer) }
}

/// As seed 000 shows it: ages as text, times without `T` and zone.
fn employee(resource: &Resource) -> Value {
    let time = json!({"type": "string", "pattern": r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{6}$"});
    let mut properties = fields(resource, &employees::FIELDS, schemas::answered);
    properties["age"] = json!({"type": "string", "pattern": "^-?[0-9]+$"});
    properties["id"] = json!({"type": "string", "format": "uuid"});
    properties["created_at"] = time.clone();
    properties["updated_at"] = time;
    object(&properties)
}

fn passenger(resource: &Resource) -> Value {
    let mut properties = fields(resource, &passengers::FIELDS, schemas::answered);
    properties["uuid"] = json!({"type": "string", "format": "uuid"});
    object(&properties)
}

fn fields(resource: &Resource, names: &[&str], schema: fn(&crate::model::Field) -> Value) -> Value {
    let fields = names.iter().filter_map(|name| resource.field(name));
    Value::Object(fields.map(|field| (field.name.clone(), schema(field))).collect())
}

/// An object with these properties, all of them required.
fn object(properties: &Value) -> Value {
    let names: Vec<String> = properties.as_object().map(|object| object.keys().cloned().collect()).unwrap_or_default();
    json!({"type": "object", "properties": properties, "required": names})
}

fn add(paths: &mut Map<String, Value>, tag: &str, operations: Vec<Operation>) {
    for operation in operations {
        let content = |schema: Value| json!({"application/json": {"schema": schema}});
        let mut answer = Map::from_iter([("description".to_owned(), json!("Done."))]);
        if let Some(schema) = operation.answer {
            answer.insert("content".into(), content(schema));
        }
        let wrong = json!({"description": "Refused: the message says why.", "content": content(reference("Message"))});
        let id = operation.path.split("/{").next().unwrap_or_default().trim_start_matches('/').replace('/', "_");
        let mut value = json!({
            "tags": [tag], "operationId": format!("seed_{}_{id}", operation.method), "summary": operation.summary,
            "responses": {operation.status: answer, "default": wrong},
        });
        if let Some((name, schema)) = operation.parameter {
            value["parameters"] = json!([{"name": name, "in": "path", "required": true, "schema": schema}]);
        }
        if let Some(schema) = operation.body {
            value["requestBody"] = json!({"required": true, "content": content(schema)});
        }
        let path = paths.entry(operation.path).or_insert_with(|| json!({}));
        path[operation.method] = value;
    }
}
