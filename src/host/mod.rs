//! A machine: its transport, the persistent shells on it, its facts.

pub mod facts;
mod forward;
mod frame;
mod journal;
mod link;
mod privilege;
mod process;
pub mod script;
mod session;
mod shell;
mod ssh;
mod target;
mod upload;

pub use crate::__sh as sh;
pub use script::{Reply, Script, ShellFunction, quote};
pub use session::Session;
pub use shell::{Entry, EntryReply, GoOn};
pub use target::{Become, ConnectError, Lost, Secret, SshTarget, Target, Transport};

/// A new nonce: 16 hexadecimal digits.
fn nonce() -> String {
    let mut text = uuid::Uuid::new_v4().simple().to_string();
    text.truncate(16);
    text
}

#[cfg(test)]
mod tests;
