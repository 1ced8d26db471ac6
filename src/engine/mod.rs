//! Runs plays: what happens, in which order, on which hosts, in how few round trips.

pub mod event;
pub mod flow;
pub mod secrets;
