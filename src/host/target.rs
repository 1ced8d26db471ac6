//! Where a session goes and as whom.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// A value that is never shown.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Secret(Arc<str>);

impl Secret {
    /// Keeps a value.
    pub fn new(value: impl Into<Arc<str>>) -> Self {
        Self(value.into())
    }

    /// The value.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

/// A host and the way to it.
#[derive(Debug, Clone)]
pub struct Target {
    /// Its name in the inventory.
    pub name: String,
    /// The way.
    pub transport: Transport,
}

/// How commands get there.
#[derive(Debug, Clone)]
pub enum Transport {
    /// This machine, as this user.
    Local,
    /// The system's OpenSSH.
    Ssh(SshTarget),
}

/// An ssh login. What is not given is left to the user's `ssh_config`.
#[derive(Debug, Clone)]
pub struct SshTarget {
    /// Address, or a name that `ssh_config` knows.
    pub host: String,
    /// Port.
    pub port: Option<u16>,
    /// Login user.
    pub user: Option<String>,
    /// File of the private key.
    pub private_key: Option<PathBuf>,
    /// Login password.
    pub password: Option<Secret>,
    /// More arguments for `ssh`.
    pub common_args: Vec<String>,
    /// Time that a login may take.
    pub connect_timeout: Duration,
    /// Whether an unknown host key is refused.
    pub host_key_checking: bool,
}

impl Default for SshTarget {
    fn default() -> Self {
        Self {
            host: String::new(),
            port: None,
            user: None,
            private_key: None,
            password: None,
            common_args: vec![],
            connect_timeout: Duration::from_secs(10),
            host_key_checking: true,
        }
    }
}

/// Another user on the host.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Become {
    /// `sudo`, `su` or `doas`.
    pub method: String,
    /// Who.
    pub user: String,
    /// The password that the method asks for.
    pub password: Option<Secret>,
    /// Its flags, instead of the usual ones.
    pub flags: Option<String>,
    /// Its program, instead of the usual one.
    pub exe: Option<String>,
}

/// Why there is no session.
#[derive(Debug, Clone)]
pub struct ConnectError {
    /// The reason, in one or a few lines.
    pub reason: String,
    /// What to do.
    pub hint: Option<String>,
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)?;
        match &self.hint {
            Some(hint) => write!(f, " (hint: {hint})"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for ConnectError {}

/// Why a batch did not end.
#[derive(Debug, Clone)]
pub enum Lost {
    /// The connection ended.
    Disconnected(String),
    /// A script took longer than it may; it was killed.
    TimedOut(Duration),
    /// The other user could not be had.
    Become(String),
}

impl fmt::Display for Lost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Disconnected(reason) => write!(f, "the connection was lost: {reason}"),
            Self::TimedOut(limit) => write!(f, "timed out after {} s", limit.as_secs_f64()),
            Self::Become(reason) => f.write_str(reason),
        }
    }
}

impl std::error::Error for Lost {}
