//! The way to a host: nothing for this machine, else one ssh login, and more where the server allows few sessions on one.

use std::sync::Arc;

use anyhow::Context as _;

use super::process::Process;
use super::ssh::Master;
use super::target::{ConnectError, SshTarget, Target, Transport};
use crate::modules::contract::ByteStream;

/// Logins that one host may take beside the first.
const MORE_LOGINS: usize = 8;

/// The way to a host, gone.
#[derive(Clone)]
pub(super) enum Link {
    Local,
    Ssh(Arc<Logins>),
}

/// The logins on a host.
pub(super) struct Logins {
    target: SshTarget,
    first: Arc<Master>,
    /// For sessions that the server refused on the first: its MaxSessions can be as low as 1.
    more: tokio::sync::Mutex<Vec<Arc<Master>>>,
}

impl Link {
    /// Goes the way: logs in where that is needed.
    pub(super) async fn connect(target: &Target) -> Result<Self, ConnectError> {
        Ok(match &target.transport {
            Transport::Local => Self::Local,
            Transport::Ssh(ssh) => Self::Ssh(Arc::new(Logins {
                target: ssh.clone(),
                first: Arc::new(Master::connect(ssh).await?),
                more: tokio::sync::Mutex::default(),
            })),
        })
    }

    /// Starts a command line for the login shell. `persistent` ones end when their stdin does, by themselves.
    pub(super) async fn spawn(&self, line: &str, persistent: bool) -> anyhow::Result<Process> {
        match self {
            Self::Local => Process::local(&["sh".into(), "-c".into(), line.into()], persistent),
            Self::Ssh(logins) => logins.spawn(line).await,
        }
    }

    /// Connects to an address as the host sees it.
    pub(super) async fn connect_tcp(&self, address: &str, port: u16) -> anyhow::Result<Box<dyn ByteStream>> {
        Ok(match self {
            Self::Local => Box::new(tokio::net::TcpStream::connect((address, port)).await?),
            Self::Ssh(logins) => Box::new(logins.first.connect_tcp(address, port).await?),
        })
    }

    /// Whether the login itself still stands.
    pub(super) async fn alive(&self) -> bool {
        match self {
            Self::Local => true,
            Self::Ssh(logins) => logins.first.alive().await,
        }
    }

    /// What ssh said last about the connection.
    pub(super) fn last_words(&self) -> Option<String> {
        match self {
            Self::Local => None,
            Self::Ssh(logins) => logins.first.last_words(),
        }
    }

    /// Ends the logins.
    pub(super) async fn close(&self) {
        if let Self::Ssh(logins) = self {
            let more = std::mem::take(&mut *logins.more.lock().await);
            futures_util::future::join_all(more.iter().chain([&logins.first]).map(|master| master.close())).await;
        }
    }
}

impl Logins {
    async fn spawn(&self, line: &str) -> anyhow::Result<Process> {
        let refused = match self.first.spawn(line).await {
            Ok(process) => return Ok(process),
            Err(error) => error,
        };
        if !self.first.alive().await {
            return Err(match self.first.last_words() {
                Some(words) => anyhow::anyhow!("the connection ended: {words}"),
                None => refused.context("the connection ended"),
            });
        }
        let mut more = self.more.lock().await;
        for master in more.iter() {
            if let Ok(process) = master.spawn(line).await {
                return Ok(process);
            }
        }
        anyhow::ensure!(more.len() < MORE_LOGINS, refused.context("the server allows no more sessions"));
        let master = Master::connect(&self.target).await.context("the server allows no more sessions on one login")?;
        let process = master.spawn(line).await;
        more.push(Arc::new(master));
        process
    }
}
