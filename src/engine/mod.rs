//! Runs plays: what happens, in which order, on which hosts, in how few round trips.

mod ahead;
mod batch;
mod connection;
pub mod event;
pub mod flow;
mod handlers;
mod host;
mod interrupt;
mod jobs;
mod options;
mod owed;
mod play;
mod prepare;
mod result;
mod run;
pub mod secrets;
mod sequence;
mod settings;
pub(crate) mod tags;
mod task;
mod vars;

pub use interrupt::Interrupt;
pub use options::{Ended, Options, Setup};
pub use run::run;
