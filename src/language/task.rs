//! A task and a block of tasks.

use std::sync::Arc;

use super::keywords::Frame;
use crate::text::{Node, Place};

/// A task or a block.
#[derive(Debug, Clone)]
pub enum Item {
    /// A task.
    Task(Arc<Task>),
    /// A block.
    Block(Arc<Block>),
}

/// A block: tasks, and what happens when one fails.
#[derive(Debug)]
pub struct Block {
    /// Its keywords and those around it.
    pub frame: Arc<Frame>,
    /// Where it stands.
    pub place: Place,
    /// `block`.
    pub tasks: Vec<Item>,
    /// `rescue`.
    pub rescue: Vec<Item>,
    /// `always`.
    pub always: Vec<Item>,
}

/// What a task does.
#[derive(Debug, Clone)]
pub struct Action {
    /// The module's name as written; a template only under `action:`.
    pub name: Node,
    /// The arguments: a mapping, or a template that gives one. `args:` is merged in; `module: k=v …` is already split.
    pub args: Node,
    /// Free-form text (`command: uptime`), `k=v` parts of it already moved to `args` where the module takes them.
    pub free_form: Option<Node>,
}

/// How a task is repeated.
#[derive(Debug, Clone)]
pub struct Loop {
    /// `loop` or a lookup's name (`items` for `with_items`).
    pub kind: LoopKind,
    /// Its value.
    pub items: Node,
}

/// Where a loop's items come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LoopKind {
    /// `loop: LIST`.
    List,
    /// `with_NAME: TERMS`: the lookup plugin of that name.
    With(String),
}

/// `loop_control`.
#[derive(Debug, Clone, Default)]
pub struct LoopControl {
    /// The item's variable (`item` where none is named).
    pub loop_var: Option<Node>,
    /// The index's variable.
    pub index_var: Option<Node>,
    /// What is shown for an item.
    pub label: Option<Node>,
    /// Seconds between items.
    pub pause: Option<Node>,
    /// Whether `ansible_loop` is set.
    pub extended: Option<Node>,
    /// Whether `ansible_loop.allitems` is set.
    pub extended_allitems: Option<Node>,
    /// Conditions that end the loop.
    pub break_when: Vec<Node>,
}

/// A task.
#[derive(Debug)]
pub struct Task {
    /// Its keywords and those around it.
    pub frame: Arc<Frame>,
    /// Where it stands.
    pub place: Place,
    /// What it does.
    pub action: Action,
    /// `register`.
    pub register: Option<Node>,
    /// `loop` or `with_*`.
    pub r#loop: Option<Loop>,
    /// `loop_control`.
    pub loop_control: LoopControl,
    /// `until`: all must hold.
    pub until: Vec<Node>,
    /// `retries`.
    pub retries: Option<Node>,
    /// `delay`: seconds.
    pub delay: Option<Node>,
    /// `failed_when`; none: the module decides.
    pub failed_when: Option<Vec<Node>>,
    /// `changed_when`; none: the module decides.
    pub changed_when: Option<Vec<Node>>,
    /// `notify`.
    pub notify: Vec<Node>,
    /// `listen` of a handler.
    pub listen: Vec<Node>,
    /// `async`: seconds.
    pub r#async: Option<Node>,
    /// `poll`: seconds.
    pub poll: Option<Node>,
}

impl Task {
    /// A task that is nothing but an action: what crudctl itself brings in.
    pub(crate) fn plain(frame: Frame, place: Place, action: Action) -> Self {
        Self {
            frame: Arc::new(frame),
            place,
            action,
            register: None,
            r#loop: None,
            loop_control: LoopControl::default(),
            until: vec![],
            retries: None,
            delay: None,
            failed_when: None,
            changed_when: None,
            notify: vec![],
            listen: vec![],
            r#async: None,
            poll: None,
        }
    }

    /// The entries of `notify`: its own, then those of what it stands in.
    pub fn notifies(&self) -> impl Iterator<Item = &Node> {
        self.notify.iter().chain(self.frame.levels().skip(1).flat_map(|level| level.keywords.notify.iter()))
    }
}
