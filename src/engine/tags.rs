//! Which tasks `--tags` and `--skip-tags` select.

use std::collections::BTreeSet;

use crate::language::Frame;
use crate::text::{Diagnostic, Node};

/// A frame's tags, rendered (a list variable gives several); what can't be rendered stands as it is written.
pub(crate) fn of(frame: &Frame, render: impl Fn(&Node) -> Result<serde_json::Value, Diagnostic>) -> BTreeSet<String> {
    let mut all = BTreeSet::new();
    for node in frame.tags() {
        let value = render(node).unwrap_or_else(|_| node.to_json());
        let mut add = |value: &serde_json::Value| match value {
            serde_json::Value::String(text) => {
                all.extend(text.split(',').map(str::trim).filter(|t| !t.is_empty()).map(str::to_owned));
            }
            other => {
                all.insert(other.to_string());
            }
        };
        match &value {
            serde_json::Value::Array(items) => items.iter().for_each(&mut add),
            other => add(other),
        }
    }
    all
}

/// Whether a task with these tags is to run.
pub(crate) fn selected(tags: &BTreeSet<String>, only: &[String], skip: &[String]) -> bool {
    let has = |tag: &str| tags.contains(tag);
    let tagged = tags.iter().any(|t| t != "always" && t != "never") || !tags.is_empty();
    let matches = |wanted: &[String]| wanted.iter().any(|w| has(w));
    let wants = |name: &str| only.iter().any(|t| t == name);
    let run = if only.is_empty() || wants("all") {
        !has("never") || matches(only)
    } else {
        has("always") || matches(only) || (wants("tagged") && tagged && !has("never")) || (wants("untagged") && !tagged)
    };
    if !run {
        return false;
    }
    let skips = |name: &str| skip.iter().any(|t| t == name);
    let always = has("always");
    let skipped = if skips("all") {
        !always || skips("always")
    } else {
        matches(skip) || (skips("tagged") && tagged && (!always || skips("always"))) || (skips("untagged") && !tagged)
    };
    !skipped
}

#[cfg(test)]
mod tests {
    use super::*;

    fn runs(tags: &[&str], only: &[&str], skip: &[&str]) -> bool {
        let own = |list: &[&str]| list.iter().map(|t| (*t).to_owned()).collect::<Vec<_>>();
        selected(&own(tags).into_iter().collect(), &own(only), &own(skip))
    }

    #[test]
    fn always_and_never_are_as_documented() {
        assert!(runs(&[], &[], &[]));
        assert!(!runs(&["never"], &[], &[]));
        assert!(runs(&["never", "debug"], &["debug"], &[]));
        assert!(runs(&["always"], &["other"], &[]));
        assert!(!runs(&["always"], &["other"], &["always"]));
        assert!(!runs(&["never", "always"], &[], &["always"]));
    }

    #[test]
    fn tagged_and_untagged_are_classes() {
        assert!(runs(&["a"], &["tagged"], &[]));
        assert!(!runs(&[], &["tagged"], &[]));
        assert!(runs(&[], &["untagged"], &[]));
        assert!(!runs(&["a"], &["untagged"], &[]));
        assert!(!runs(&["a"], &[], &["tagged"]));
        assert!(!runs(&["a"], &["a"], &["a"]));
    }
}
