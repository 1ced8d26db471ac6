//! Programs and shell text.

mod command;
mod common;
mod raw;
mod script;
mod shell;

use super::Descriptor;

const BUILTIN: &[&str] = &["ansible.builtin"];

/// The group's modules.
pub(super) const TABLE: &[Descriptor] = &[
    Descriptor::host::<command::Command>("command", BUILTIN).free_form("cmd"),
    Descriptor::host::<shell::Shell>("shell", BUILTIN).free_form("cmd"),
    Descriptor::host::<raw::Raw>("raw", BUILTIN).free_form("free_form"),
    Descriptor::host::<script::ScriptModule>("script", BUILTIN).free_form("cmd"),
];

#[cfg(test)]
mod tests;
