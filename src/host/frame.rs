//! Frames: how the ends of scripts are told apart in the two streams of a persistent shell.
//!
//! A mark is `\n`, the session's nonce, a kind and a status, and `\n`. What stands before it belongs to the script,
//! to the last byte: also where it has no newline at its end.

use tokio::io::AsyncReadExt as _;
use tokio::sync::mpsc;

use super::process::Output;

/// What ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Frame {
    /// `c`: a check, `a`: an apply, `z`: a batch, `p`: the shell's start (the status is its process), `q`: its end.
    pub kind: u8,
    /// Its exit status.
    pub status: i32,
    /// What was written.
    pub data: Vec<u8>,
}

/// Splits a stream at its marks.
pub(super) struct Splitter {
    mark: Vec<u8>,
    /// The mark of what follows the first batch, where that had a nonce of its own.
    following: Option<Vec<u8>>,
    buffer: Vec<u8>,
    /// Bytes of the buffer that hold no mark's beginning.
    scanned: usize,
}

impl Splitter {
    pub(super) fn new(opening: Option<&str>, nonce: &str) -> Self {
        let mark = |nonce: &str| format!("\n{nonce} ").into_bytes();
        Self {
            mark: mark(opening.unwrap_or(nonce)),
            following: opening.map(|_| mark(nonce)),
            buffer: vec![],
            scanned: 0,
        }
    }

    /// Takes bytes over.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The next whole frame.
    pub(super) fn next(&mut self) -> Option<Frame> {
        let from = self.scanned.saturating_sub(self.mark.len());
        let Some(at) = find(&self.buffer[from..], &self.mark).map(|i| i + from) else {
            self.scanned = self.buffer.len();
            return None;
        };
        let head = at + self.mark.len();
        let Some(length) = self.buffer[head..].iter().position(|b| *b == b'\n') else {
            // Come back to this mark when the rest of its line is there.
            self.scanned = at;
            return None;
        };
        let line = &self.buffer[head..head + length];
        let kind = line.first().copied().unwrap_or(b'?');
        let status = std::str::from_utf8(line.get(1..).unwrap_or_default()).ok().and_then(|s| s.trim().parse().ok());
        let data = self.buffer[..at].to_vec();
        self.buffer.drain(..=head + length);
        self.scanned = 0;
        if kind == b'z'
            && let Some(following) = self.following.take()
        {
            self.mark = following;
        }
        Some(Frame { kind, status: status.unwrap_or(-1), data })
    }

    /// What is left at the stream's end.
    pub(super) fn rest(self) -> Vec<u8> {
        self.buffer
    }
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    let first = *needle.first()?;
    let mut from = 0;
    while let Some(i) = haystack[from..].iter().position(|b| *b == first) {
        let at = from + i;
        if haystack[at..].starts_with(needle) {
            return Some(at);
        }
        from = at + 1;
    }
    None
}

/// What a stream gives.
#[derive(Debug)]
pub(super) enum Piece {
    Frame(Frame),
    /// The end, with what was written behind the last mark.
    End(Vec<u8>),
}

/// Reads a stream to its end, in a task of its own.
pub(super) fn read(mut stream: Output, opening: Option<&str>, nonce: &str) -> mpsc::UnboundedReceiver<Piece> {
    let (send, receive) = mpsc::unbounded_channel();
    let mut splitter = Splitter::new(opening, nonce);
    tokio::spawn(async move {
        let mut chunk = vec![0; 64 * 1024];
        loop {
            match stream.read(&mut chunk).await {
                Ok(0) | Err(_) => break,
                Ok(n) => splitter.push(&chunk[..n]),
            }
            while let Some(frame) = splitter.next() {
                if send.send(Piece::Frame(frame)).is_err() {
                    return;
                }
            }
        }
        let _ = send.send(Piece::End(splitter.rest()));
    });
    receive
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_last_line_without_newline_is_kept_as_it_is() {
        let mut splitter = Splitter::new(None, "N0");
        splitter.push(b"no newline\nN0 c10\nwith\n\nN0 z0\n");
        assert_eq!(splitter.next(), Some(Frame { kind: b'c', status: 10, data: b"no newline".to_vec() }));
        assert_eq!(splitter.next(), Some(Frame { kind: b'z', status: 0, data: b"with\n".to_vec() }));
        assert_eq!(splitter.next(), None);
    }

    #[test]
    fn an_opening_has_a_nonce_of_its_own() {
        let mut splitter = Splitter::new(Some("A"), "B");
        splitter.push(b"motd\nB c0\nfacts\nA c0\n\nA z0\nA\nA z0\n\nB p7\n");
        assert_eq!(splitter.next().map(|f| f.data), Some(b"motd\nB c0\nfacts".to_vec()));
        assert_eq!(splitter.next().map(|f| f.kind), Some(b'z'));
        assert_eq!(splitter.next(), Some(Frame { kind: b'p', status: 7, data: b"A\nA z0\n".to_vec() }));
    }

    proptest! {
        #[test]
        fn frames_come_back_however_the_stream_is_cut(
            parts in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 1..6),
            cut in 1usize..17,
        ) {
            let nonce = "f00dfeed";
            let mut stream = vec![];
            for part in &parts {
                stream.extend_from_slice(part);
                stream.extend_from_slice(format!("\n{nonce} a7\n").as_bytes());
            }
            let mut splitter = Splitter::new(None, nonce);
            let mut frames = vec![];
            for chunk in stream.chunks(cut) {
                splitter.push(chunk);
                while let Some(frame) = splitter.next() {
                    frames.push(frame.data);
                }
            }
            prop_assert_eq!(frames, parts);
        }
    }
}
