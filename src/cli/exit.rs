//! Exit statuses: ours, and those of Ansible's commands.

use std::process::ExitCode;

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// As asked.
    Ok = 0,
    /// An error without a status of its own.
    Error = 1,
    /// A task failed.
    Failed = 2,
    /// The playbook can't be right: nothing was run.
    Static = 3,
    /// A host could not be reached.
    Unreachable = 4,
    /// The command line can't be right.
    Usage = 5,
    /// Interrupted by SIGINT.
    Interrupted = 130,
    /// Ended by SIGTERM.
    Terminated = 143,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}
