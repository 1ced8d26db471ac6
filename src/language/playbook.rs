//! A playbook: plays in order; `import_playbook` is already resolved.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::keywords::Frame;
use super::task::Item;
use crate::text::{Node, Place};

/// The directory of a playbook's file; of one that is named without any it is the current one.
pub fn directory(path: &Path) -> PathBuf {
    path.parent().filter(|dir| !dir.as_os_str().is_empty()).map_or_else(|| PathBuf::from("."), Path::to_owned)
}

/// A playbook.
#[derive(Debug)]
pub struct Playbook {
    /// The file that was asked for.
    pub path: PathBuf,
    /// Its plays, imported ones in place.
    pub plays: Vec<Play>,
}

/// A play.
#[derive(Debug)]
pub struct Play {
    /// Its keywords (`vars` included; the parent holds an `import_playbook`'s `vars`, `when` and `tags`).
    pub frame: Arc<Frame>,
    /// Where it stands.
    pub place: Place,
    /// `hosts`.
    pub hosts: Node,
    /// `gather_facts`.
    pub gather_facts: Option<Node>,
    /// `gather_subset`.
    pub gather_subset: Option<Node>,
    /// `strategy`.
    pub strategy: Option<Node>,
    /// `serial`: a number, a percentage, or a list of them.
    pub serial: Option<Node>,
    /// `max_fail_percentage`.
    pub max_fail_percentage: Option<Node>,
    /// `force_handlers`.
    pub force_handlers: Option<Node>,
    /// `order` of the hosts.
    pub order: Option<Node>,
    /// `vars_files`: each a path or a list of alternatives.
    pub vars_files: Vec<Node>,
    /// `vars_prompt`.
    pub vars_prompt: Vec<Node>,
    /// `pre_tasks`.
    pub pre_tasks: Vec<Item>,
    /// `roles`: each a block in a frame of kind `Role`, dependencies before it.
    pub roles: Vec<Item>,
    /// `tasks`.
    pub tasks: Vec<Item>,
    /// `post_tasks`.
    pub post_tasks: Vec<Item>,
    /// Handlers: the roles' first, then the play's own.
    pub handlers: Vec<Item>,
}
