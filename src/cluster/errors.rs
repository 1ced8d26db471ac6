//! What the API server refuses, in words that say what to do.

use kube::Error;

/// The HTTP status of a refusal.
pub(crate) fn code(error: &Error) -> Option<u16> {
    if let Error::Api(status) = error { Some(status.code) } else { None }
}

/// An error as users read it.
pub(crate) fn said(error: Error) -> anyhow::Error {
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
        403 => " (hint: the user of the kubeconfig's context lacks this right)",
        422 if message.contains("immutable") || message.contains("updates to") => {
            " (hint: this can't be changed in place: remove the object, then run again)"
        }
        _ => "",
    };
    anyhow::anyhow!("{message}{hint}")
}
