//! A role: a directory of tasks, handlers, variables, files and templates.

use std::path::PathBuf;

use crate::text::Node;

/// A role as one use of it found it.
#[derive(Debug)]
pub struct Role {
    /// Its name as written (`web`, `namespace.collection.web`).
    pub name: String,
    /// Its directory.
    pub path: PathBuf,
    /// `defaults/main.yml` (or `defaults_from`): a mapping.
    pub defaults: Option<Node>,
    /// `vars/main.yml` (or `vars_from`): a mapping.
    pub vars: Option<Node>,
    /// What the use passes: `vars:` and other keys of the role's entry.
    pub params: Option<Node>,
    /// Whether it runs again when used again with the same parameters.
    pub allow_duplicates: bool,
    /// The role that it is a dependency of, or was used by.
    pub parents: Vec<String>,
}
