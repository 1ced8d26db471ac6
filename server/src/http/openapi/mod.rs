//! `/openapi.json`: the API reference as an OpenAPI 3.1 document, from the declarations.

mod operations;
mod schemas;
mod seeds;

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde_json::{Map, Value, json};

use super::App;
use crate::auth::{Access, Role};

pub(super) fn routes() -> Router<Arc<App>> {
    Router::new().route("/openapi.json", get(answer))
}

async fn answer(State(app): State<Arc<App>>) -> Response {
    Json(document(&app)).into_response()
}

/// The document.
pub(super) fn document(app: &App) -> Value {
    let (mut paths, mut components) = (Map::new(), Map::new());
    components.insert("Problem".into(), schemas::problem());
    let mut tags = Vec::new();
    for resource in &app.resources {
        for (path, mut item) in [
            (format!("/api/{}", resource.name), operations::collection(resource)),
            (format!("/api/{}/{{id}}", resource.name), operations::item(resource)),
        ] {
            open(&mut item, resource.access);
            paths.insert(path, item);
        }
        components.extend(schemas::of(resource));
        tags.push(json!({"name": resource.name, "description": resource.description.clone().unwrap_or_default()}));
    }
    seeds::extend(app, &mut paths, &mut components);
    let mut document = json!({
        "openapi": "3.1.0",
        "info": {"title": "crud-server", "version": app.frame.version},
        "tags": tags,
        "paths": paths,
        "components": {"schemas": components},
    });
    if app.auth.is_some() {
        document["components"]["securitySchemes"] = json!({"bearer": {"type": "http", "scheme": "bearer"}});
        document["security"] = json!([{"bearer": []}]);
    }
    document
}

/// Marks the operations that need no key.
fn open(item: &mut Value, access: Access) {
    for (method, operation) in item.as_object_mut().into_iter().flatten() {
        if method != "parameters" && access.needed(method != "get") == Role::Public {
            operation["security"] = json!([]);
        }
    }
}

/// The name of a resource's schema: `order_items` is `OrderItems`.
fn schema_name(resource: &str) -> String {
    let words = resource.split('_').filter(|word| !word.is_empty());
    words.map(|word| word[..1].to_ascii_uppercase() + &word[1..]).collect()
}

fn reference(name: &str) -> Value {
    json!({"$ref": format!("#/components/schemas/{name}")})
}
