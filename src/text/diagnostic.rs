//! What is wrong, where, and what to do: the one shape of every error at the edge.

use std::fmt;

use super::Place;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// Nothing can go on.
    Error,
    /// It goes on, but a user wants to know.
    Warning,
}

/// A message with its place, notes and a hint.
#[derive(Debug, Clone)]
pub struct Diagnostic {
    /// Error or warning.
    pub level: Level,
    /// One lower-case sentence without a full stop, literals in backticks.
    pub message: String,
    /// Where it stands.
    pub place: Option<Place>,
    /// Facts that explain it, one sentence each.
    pub notes: Vec<String>,
    /// What to do.
    pub hint: Option<String>,
}

impl Diagnostic {
    /// An error at a place.
    pub fn error(message: impl Into<String>, place: &Place) -> Self {
        Self { level: Level::Error, message: message.into(), place: Some(place.clone()), notes: vec![], hint: None }
    }

    /// An error that no text holds.
    pub fn plain(message: impl Into<String>) -> Self {
        Self { level: Level::Error, message: message.into(), place: None, notes: vec![], hint: None }
    }

    /// The same as a warning.
    #[must_use]
    pub fn warning(mut self) -> Self {
        self.level = Level::Warning;
        self
    }

    /// With one more note.
    #[must_use]
    pub fn note(mut self, note: impl Into<String>) -> Self {
        self.notes.push(note.into());
        self
    }

    /// With a hint.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Diagnostic {}
