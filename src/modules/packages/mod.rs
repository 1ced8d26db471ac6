//! Packages of the host's distribution, their repositories and keys.

use super::Descriptor;

mod apt;
mod apt_key;
mod apt_repository;
mod apt_shell;
mod deb822_repository;
mod dpkg;
mod git;
mod openpgp;
mod package;
mod pip;

pub(super) use apt_shell::FETCH;

const BUILTIN: &[&str] = &["ansible.builtin"];

/// The group's modules.
pub(super) const TABLE: &[Descriptor] = &[
    Descriptor::host::<apt::Apt>("apt", BUILTIN),
    Descriptor::host::<package::Package>("package", BUILTIN),
    Descriptor::controller::<apt_key::AptKey>("apt_key", BUILTIN),
    Descriptor::host::<apt_repository::AptRepository>("apt_repository", BUILTIN),
    Descriptor::host::<deb822_repository::Deb822Repository>("deb822_repository", BUILTIN),
    Descriptor::host::<dpkg::DpkgSelections>("dpkg_selections", BUILTIN),
    Descriptor::host::<dpkg::Debconf>("debconf", BUILTIN),
    Descriptor::host::<dpkg::PackageFacts>("package_facts", BUILTIN),
    Descriptor::host::<pip::Pip>("pip", BUILTIN),
    Descriptor::host::<git::Git>("git", BUILTIN),
];
