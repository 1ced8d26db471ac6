//! A connection that sshd makes for us.

use std::io::{Error, ErrorKind};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::UnixStream;

/// A forwarded connection. It is open before the far end is: that nothing listens there shows only by its end, without a byte.
pub(super) struct Forwarded {
    stream: UnixStream,
    address: String,
    heard: bool,
}

impl Forwarded {
    pub(super) fn new(stream: UnixStream, address: String) -> Self {
        Self { stream, address, heard: false }
    }
}

impl AsyncRead for Forwarded {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<std::io::Result<()>> {
        let before = buf.filled().len();
        let wanted = buf.remaining() > 0;
        ready!(Pin::new(&mut self.stream).poll_read(cx, buf))?;
        if buf.filled().len() > before {
            self.heard = true;
        } else if wanted && !self.heard {
            let reason = format!(
                "the host's connection to {} ended without a byte: nothing listens there, or sshd forwards no connections",
                self.address
            );
            return Poll::Ready(Err(Error::new(ErrorKind::ConnectionRefused, reason)));
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Forwarded {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
