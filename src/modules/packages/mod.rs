//! Packages of the host's distribution, their repositories and keys.

use super::Descriptor;

mod apt;
mod apt_shell;
mod package;

pub(super) use apt_shell::FETCH;

const BUILTIN: &[&str] = &["ansible.builtin"];

/// The group's modules.
pub(super) const TABLE: &[Descriptor] =
    &[Descriptor::host::<apt::Apt>("apt", BUILTIN), Descriptor::host::<package::Package>("package", BUILTIN)];
