//! What differs between two states of an object, as text: without what the server writes, secrets masked.

use serde_json::Value;

use super::object::text;
use crate::modules::Diff;
use crate::text::yaml_out::{self, Flow, Options};

const LAYOUT: Options = Options {
    indent: 2,
    width: usize::MAX,
    sort_keys: false,
    flow: Flow::None,
    unicode: true,
    style: None,
    blocks: true,
};

/// An object without what only the server writes.
pub(crate) fn plain(object: &Value) -> Value {
    let mut object = object.clone();
    if let Some(all) = object.as_object_mut() {
        all.remove("status");
    }
    if let Some(metadata) = object["metadata"].as_object_mut() {
        for key in ["managedFields", "resourceVersion", "generation", "uid", "creationTimestamp", "selfLink"] {
            metadata.remove(key);
        }
    }
    object
}

/// The text of an object.
pub(crate) fn yaml(object: &Value) -> String {
    yaml_out::dump(object, &LAYOUT)
}

/// The difference for people.
pub(crate) fn between(name: &str, before: Option<&Value>, after: Option<&Value>) -> Diff {
    let (mut old, mut new) = (before.map(plain), after.map(plain));
    mask(old.as_mut(), new.as_mut());
    let shown = |object: Option<Value>| object.map(|o| yaml(&o)).unwrap_or_default();
    Diff { before_header: name.into(), after_header: name.into(), before: shown(old), after: shown(new) }
}

/// Values of a Secret become words that tell only whether they change.
fn mask<'a>(mut old: Option<&'a mut Value>, mut new: Option<&'a mut Value>) {
    let secret = |object: &Option<&mut Value>| object.as_ref().is_some_and(|o| text(o, "/kind") == "Secret");
    if !secret(&old) && !secret(&new) {
        return;
    }
    for field in ["data", "stringData"] {
        let before = old.as_ref().map(|o| o[field].clone()).unwrap_or_default();
        for (object, word) in [(&mut old, "(masked)"), (&mut new, "(masked, changed)")] {
            let Some(data) = object.as_mut().and_then(|o| o.get_mut(field)).and_then(Value::as_object_mut) else {
                continue;
            };
            for (key, value) in data {
                let same = before.get(key) == Some(value) || before.get(key).is_none();
                *value = if same { "(masked)" } else { word }.into();
            }
        }
    }
    // `kubectl apply` keeps a copy.
    for object in [old, new].into_iter().flatten() {
        let copy = object.pointer_mut("/metadata/annotations/kubectl.kubernetes.io~1last-applied-configuration");
        if let Some(copy) = copy {
            *copy = "(masked)".into();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn secrets_are_masked_and_still_tell_what_changes() {
        let secret =
            |a: &str| json!({"kind": "Secret", "metadata": {"name": "s", "uid": "1"}, "data": {"a": a, "b": "eA=="}});
        let diff = between("s", Some(&secret("b2xk")), Some(&secret("bmV3")));
        assert_eq!(diff.before, "kind: Secret\nmetadata:\n  name: s\ndata:\n  a: (masked)\n  b: (masked)\n");
        assert_eq!(diff.after, "kind: Secret\nmetadata:\n  name: s\ndata:\n  a: (masked, changed)\n  b: (masked)\n");
    }
}
