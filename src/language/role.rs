//! A role: a directory of tasks, handlers, variables, files and templates.

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

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
    /// Whether all tasks of the play see its variables; none: as the configuration has it.
    pub public: Option<bool>,
    /// The roles that it depends on, once they are read.
    pub dependencies: OnceLock<Vec<Arc<Role>>>,
    /// The role that it is a dependency of, or was used by.
    pub parents: Vec<String>,
}

impl Role {
    /// The roles that it depends on and those that they depend on, the last (whose variables win) first.
    pub fn all_dependencies(&self) -> Vec<Arc<Self>> {
        let own = self.dependencies.get().map(Vec::as_slice).unwrap_or_default();
        own.iter().rev().flat_map(|role| std::iter::once(Arc::clone(role)).chain(role.all_dependencies())).collect()
    }
}
