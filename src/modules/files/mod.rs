//! Modules of files: their content, links, directories, attributes.

mod attributes;
mod blockinfile;
mod content;
mod copy;
mod edit;
mod fetch;
mod file;
mod find;
mod lineinfile;
mod replace;
mod slurp;
mod stat;
mod tempfile;
mod template;
mod unarchive;

use super::Descriptor;

const BUILTIN: &[&str] = &["ansible.builtin"];

/// The modules of this group.
pub(super) const TABLE: &[Descriptor] = &[
    Descriptor::host::<blockinfile::BlockInFile>("blockinfile", BUILTIN),
    Descriptor::host::<copy::Copy>("copy", BUILTIN),
    Descriptor::host::<fetch::Fetch>("fetch", BUILTIN),
    Descriptor::host::<file::File>("file", BUILTIN),
    Descriptor::host::<find::Find>("find", BUILTIN),
    Descriptor::host::<lineinfile::LineInFile>("lineinfile", BUILTIN),
    Descriptor::host::<replace::Replace>("replace", BUILTIN),
    Descriptor::host::<slurp::Slurp>("slurp", BUILTIN),
    Descriptor::host::<stat::Stat>("stat", BUILTIN),
    Descriptor::host::<tempfile::TempFile>("tempfile", BUILTIN),
    Descriptor::host::<template::Template>("template", BUILTIN),
    Descriptor::host::<unarchive::Unarchive>("unarchive", BUILTIN),
];
