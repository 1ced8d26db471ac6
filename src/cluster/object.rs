//! Objects: who they are, how manifests are read.

use std::fmt;

use anyhow::{Context as _, bail};
use base64::Engine as _;
use serde_json::{Map, Value};

use crate::text::{Source, parse};

/// Text at a JSON pointer, empty where there is none.
pub(crate) fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// A number at a JSON pointer, 0 where there is none.
pub(crate) fn number(value: &Value, pointer: &str) -> i64 {
    value.pointer(pointer).and_then(Value::as_i64).unwrap_or_default()
}

/// The items at a JSON pointer.
pub(crate) fn items<'a>(value: &'a Value, pointer: &str) -> &'a [Value] {
    value.pointer(pointer).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

/// Which object.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Id {
    /// `apps/v1`.
    pub api_version: String,
    /// `Deployment`.
    pub kind: String,
    /// None for objects of the whole cluster.
    pub namespace: Option<String>,
    /// Its name.
    pub name: String,
}

impl Id {
    /// Of an object.
    ///
    /// # Errors
    /// It does not say who it is.
    pub(crate) fn of(object: &Value) -> anyhow::Result<Self> {
        let need = |pointer: &str| -> anyhow::Result<String> {
            let found = text(object, pointer);
            if found.is_empty() {
                let what = if text(object, "/kind").is_empty() { "a manifest" } else { text(object, "/kind") };
                bail!("{what} without `{}`", pointer.trim_start_matches('/').replace('/', "."));
            }
            Ok(found.to_owned())
        };
        let namespace = Some(text(object, "/metadata/namespace")).filter(|n| !n.is_empty()).map(str::to_owned);
        let id =
            Self { api_version: need("/apiVersion")?, kind: need("/kind")?, namespace, name: need("/metadata/name")? };
        // It becomes part of a path.
        let parts = [&id.api_version, &id.name, id.namespace.as_ref().unwrap_or(&id.name)];
        if parts.iter().any(|p| p.contains(['?', '#', '%', ' ']) || p.contains("..")) || id.name.contains('/') {
            bail!("`{}` can't be the name of a {}", id.name, id.kind);
        }
        Ok(id)
    }

    /// Its group, empty for the core's.
    pub(crate) fn group(&self) -> &str {
        self.api_version.split_once('/').map_or("", |(group, _)| group)
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.namespace {
            Some(namespace) => write!(f, "{} {namespace}/{}", self.kind, self.name),
            None => write!(f, "{} {}", self.kind, self.name),
        }
    }
}

/// The objects of a manifest: documents of YAML, `List`s taken apart.
///
/// # Errors
/// It is no YAML, or holds something else than objects.
pub(crate) fn read(name: &str, manifest: &str) -> anyhow::Result<Vec<Value>> {
    let source = Source::new(name, manifest);
    let parsed = parse(&source).map_err(|error| {
        let line = error.place.as_ref().map_or(0, |place| place.line_col().0);
        anyhow::anyhow!("{name}:{line}: {error}")
    })?;
    let mut all = Vec::new();
    for document in parsed.documents {
        flatten(document.to_json(), &mut all).with_context(|| name.to_owned())?;
    }
    Ok(all)
}

/// Objects of a value: one, a list of them, a `List`; nothing of null.
///
/// # Errors
/// It is something else.
pub(crate) fn flatten(value: Value, all: &mut Vec<Value>) -> anyhow::Result<()> {
    match value {
        Value::Null => Ok(()),
        Value::Array(values) => values.into_iter().try_for_each(|value| flatten(value, all)),
        Value::Object(mut object) if is_list(&object) => flatten(object.remove("items").unwrap_or_default(), all),
        Value::Object(object) => {
            all.push(Value::Object(object));
            Ok(())
        }
        other => bail!("`{other}` is no Kubernetes object"),
    }
}

fn is_list(object: &Map<String, Value>) -> bool {
    let kind = object.get("kind").and_then(Value::as_str).unwrap_or_default();
    kind.ends_with("List") && object.get("items").is_some_and(Value::is_array)
}

/// A Secret's `stringData` as `data`: the server forgets who owns the former.
pub(crate) fn settle(object: &mut Value) {
    if text(object, "/kind") != "Secret" {
        return;
    }
    let Some(Value::Object(plain)) = object.as_object_mut().and_then(|o| o.remove("stringData")) else { return };
    let mut data = object["data"].as_object().cloned().unwrap_or_else(Map::new);
    for (key, value) in plain {
        let bytes = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        data.insert(key, base64::engine::general_purpose::STANDARD.encode(bytes).into());
    }
    object["data"] = Value::Object(data);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_and_lists_are_taken_apart() {
        let all =
            read("m.yml", "---\nkind: List\napiVersion: v1\nitems:\n- {kind: A}\n- {kind: B}\n---\n---\nkind: C\n")
                .unwrap();
        assert_eq!(all.iter().map(|o| text(o, "/kind")).collect::<Vec<_>>(), ["A", "B", "C"]);
        assert!(read("m.yml", "just text\n").is_err());
    }

    #[test]
    fn an_object_says_who_it_is() {
        let id = |yaml: &str| Id::of(&read("m", yaml).unwrap()[0]).map(|id| id.to_string()).map_err(|e| e.to_string());
        assert_eq!(id("apiVersion: v1\nkind: Pod\nmetadata: {name: a, namespace: b}").unwrap(), "Pod b/a");
        assert_eq!(id("apiVersion: v1\nkind: Pod\nmetadata: {}").unwrap_err(), "Pod without `metadata.name`");
        assert!(id("apiVersion: v1\nkind: Pod\nmetadata: {name: ../x}").unwrap_err().contains("can't be the name"));
    }

    #[test]
    fn plain_data_of_secrets_is_encoded() {
        let mut secret = serde_json::json!({"kind": "Secret", "stringData": {"a": "b"}, "data": {"c": "ZA=="}});
        settle(&mut secret);
        assert_eq!(secret, serde_json::json!({"kind": "Secret", "data": {"c": "ZA==", "a": "Yg=="}}));
    }
}
