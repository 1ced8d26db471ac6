//! Exit statuses: ours, and those of Ansible's commands.

use std::process::ExitCode;

use crate::engine::Ended;

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
    /// A plan found changes (`--detailed-exitcode`).
    Pending = 6,
    /// Another operator holds the lock.
    Locked = 7,
    /// A release did not become well; the one before goes on.
    RolledBack = 8,
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

impl Exit {
    /// The status of a run.
    pub fn of(ended: &Ended) -> Self {
        match ended.interrupted {
            Some(15) => Self::Terminated,
            Some(_) => Self::Interrupted,
            // A host that can't be reached hides what would have failed there: it is the graver news.
            None if ended.unreachable => Self::Unreachable,
            None if ended.failed => Self::Failed,
            None if ended.error.is_some() => Self::Error,
            None => Self::Ok,
        }
    }
}
