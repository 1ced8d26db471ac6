//! Keywords that plays, roles, blocks and tasks share, and how they are inherited.

use std::path::PathBuf;
use std::sync::Arc;

use super::role::Role;
use crate::text::Node;

/// Keywords as they were written; values may be templates and are rendered for each host when they are used.
#[derive(Debug, Clone, Default)]
pub struct Keywords {
    /// `name`.
    pub name: Option<Node>,
    /// `vars`: a mapping.
    pub vars: Option<Node>,
    /// `when`: all must hold.
    pub when: Vec<Node>,
    /// `tags`, each a string (commas already split).
    pub tags: Vec<Node>,
    /// `become`.
    pub r#become: Option<Node>,
    /// `become_user`.
    pub become_user: Option<Node>,
    /// `become_method`.
    pub become_method: Option<Node>,
    /// `become_flags`.
    pub become_flags: Option<Node>,
    /// `become_exe`.
    pub become_exe: Option<Node>,
    /// `connection`.
    pub connection: Option<Node>,
    /// `remote_user`.
    pub remote_user: Option<Node>,
    /// `port`.
    pub port: Option<Node>,
    /// `environment`: a mapping, or a list of them.
    pub environment: Option<Node>,
    /// `no_log`.
    pub no_log: Option<Node>,
    /// `ignore_errors`.
    pub ignore_errors: Option<Node>,
    /// `ignore_unreachable`.
    pub ignore_unreachable: Option<Node>,
    /// `check_mode`.
    pub check_mode: Option<Node>,
    /// `diff`.
    pub diff: Option<Node>,
    /// `any_errors_fatal`.
    pub any_errors_fatal: Option<Node>,
    /// `run_once`.
    pub run_once: Option<Node>,
    /// `delegate_to`.
    pub delegate_to: Option<Node>,
    /// `delegate_facts`.
    pub delegate_facts: Option<Node>,
    /// `throttle`.
    pub throttle: Option<Node>,
    /// `timeout`: seconds.
    pub timeout: Option<Node>,
    /// `module_defaults`: a mapping of module names (or `group/NAME`), or a list of them.
    pub module_defaults: Option<Node>,
    /// `collections`.
    pub collections: Option<Node>,
    /// `notify` of a block (inherited by its tasks).
    pub notify: Vec<Node>,
}

/// What opened a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FrameKind {
    /// A play.
    Play,
    /// A role used in a play, imported or included.
    Role,
    /// A block.
    Block,
    /// A task, `import_*` included (their `vars` and `when` hold for what they bring in).
    Task,
    /// What a dynamic `include_*` passes to what it brings in: its `vars` and loop variables stand above the host's own.
    Include,
}

/// One level of keywords with the levels around it.
#[derive(Debug)]
pub struct Frame {
    /// What opened it.
    pub kind: FrameKind,
    /// Its own keywords.
    pub keywords: Keywords,
    /// The role that it is in (or is).
    pub role: Option<Arc<Role>>,
    /// The file that it was written in.
    pub file: PathBuf,
    /// The level around it.
    pub parent: Option<Arc<Frame>>,
}

impl Frame {
    /// This level and those around it, the innermost first.
    pub fn levels(&self) -> impl Iterator<Item = &Frame> {
        std::iter::successors(Some(self), |frame| frame.parent.as_deref())
    }

    /// The innermost value of a keyword.
    pub fn inherited<'a>(&'a self, get: impl Fn(&'a Keywords) -> Option<&'a Node>) -> Option<&'a Node> {
        self.levels().find_map(|frame| get(&frame.keywords))
    }

    /// All conditions, the outermost first.
    pub fn conditions(&self) -> Vec<&Node> {
        let mut levels: Vec<&Frame> = self.levels().collect();
        levels.reverse();
        levels.into_iter().flat_map(|frame| frame.keywords.when.iter()).collect()
    }

    /// All tags: they add up.
    pub fn tags(&self) -> impl Iterator<Item = &Node> {
        self.levels().flat_map(|frame| frame.keywords.tags.iter())
    }
}
