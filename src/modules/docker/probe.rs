//! Asks a service whether it is well, from where its host stands.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::modules::contract::Access;

/// An answer of a health check.
#[derive(Debug, Clone)]
pub(super) enum Answer {
    /// An HTTP status and the beginning of the body.
    Http(u16, String),
    /// Why there was none.
    None(String),
}

impl Answer {
    /// Whether it says that all is well.
    pub(super) fn is_well(&self) -> bool {
        matches!(self, Self::Http(status, _) if (200..300).contains(status))
    }
}

/// `GET path` on a port of the host's loopback address.
pub(super) async fn ask(host: &dyn Access, port: u16, path: &str) -> Answer {
    match tokio::time::timeout(Duration::from_secs(3), request(host, port, path)).await {
        Ok(Ok(answer)) => answer,
        Ok(Err(error)) => Answer::None(format!("{error:#}")),
        Err(_) => Answer::None("no answer within 3 s".into()),
    }
}

async fn request(host: &dyn Access, port: u16, path: &str) -> anyhow::Result<Answer> {
    let mut stream = host.connect("127.0.0.1".into(), port).await?;
    let request = format!("GET {path} HTTP/1.0\r\nHost: 127.0.0.1\r\nUser-Agent: crudctl\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    stream.flush().await?;
    let mut bytes = Vec::new();
    let mut chunk = [0u8; 4096];
    loop {
        match stream.read(&mut chunk).await {
            Ok(0) | Err(_) => break,
            Ok(n) => bytes.extend_from_slice(&chunk[..n]),
        }
        if bytes.len() > 64 * 1024 {
            break;
        }
    }
    let text = String::from_utf8_lossy(&bytes);
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
    let status = head.strip_prefix("HTTP/").and_then(|h| h.split(' ').nth(1)).and_then(|s| s.parse().ok());
    match status {
        Some(status) => Ok(Answer::Http(status, body.chars().take(400).collect())),
        None if bytes.is_empty() => {
            Ok(Answer::None("the connection was closed without an answer (nothing listens, or not HTTP)".into()))
        }
        None => Ok(Answer::None("the answer is no HTTP".into())),
    }
}
