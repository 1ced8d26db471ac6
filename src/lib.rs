//! crudctl: from source to a running CRUD service, in Ansible's language.
//!
//! ```text
//! text ─► Source ─► Node (spanned YAML 1.1) ─► Playbook (keywords typed; a module's arguments stay Node)
//!       ─► static check: modules, arguments, templates, files       all errors at once, before any connection
//! Playbook × Inventory × variables ─► Step per (task, host) ─► arguments rendered ─► typed parameters
//!       ─► check (read only) ─► Drift (typed: what differs) ─► apply(Drift) ─► Outcome
//! everything that happens ─► Event ─► reporters: they only consume
//! Host ─► Session (a persistent sh per user) ─► Transport: ssh | local
//! ```

pub mod cli;
mod cluster;
pub mod engine;
pub mod host;
pub mod image;
pub mod language;
pub mod modules;
pub mod project;
pub mod report;
pub mod text;
