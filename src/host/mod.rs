//! A machine: its transport, the persistent shells on it, its facts.

pub mod script;

pub use crate::__sh as sh;
pub use script::{Reply, Script, ShellFunction, quote};
