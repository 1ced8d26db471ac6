//! The language: playbooks, inventories, variables and templates, as Ansible has them.

pub mod template;
