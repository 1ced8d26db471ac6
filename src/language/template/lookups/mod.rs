//! Lookups: values from files, programs, the environment, and lists made of lists. All of them look at this machine, never at a host.

mod files;
mod lists;
mod password;
mod programs;

use std::path::PathBuf;

use serde_json::{Map, Value};

use super::call::truthy;
use crate::text::python;

/// What a lookup gives: a list, or why it can't.
pub type Found = Result<Vec<Value>, String>;

/// What a lookup may know of where it stands.
pub trait Surroundings {
    /// Directories in which files are looked up, the best first.
    fn search_paths(&self) -> Vec<PathBuf>;
    /// A variable's value, rendered.
    fn variable(&self, name: &str) -> Result<Option<Value>, String>;
    /// Names of all variables.
    fn names(&self) -> Vec<String>;
    /// A template file's text, rendered; options are those of `template`.
    fn render(&self, name: &str, text: &str, options: &Map<String, Value>) -> Result<String, String>;
    /// A vaulted text's plain one.
    fn decrypt(&self, text: &str) -> Result<String, String>;
    /// Hosts that match a pattern.
    fn matching(&self, pattern: &str) -> Result<Vec<String>, String>;
}

/// A lookup's call.
pub struct Lookup<'a> {
    /// The terms.
    pub terms: Vec<Value>,
    /// Options by name.
    pub options: Map<String, Value>,
    /// Where it stands.
    pub around: &'a dyn Surroundings,
}

impl Lookup<'_> {
    /// The terms as text.
    fn texts(&self) -> Vec<String> {
        self.terms.iter().map(python::str_of).collect()
    }

    fn flag(&self, name: &str, default: bool) -> bool {
        self.options.get(name).map_or(default, |value| match value {
            Value::String(text) => matches!(text.to_lowercase().as_str(), "yes" | "true" | "on" | "1" | "y" | "t"),
            other => truthy(other),
        })
    }

    /// Refuses options that are not among these.
    fn only(&self, lookup: &str, names: &[&str]) -> Result<(), String> {
        match self.options.keys().find(|name| !names.contains(&name.as_str())) {
            Some(name) => Err(format!("the lookup `{lookup}` has no option `{name}`")),
            None => Ok(()),
        }
    }

    /// The file that a name stands for: looked up in `SUB/` of each search path and in the path itself.
    fn find(&self, sub: &str, name: &str) -> Option<PathBuf> {
        let name = super::filters::expanduser(name);
        let path = PathBuf::from(&name);
        if path.is_absolute() {
            return path.exists().then_some(path);
        }
        self.around
            .search_paths()
            .into_iter()
            .flat_map(|dir| [dir.join(sub).join(&name), dir.join(&name)])
            .find(|candidate| candidate.exists())
    }
}

type Function = fn(&Lookup<'_>) -> Found;

const LOOKUPS: &[(&str, Function)] = &[
    ("items", lists::items),
    ("list", lists::list),
    ("dict", lists::dict),
    ("indexed_items", lists::indexed_items),
    ("nested", lists::nested),
    ("cartesian", lists::nested),
    ("together", lists::together),
    ("flattened", lists::flattened),
    ("sequence", lists::sequence),
    ("random_choice", lists::random_choice),
    ("subelements", lists::subelements),
    ("file", files::file),
    ("unvault", files::unvault),
    ("fileglob", files::fileglob),
    ("first_found", files::first_found),
    ("template", files::template),
    ("ini", files::ini),
    ("csvfile", files::csvfile),
    ("config", programs::config),
    ("env", programs::env),
    ("pipe", programs::pipe),
    ("lines", programs::lines),
    ("vars", programs::vars),
    ("varnames", programs::varnames),
    ("inventory_hostnames", programs::inventory_hostnames),
    ("password", password::password),
];

/// Whether there is such a lookup.
pub fn exists(name: &str) -> bool {
    find(name).is_some()
}

/// Names of all lookups.
pub fn names() -> impl Iterator<Item = &'static str> {
    LOOKUPS.iter().map(|(name, _)| *name)
}

fn find(name: &str) -> Option<Function> {
    let short = ["ansible.builtin.", "ansible.legacy.", "community.general."]
        .iter()
        .find_map(|prefix| name.strip_prefix(prefix))
        .unwrap_or(name);
    LOOKUPS.iter().find(|(known, _)| *known == short).map(|(_, function)| *function)
}

/// Runs a lookup.
///
/// # Errors
/// There is no such lookup, or it found nothing where it must.
pub fn run(name: &str, terms: Vec<Value>, options: Map<String, Value>, around: &dyn Surroundings) -> Found {
    let Some(function) = find(name) else {
        let near = crate::text::did_you_mean(name, names());
        let hint = near.map_or_else(String::new, |near| format!("; did you mean `{near}`?"));
        return Err(format!("The lookup plugin '{name}' was not found.{hint}"));
    };
    function(&Lookup { terms, options, around })
}

#[cfg(test)]
mod tests;
