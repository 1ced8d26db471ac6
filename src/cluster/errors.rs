//! What the API server refuses, in words that say what to do.

use std::fmt;

use kube::Error;

/// A right is missing.
#[derive(Debug)]
pub(crate) struct Forbidden(String);

impl fmt::Display for Forbidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Forbidden {}

/// Whether a right is missing.
pub(crate) fn forbidden(error: &anyhow::Error) -> bool {
    error.downcast_ref::<Forbidden>().is_some()
}

/// Whether a field can't be changed in place.
pub(crate) fn immutable(error: &Error) -> bool {
    let Error::Api(status) = &error else { return false };
    let words = ["immutable", "updates to", "may not change", "cannot change"];
    status.code == 422 && words.iter().any(|word| status.message.contains(word))
}

/// Whether another wrote at the same moment; a conflict about who owns a field is another matter.
pub(crate) fn overtaken(error: &Error) -> bool {
    let Error::Api(status) = error else { return false };
    let causes = status.details.as_ref().map(|d| d.causes.as_slice()).unwrap_or_default();
    status.code == 409 && status.reason == "Conflict" && causes.iter().all(|c| c.reason != "FieldManagerConflict")
}

/// The HTTP status of a refusal.
pub(crate) fn code(error: &Error) -> Option<u16> {
    if let Error::Api(status) = error { Some(status.code) } else { None }
}

/// An error as users read it.
pub(crate) fn said(error: Error) -> anyhow::Error {
    let fixed = immutable(&error);
    let Error::Api(status) = error else {
        let mut text = error.to_string();
        let mut source = std::error::Error::source(&error);
        while let Some(inner) = source {
            let more = inner.to_string();
            if !text.contains(&more) {
                text = format!("{text}: {more}");
            }
            source = inner.source();
        }
        return anyhow::anyhow!("the API server can't be asked: {text}");
    };
    let causes = status.details.as_ref().map(|d| d.causes.as_slice()).unwrap_or_default();
    let conflicts: Vec<String> = causes
        .iter()
        .filter(|cause| cause.reason == "FieldManagerConflict")
        .map(|cause| format!("{} ({})", cause.field, cause.message))
        .collect();
    if !conflicts.is_empty() {
        return anyhow::anyhow!(
            "others own what would change: {} (hint: leave these fields out, or take them with `force_conflicts`)",
            conflicts.join("; ")
        );
    }
    let message = &status.message;
    let hint = match status.code {
        401 => " (hint: the credentials are wrong or have expired)",
        403 if message.contains("exceeded quota") => " (hint: the namespace's ResourceQuota leaves no room)",
        403 => {
            let hint = "hint: the user of the kubeconfig's context lacks this right";
            return anyhow::Error::new(Forbidden(format!("{message} ({hint})")));
        }
        _ if fixed => {
            " (hint: this can't be changed in place: `deploy --replace` removes the object and makes it again)"
        }
        _ => "",
    };
    anyhow::anyhow!("{message}{hint}")
}
