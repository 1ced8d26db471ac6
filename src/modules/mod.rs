//! What a task can do: one file a module, in groups; each group's `mod.rs` holds its table.

mod commands;
pub mod contract;
mod database;
pub mod docker;
mod files;
mod guarded;
mod kubernetes;
mod net;
mod packages;
mod system;

pub use contract::{
    ASK, Access, Applied, Apply, CONVERGED, Check, Context, ControllerModule, DRIFT, Descriptor, Diff, HostModule,
    Outcome, Prepared, Verdict,
};

/// The tables of all groups.
const GROUPS: &[&[Descriptor]] = &[
    commands::TABLE,
    docker::TABLE,
    files::TABLE,
    packages::TABLE,
    system::TABLE,
    net::TABLE,
    database::TABLE,
    kubernetes::TABLE,
];

/// All modules.
pub fn all() -> impl Iterator<Item = &'static Descriptor> {
    GROUPS.iter().flat_map(|group| group.iter())
}

/// The module of this name: short (`copy`), or with its collection (`ansible.builtin.copy`, `ansible.legacy.copy`).
pub fn find(name: &str) -> Option<&'static Descriptor> {
    let (collection, short) = match name.rsplit_once('.') {
        Some(("ansible.legacy", short)) => (Some("ansible.builtin"), short),
        Some((collection, short)) => (Some(collection), short),
        None => (None, name),
    };
    all().find(|d| d.name == short && collection.is_none_or(|c| d.collections.contains(&c)))
}
