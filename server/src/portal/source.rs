//! Asking the hardware service.

use std::fmt;
use std::time::Duration;

use anyhow::{Context as _, bail};
use axum::body::{Body, to_bytes};
use axum::http::{Request, StatusCode, header};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use tokio::net::TcpStream;

use crate::log;

/// Largest answer that is read, in bytes.
const LARGEST: usize = 4 * 1024 * 1024;
const PORT: u16 = 5001;

/// One machine.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
pub(super) struct Hardware {
    pub(super) provider: String,
    pub(super) name: String,
    pub(super) availability: String,
}

/// The hardware service.
#[derive(Debug)]
pub(super) struct Source {
    /// `host:port`
    address: String,
    timeout: Duration,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http://{}/hardware", self.address)
    }
}

impl Source {
    /// `host` may have a port; an IPv6 address with one stands in brackets.
    pub(super) fn new(host: &str, timeout: Duration) -> anyhow::Result<Self> {
        let host = host.trim_start_matches("http://").trim_end_matches('/');
        if host.is_empty() || host.contains('/') {
            bail!("HARDWARE_HOST must be a host or host:port");
        }
        let address = match host.rsplit_once(':') {
            Some((name, port)) if !name.contains(':') || name.ends_with(']') => {
                port.parse::<u16>().context("the port in HARDWARE_HOST must be a number")?;
                host.to_owned()
            }
            Some(_) if !host.starts_with('[') => format!("[{host}]:{PORT}"),
            _ => format!("{host}:{PORT}"),
        };
        Ok(Self { address, timeout })
    }

    /// The whole list, within the time limit.
    pub(super) async fn ask(&self) -> anyhow::Result<Vec<Hardware>> {
        tokio::time::timeout(self.timeout, self.fetch())
            .await
            .with_context(|| format!("no answer within {} s", self.timeout.as_secs()))?
    }

    async fn fetch(&self) -> anyhow::Result<Vec<Hardware>> {
        let stream =
            TcpStream::connect(&self.address).await.with_context(|| format!("cannot reach {}", self.address))?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                log::debug("the connection to the hardware service ended early", &[("error", error.to_string())]);
            }
        });
        let request = Request::get("/hardware").header(header::HOST, &self.address).body(Body::empty())?;
        let response = sender.send_request(request).await?;
        if response.status() != StatusCode::OK {
            bail!("the hardware service answers {}", response.status());
        }
        let body =
            to_bytes(Body::new(response.into_body()), LARGEST).await.context("the answer did not arrive whole")?;
        serde_json::from_slice(&body).context("the answer is no list of hardware")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_have_a_port() {
        let at = |host: &str| Source::new(host, Duration::ZERO).map(|source| source.to_string()).ok();
        assert_eq!(at("hardware").as_deref(), Some("http://hardware:5001/hardware"));
        assert_eq!(at("http://hardware:80/").as_deref(), Some("http://hardware:80/hardware"));
        assert_eq!(at("::1").as_deref(), Some("http://[::1]:5001/hardware"));
        assert_eq!(at("[::1]:80").as_deref(), Some("http://[::1]:80/hardware"));
        for bad in ["", "hardware:http", "a/b"] {
            assert_eq!(at(bad), None, "{bad}");
        }
    }
}
