//! `crudctl check`: all static errors of playbooks at once.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use serde_json::json;

use super::args::{Common, Selection};
use super::common;
use super::exit::Exit;
use super::failure::Failure;
use super::{report_errors, say};
use crate::language::check;
use crate::report::Output;
use crate::text::{Diagnostic, Level};

/// Check playbooks without any host: modules, arguments, templates, roles, files
///
/// Reports all errors at once, each with its place; the exit status is 3 when there are any.
#[derive(Debug, Args)]
pub struct Check {
    /// The playbooks
    #[arg(required = true, value_name = "PLAYBOOK")]
    playbooks: Vec<PathBuf>,
    /// Form of the errors
    #[arg(long, value_enum, default_value_t)]
    output: Form,
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
enum Form {
    /// For people
    #[default]
    Human,
    /// One object a line
    Json,
}

impl Check {
    /// Runs the verb.
    pub fn run(&self) -> Result<Exit, Failure> {
        let start = common::start(&self.common, Output::Plain);
        let dirs: Vec<PathBuf> = self.playbooks.iter().map(|path| common::directory(path)).collect();
        // No host takes part: an inventory that can't be read is no error of a playbook.
        let common = Common { inventory: vec!["localhost,".into()], ..self.common.clone() };
        let setup = common::setup(&start, &common, &Selection::default(), &dirs)?;
        let mut errors = vec![];
        for path in &self.playbooks {
            errors.extend(check::read_whole(path, &setup.templar, &setup.loader).err().unwrap_or_default());
        }
        for warning in setup.loader.warnings() {
            setup.events.diagnostic(&warning);
        }
        match self.output {
            Form::Human => report_errors(&errors),
            Form::Json => errors.iter().for_each(|error| say(&line(error))),
        }
        Ok(if errors.is_empty() { Exit::Ok } else { Exit::Static })
    }
}

/// A diagnostic as one line of JSON.
fn line(error: &Diagnostic) -> String {
    let place = error.place.as_ref().map(|place| {
        let (line, column) = place.line_col();
        json!({"file": place.source.name, "line": line, "column": column})
    });
    let level = if error.level == Level::Error { "error" } else { "warning" };
    json!({"level": level, "message": error.message, "place": place, "notes": error.notes, "hint": error.hint})
        .to_string()
}
