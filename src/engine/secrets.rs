//! Values that nobody may read: tracked by value, redacted in everything that is reported.

use std::collections::BTreeSet;
use std::sync::{Arc, PoisonError, RwLock};

use serde_json::Value;

use super::event::Event;

/// What stands in a secret's place.
const MASK: &str = "********";
/// Shorter values are not tracked: redacting them would garble everything (and hide little).
const SHORTEST: usize = 4;

/// The secrets of a run; clones share them.
#[derive(Clone, Default)]
pub struct Secrets(Arc<RwLock<BTreeSet<Secret>>>);

/// Ordered by falling length, so that a secret within a longer one does not leave the rest readable.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Secret(std::cmp::Reverse<usize>, String);

impl Secrets {
    /// Tracks a value: a string, or all strings within.
    pub fn track(&self, value: &Value) {
        match value {
            Value::String(text) => self.track_text(text),
            Value::Array(items) => items.iter().for_each(|item| self.track(item)),
            Value::Object(map) => map.values().for_each(|item| self.track(item)),
            _ => {}
        }
    }

    /// Tracks a text: whole and, where it has several lines (a private key), each long line.
    pub fn track_text(&self, text: &str) {
        let mut all = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let mut add = |text: &str| {
            if text.len() >= SHORTEST {
                all.insert(Secret(std::cmp::Reverse(text.len()), text.to_owned()));
                // As it stands in quoted text and JSON.
                let escaped = Value::from(text).to_string();
                let escaped = &escaped[1..escaped.len() - 1];
                if escaped != text {
                    all.insert(Secret(std::cmp::Reverse(escaped.len()), escaped.to_owned()));
                }
            }
        };
        add(text.trim());
        if text.trim().contains('\n') {
            text.lines().map(str::trim).filter(|line| line.len() >= 12).for_each(add);
        }
    }

    /// The text with secrets redacted.
    pub fn mask(&self, text: &str) -> String {
        let all = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let mut out = text.to_owned();
        for Secret(_, secret) in all.iter() {
            if out.contains(secret.as_str()) {
                out = out.replace(secret.as_str(), MASK);
            }
        }
        out
    }

    /// The event with secrets redacted.
    pub fn mask_event(&self, event: Event) -> Event {
        if self.0.read().unwrap_or_else(PoisonError::into_inner).is_empty() {
            return event;
        }
        let Ok(mut value) = serde_json::to_value(&event) else { return event };
        self.mask_value(&mut value);
        // An event that no longer reads as one would be a defect; dropping its text is the safe end of it.
        serde_json::from_value(value).unwrap_or_else(|_| Event::Warning {
            text: "an event was withheld: it held a secret where none can be".into(),
        })
    }

    fn mask_value(&self, value: &mut Value) {
        match value {
            Value::String(text) => *text = self.mask(text),
            Value::Array(items) => items.iter_mut().for_each(|item| self.mask_value(item)),
            Value::Object(map) => map.values_mut().for_each(|item| self.mask_value(item)),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_redacted_by_value_the_longest_first() {
        let secrets = Secrets::default();
        secrets.track(&serde_json::json!({"a": "hunter", "b": ["hunter22", "x"]}));
        assert_eq!(secrets.mask("hunter22 and hunter, x"), "******** and ********, x");
    }

    #[test]
    fn a_key_is_redacted_line_by_line() {
        let secrets = Secrets::default();
        secrets.track_text("-----BEGIN-----\nAAAAAAAAAAAAAAAA\n-----END-----\n");
        assert_eq!(secrets.mask("line AAAAAAAAAAAAAAAA"), "line ********");
    }

    #[test]
    fn events_keep_their_shape() {
        let secrets = Secrets::default();
        secrets.track_text("p\"ass");
        let event = secrets.mask_event(Event::Warning { text: "p\"ass {\"p\\\"ass\"}".into() });
        assert!(matches!(event, Event::Warning { text } if text == "******** {\"********\"}"));
    }
}
