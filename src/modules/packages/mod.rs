//! Packages of the host's distribution, their repositories and keys.

use super::Descriptor;

mod apt;
mod apt_key;
mod apt_repository;
mod apt_shell;
mod deb822_repository;
mod openpgp;
mod package;

pub(super) use apt_shell::FETCH;

const BUILTIN: &[&str] = &["ansible.builtin"];

/// The group's modules.
pub(super) const TABLE: &[Descriptor] = &[
    Descriptor::host::<apt::Apt>("apt", BUILTIN),
    Descriptor::host::<package::Package>("package", BUILTIN),
    Descriptor::controller::<apt_key::AptKey>("apt_key", BUILTIN),
    Descriptor::host::<apt_repository::AptRepository>("apt_repository", BUILTIN),
    Descriptor::host::<deb822_repository::Deb822Repository>("deb822_repository", BUILTIN),
];
