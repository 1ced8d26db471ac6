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

/// A diagnostic as people read it: message, `--> file:line:col`, the source line with a caret, notes, hint.
pub fn render_diagnostic(diagnostic: &Diagnostic, color: bool) -> String {
    use annotate_snippets::{AnnotationKind, Level as L, Renderer, Snippet};

    let level = match diagnostic.level {
        Level::Error => L::ERROR,
        Level::Warning => L::WARNING,
    };
    let mut group =
        level.primary_title(&diagnostic.message).elements(Vec::<Snippet<'_, annotate_snippets::Annotation<'_>>>::new());
    let excerpt = diagnostic.place.as_ref().filter(|place| place.is_real()).map(Excerpt::of);
    if let Some(excerpt) = &excerpt {
        group = group.element(
            Snippet::source(&excerpt.text)
                .path(&excerpt.name)
                .line_start(excerpt.line)
                .annotation(AnnotationKind::Primary.span(excerpt.start..excerpt.end)),
        );
    }
    for note in &diagnostic.notes {
        group = group.element(L::NOTE.message(note));
    }
    if let Some(hint) = &diagnostic.hint {
        group = group.element(L::HELP.message(hint));
    }
    let renderer = if color { Renderer::styled() } else { Renderer::plain() };
    let text = renderer.render(&[group]);
    match &diagnostic.place {
        Some(place) if !place.is_real() && !place.source.name.is_empty() && place.source.name.starts_with('<') => {
            format!("{text}\n  --> {}", place.source.name)
        }
        _ => text,
    }
}

/// Longest part of a line that is shown, in bytes.
const WIDTH: usize = 300;

/// The line of a place, cut where it is long.
struct Excerpt {
    name: String,
    text: String,
    line: usize,
    start: usize,
    end: usize,
}

impl Excerpt {
    fn of(place: &super::Place) -> Self {
        let text = &place.source.text;
        let boundary = |mut at: usize| {
            at = at.min(text.len());
            while !text.is_char_boundary(at) {
                at -= 1;
            }
            at
        };
        let start = boundary(place.start);
        let line_start = text[..start].rfind('\n').map_or(0, |i| i + 1);
        let line_end = text[start..].find('\n').map_or(text.len(), |i| start + i);
        let from = if start - line_start > WIDTH { boundary(start - WIDTH / 2) } else { line_start };
        let to = boundary(line_end.min(from + WIDTH));
        let end = boundary(place.end).clamp(start, to.max(start));
        let end = if end == start { (start + 1).min(to).max(start) } else { end };
        let end = {
            let mut end = end;
            while !text.is_char_boundary(end) {
                end += 1;
            }
            end
        };
        let shown = text[from..to.max(end)].trim_end_matches(['\n', '\r']).to_owned();
        // What was trimmed may have been within the place.
        let (start, end) = ((start - from).min(shown.len()), (end - from).min(shown.len()));
        Self { name: place.source.name.clone(), text: shown, line: place.line_col().0, start, end }
    }
}
