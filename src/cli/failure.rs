//! Why a verb could not do its work, and the exit status that says so.

use super::exit::Exit;
use crate::text::Diagnostic;

/// Errors and an exit status.
#[derive(Debug)]
pub struct Failure {
    /// The status.
    pub exit: Exit,
    /// What is wrong.
    pub errors: Vec<Diagnostic>,
}

impl Failure {
    /// One error.
    pub fn new(exit: Exit, error: impl Into<String>) -> Self {
        Self { exit, errors: vec![Diagnostic::plain(error)] }
    }

    /// Errors of something that was read.
    pub fn of(exit: Exit, errors: Vec<Diagnostic>) -> Self {
        Self { exit, errors }
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        let error = match error.downcast::<Diagnostic>() {
            Ok(diagnostic) => diagnostic,
            Err(error) => Diagnostic::plain(format!("{error:#}")),
        };
        Self { exit: Exit::Error, errors: vec![error] }
    }
}

impl From<Vec<Diagnostic>> for Failure {
    fn from(errors: Vec<Diagnostic>) -> Self {
        Self { exit: Exit::Static, errors }
    }
}

impl From<Diagnostic> for Failure {
    fn from(error: Diagnostic) -> Self {
        Self { exit: Exit::Static, errors: vec![error] }
    }
}
