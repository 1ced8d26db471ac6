//! A Kubernetes cluster: objects are plain JSON, so that every kind is handled alike, those of later versions among them.
//!
//! `plan` asks the API server what would become of each object (a server-side dry run), `apply` writes those that would change,
//! `track` watches until they are what they should be, `explain` says why they never will. `deploy` puts these together for a service.

pub(crate) mod apply;
pub(crate) mod client;
pub(crate) mod deploy;
pub(crate) mod diff;
pub(crate) mod errors;
pub(crate) mod explain;
mod kubeconfig;
pub(crate) mod lock;
pub(crate) mod object;
pub(crate) mod order;
mod owned;
pub(crate) mod pods;
pub(crate) mod prune;
pub(crate) mod release;
mod replace;
mod rights;
pub(crate) mod status;
mod surroundings;
pub(crate) mod track;
mod watch;

/// The name under which crudctl owns fields.
pub(crate) const MANAGER: &str = "crudctl";
