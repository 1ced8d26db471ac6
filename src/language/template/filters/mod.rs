//! Ansible's filters, and those of Jinja whose result differs from the engine's own: pure functions over plain values.

mod crypto;
mod data;
mod dates;
mod lists;
mod math;
mod paths;
mod sets;
mod text;

pub use paths::expanduser;
pub use sets::step;

use super::call::Filter;

/// All of them, by name.
pub fn all() -> impl Iterator<Item = (&'static str, Filter)> {
    [
        crypto::FILTERS,
        data::FILTERS,
        dates::FILTERS,
        lists::FILTERS,
        math::FILTERS,
        paths::FILTERS,
        sets::FILTERS,
        text::FILTERS,
    ]
    .into_iter()
    .flatten()
    .copied()
}

/// The filter of a name, its collection left out.
pub fn find(name: &str) -> Option<Filter> {
    let short = name.strip_prefix("ansible.builtin.").unwrap_or(name);
    all().find(|(known, _)| *known == short).map(|(_, filter)| filter)
}
