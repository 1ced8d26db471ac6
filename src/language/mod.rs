//! The language: playbooks, inventories, variables and templates, as Ansible has them.

pub mod keywords;
pub mod playbook;
pub mod role;
pub mod task;
pub mod template;

pub use keywords::{Frame, FrameKind, Keywords};
pub use playbook::{Play, Playbook};
pub use role::Role;
pub use task::{Action, Block, Item, Loop, LoopControl, LoopKind, Task};
