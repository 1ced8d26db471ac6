//! Why a registry did not do what it was asked for.

use std::fmt;

use reqwest::StatusCode;
use serde_json::Value;

/// An answer that is no success, with what was to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// What was to be done, and where: `push the manifest of registry.example.org/team/app`.
    pub action: String,
    /// The answer's status.
    pub status: StatusCode,
    /// What the registry says: its errors' codes and messages, or the beginning of its text.
    pub said: String,
    /// What may help.
    pub hint: Option<String>,
}

impl Refusal {
    /// Whether the registry said so with this code of the distribution specification (`BLOB_UPLOAD_UNKNOWN`).
    pub fn has_code(&self, code: &str) -> bool {
        self.said.split([' ', ':']).any(|word| word == code)
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "could not {}: the registry answered {}", self.action, self.status)?;
        if !self.said.is_empty() {
            write!(f, ": {}", self.said)?;
        }
        self.hint.as_ref().map_or(Ok(()), |hint| write!(f, " (hint: {hint})"))
    }
}

impl std::error::Error for Refusal {}

/// What the body of a refusal says: `{"errors": [{"code", "message"}]}`, or any text.
pub fn said(body: &[u8]) -> String {
    let parsed: Value = serde_json::from_slice(body).unwrap_or_default();
    let errors = parsed["errors"].as_array().map(Vec::as_slice).unwrap_or_default();
    let part = |error: &Value| {
        let parts = [&error["code"], &error["message"]].map(|part| part.as_str().unwrap_or_default());
        parts.iter().filter(|part| !part.is_empty()).copied().collect::<Vec<_>>().join(": ")
    };
    if errors.is_empty() {
        let text = parsed["details"].as_str().or(parsed["message"].as_str()).map(str::to_owned);
        let text = text.unwrap_or_else(|| String::from_utf8_lossy(body).into_owned());
        return text.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(300).collect();
    }
    errors.iter().map(part).collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_registries_say_is_one_line() {
        let body = br#"{"errors":[{"code":"DENIED","message":"requested access is denied"},{"code":"X"}]}"#;
        assert_eq!(said(body), "DENIED: requested access is denied; X");
        assert_eq!(said(b"<html>\n  Bad Gateway\n"), "<html> Bad Gateway");
        assert_eq!(said(br#"{"details":"incorrect username or password"}"#), "incorrect username or password");
        assert_eq!(said(b""), "");
    }
}
