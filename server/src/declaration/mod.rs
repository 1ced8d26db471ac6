//! Declarations: what a file in `resources/` says, read and checked, as a [`Resource`].

mod catalogue;
mod entry;
mod rules;

use std::fmt;

pub use catalogue::load;

use crate::model::Resource;

/// A place in a declaration, counted from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place {
    line: u64,
    column: u64,
}

impl From<serde_saphyr::Location> for Place {
    fn from(at: serde_saphyr::Location) -> Self {
        Self { line: at.line(), column: at.column() }
    }
}

/// What is wrong with a declaration, each with its place.
#[derive(Debug)]
pub struct Wrong {
    file: String,
    errors: Vec<(Place, String)>,
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (at, message)) in self.errors.iter().enumerate() {
            let end = if index == 0 { "" } else { "\n" };
            write!(f, "{end}{}:{}:{}: {message}", self.file, at.line, at.column)?;
        }
        Ok(())
    }
}

impl std::error::Error for Wrong {}

/// Reads one declaration. `file` stands in errors, `stem` is the resource's name unless the text gives one.
///
/// # Errors
/// The first thing that is no declaration at all, or everything that is wrong with one.
pub fn read(file: &str, stem: &str, text: &str) -> Result<Resource, Wrong> {
    let wrong = |errors| Wrong { file: file.to_owned(), errors };
    let entry: entry::Entry = serde_saphyr::from_str(text).map_err(|error| {
        let at = error.location().map_or(Place { line: 1, column: 1 }, Place::from);
        wrong(vec![(at, entry::message(&error))])
    })?;
    rules::resource(entry, stem).map_err(wrong)
}
