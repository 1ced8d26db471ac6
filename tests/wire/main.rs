//! The wire against real machines of the lab: logins, privilege, limits of sshd, faults.
//!
//! Needs root and `tests/lab/lab`; with `CRUDCTL_NO_LAB` set each test says that it was skipped.

mod faults;
#[path = "../lab/lab.rs"]
mod lab;
mod limits;
mod login;
mod machine;
mod owed;
mod play;
mod privilege;
mod shells;
