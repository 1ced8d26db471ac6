//! What of an object is whose: `managedFields`.
//!
//! Where the fields that crudctl owns, and their values, are what they were when a manifest was applied, applying it again changes nothing:
//! another writer who changes a value becomes its owner. So a release remembers a proof of each object, and a second run needs no dry run.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::MANAGER;
use super::object::{items, text};

/// The fields that a manager applied.
pub(super) fn fields<'a>(object: &'a Value, manager: &str) -> Option<&'a Value> {
    let all = items(object, "/metadata/managedFields");
    let ours = all.iter().find(|m| m["manager"] == manager && m["operation"] == "Apply" && m["subresource"].is_null());
    ours.map(|m| &m["fieldsV1"])
}

/// A digest of the fields that crudctl owns, and of their values; none where it owns nothing.
pub(super) fn proof(object: &Value) -> Option<String> {
    let fields = fields(object, MANAGER)?;
    let owned = json!([text(object, "/metadata/uid"), fields, values(fields, object)]);
    Some(STANDARD_NO_PAD.encode(&Sha256::digest(owned.to_string().as_bytes())[..16]))
}

/// The values of fields: `f:NAME` is a mapping's, `k:{…}` a list's item by its keys. Members of sets (`v:`) are their own values.
fn values(fields: &Value, object: &Value) -> Value {
    let Some(fields) = fields.as_object().filter(|fields| !fields.is_empty()) else { return object.clone() };
    let inner = fields.iter().filter_map(|(key, fields)| {
        let found = if let Some(name) = key.strip_prefix("f:") {
            object.get(name)
        } else {
            let keys: Value = serde_json::from_str(key.strip_prefix("k:")?).ok()?;
            let keys = keys.as_object()?.clone();
            object.as_array()?.iter().find(|item| keys.iter().all(|(key, value)| item.get(key) == Some(value)))
        };
        Some(values(fields, found.unwrap_or(&Value::Null)))
    });
    Value::Array(inner.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(image: &str, replicas: i64, owner: &str) -> Value {
        let fields =
            json!({"f:spec": {"f:containers": {"k:{\"name\":\"app\"}": {".": {}, "f:name": {}, "f:image": {}}}}});
        json!({"metadata": {"uid": "u", "managedFields": [{"manager": owner, "operation": "Apply", "fieldsV1": fields}]},
            "spec": {"replicas": replicas, "containers": [{"name": "side"}, {"name": "app", "image": image}]}})
    }

    #[test]
    fn only_what_is_ours_counts() {
        let before = proof(&object("a", 1, MANAGER)).unwrap();
        assert_eq!(proof(&object("a", 5, MANAGER)).unwrap(), before, "others may scale");
        assert_ne!(proof(&object("b", 1, MANAGER)).unwrap(), before);
        assert_eq!(proof(&object("a", 1, "kubectl")), None);
    }
}
