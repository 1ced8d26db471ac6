//! Runs plays: what happens, in which order, on which hosts, in how few round trips.

mod ahead;
mod batch;
mod call;
mod connection;
pub mod event;
mod finish;
pub mod flow;
mod handlers;
mod host;
mod includes;
mod interrupt;
mod jobs;
mod looping;
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
mod work;

pub use interrupt::Interrupt;
pub use options::{Ended, Options, Setup};
pub use run::run;
