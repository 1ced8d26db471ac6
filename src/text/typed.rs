//! Typing: a serde `Deserializer` over [`Node`].

use serde::de::DeserializeOwned;

use super::{Diagnostic, Node};

/// Types a node. Errors point at the value (or key) that is wrong.
///
/// # Errors
/// What doesn't fit, as a diagnostic.
pub fn typed<T: DeserializeOwned>(node: &Node) -> Result<T, Diagnostic> {
    serde_json::from_value(node.to_json()).map_err(|error| Diagnostic::error(error.to_string(), &node.place))
}
