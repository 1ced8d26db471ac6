//! The language: playbooks, inventories, variables and templates, as Ansible has them.

mod arguments;
pub mod check;
mod config;
mod generator;
#[cfg(test)]
mod hostile;
mod ini;
pub mod inventory;
pub mod keywords;
mod literal;
mod load;
mod loader;
mod pattern;
pub mod playbook;
pub mod role;
pub mod task;
pub mod template;
mod vault;

pub use config::Config;
pub use inventory::{Beside, Inventory};
pub use keywords::{Frame, FrameKind, Keywords};
pub use loader::{LoadedRole, Loader, LoaderOptions, RenderStatic, RoleUse};
pub use playbook::{Play, Playbook};
pub use role::Role;
pub use task::{Action, Block, Item, Loop, LoopControl, LoopKind, Task};
pub use vault::Vault;

/// Whether a name is that of a module, flow modules included.
pub(crate) fn is_module(name: &str) -> bool {
    let short = match name.rsplit_once('.') {
        None => Some(name),
        Some(("ansible.builtin" | "ansible.legacy", short)) => Some(short),
        Some(_) => None,
    };
    short.is_some_and(|s| crate::engine::flow::NAMES.contains(&s)) || crate::modules::find(name).is_some()
}
