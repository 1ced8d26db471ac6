//! A named text and places in it.

use std::fmt;
use std::sync::Arc;

/// A text that was read: a file, or something given on the command line.
#[derive(Debug, PartialEq, Eq)]
pub struct Source {
    /// The name shown to users: a path as they would type it, or `<extra vars>` and the like.
    pub name: String,
    /// The whole text.
    pub text: String,
}

impl Source {
    /// A source of this name and text.
    pub fn new(name: impl Into<String>, text: impl Into<String>) -> Arc<Self> {
        Arc::new(Self { name: name.into(), text: text.into() })
    }
}

/// A range of bytes in a source.
#[derive(Clone, PartialEq, Eq)]
pub struct Place {
    /// The text.
    pub source: Arc<Source>,
    /// Offset of the first byte.
    pub start: usize,
    /// Offset behind the last byte.
    pub end: usize,
}

impl Place {
    /// A range of bytes in `source`.
    pub fn new(source: &Arc<Source>, start: usize, end: usize) -> Self {
        Self { source: Arc::clone(source), start, end }
    }

    /// A place for values that no text holds (made by the program itself): `name` says by what.
    pub fn synthetic(name: &str) -> Self {
        Self { source: Source::new(name, ""), start: 0, end: 0 }
    }

    /// Line and column, both counted from 1, the column in characters.
    pub fn line_col(&self) -> (usize, usize) {
        let start = self.start.min(self.source.text.len());
        let before = &self.source.text.as_bytes()[..start];
        let line_start = before.iter().rposition(|b| *b == b'\n').map_or(0, |i| i + 1);
        let line = before.iter().filter(|b| **b == b'\n').count() + 1;
        let column = String::from_utf8_lossy(&before[line_start..]).chars().count() + 1;
        (line, column)
    }

    /// Whether some text holds this place.
    pub fn is_real(&self) -> bool {
        !self.source.text.is_empty()
    }
}

impl fmt::Display for Place {
    /// `file:line:col`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (line, col) = self.line_col();
        write!(f, "{}:{line}:{col}", self.source.name)
    }
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
