//! POSIX sh as a value: the only file that quotes.
//!
//! A [`Script`] is text for `sh`, the shell functions that it calls, and the payloads that are too large to stand in the text.
//! User data enters by [`quote`] or as an [`Upload`]; nothing else puts foreign text into a script.

use std::fmt::Write as _;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256};

/// Payloads up to this size (bytes) travel in the text of a script; larger ones on a channel of their own.
pub const INLINE_LIMIT: usize = 32 * 1024;

/// A shell function that many scripts call: a session sends it once, before the first script that needs it.
///
/// Its text is `NAME() { … }` for a POSIX sh (no `local`, no arrays); variables are prefixed by the name to stay apart.
#[derive(Debug, PartialEq, Eq)]
pub struct ShellFunction {
    /// Its name.
    pub name: &'static str,
    /// Its definition, the name included.
    pub text: &'static str,
    /// Functions that it calls itself.
    pub needs: &'static [&'static ShellFunction],
}

/// A payload that a session puts into a file on the host before the script runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upload {
    /// SHA-256 of the bytes in hexadecimal: the file's name in the session's directory.
    pub sha256: String,
    /// The bytes.
    pub bytes: Arc<[u8]>,
}

/// A script for the host's `sh`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Script {
    /// The text. It runs in a subshell of its own with stdin at `/dev/null`; `exit` ends only the script.
    pub text: String,
    /// Payloads; a script names one's file by what [`Script::upload`] returned.
    pub uploads: Vec<Upload>,
    /// Functions that the text calls.
    pub functions: Vec<&'static ShellFunction>,
    /// Values (secrets among them) that reach the script as shell variables, never by an argument list.
    pub secrets: Vec<(String, String)>,
    /// Whether the text is a constant of crudctl's, without a value of the user's: it may stand in an argument list.
    pub constant: bool,
}

impl Script {
    /// A script of this text, which must be a constant or made of [`quote`]d parts.
    pub fn new(text: impl Into<String>) -> Self {
        Self { text: text.into(), ..Self::default() }
    }

    /// Adds a function that the text calls.
    #[must_use]
    pub fn function(mut self, function: &'static ShellFunction) -> Self {
        if !self.functions.iter().any(|f| f.name == function.name) {
            self.functions.push(function);
        }
        self
    }

    /// Adds a line.
    pub fn line(&mut self, line: impl AsRef<str>) -> &mut Self {
        self.text.push_str(line.as_ref());
        self.text.push('\n');
        self
    }

    /// Adds a payload; returns the shell word (already quoted) that names its file while the script runs.
    pub fn upload(&mut self, bytes: impl Into<Arc<[u8]>>) -> String {
        let bytes = bytes.into();
        let sha256 = hex(&Sha256::digest(&bytes));
        let word = format!("\"$crud_dir/{sha256}\"");
        if !self.uploads.iter().any(|u| u.sha256 == sha256) {
            self.uploads.push(Upload { sha256, bytes });
        }
        word
    }

    /// A command that writes these bytes to its standard output: inline where they are few, from an upload where they are many.
    pub fn write_bytes(&mut self, bytes: &[u8]) -> String {
        if bytes.len() > INLINE_LIMIT {
            return format!("cat {}", self.upload(bytes));
        }
        match std::str::from_utf8(bytes) {
            Ok(text) if !text.contains('\0') => format!("printf %s {}", quote(text)),
            _ => {
                let mut octal = String::with_capacity(bytes.len() * 4);
                for byte in bytes {
                    let _ = write!(octal, "\\{byte:03o}");
                }
                format!("printf '{octal}'")
            }
        }
    }
}

/// A word for sh: as it is where that is safe, else in single quotes. NUL bytes can't be in a word and are dropped.
pub fn quote(text: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"_-./:,+@%=".contains(&b);
    // `=` and `~` matter at the start of a word, `-` to commands (they take `--` or `./` for that).
    if !text.is_empty() && text.bytes().all(plain) && !text.starts_with('=') {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\0', "").replace('\'', r"'\''"))
}

/// Several words, each quoted, with blanks between.
pub fn quote_all<S: AsRef<str>>(words: impl IntoIterator<Item = S>) -> String {
    words.into_iter().map(|w| quote(w.as_ref())).collect::<Vec<_>>().join(" ")
}

/// A path as a word that no command takes for an option; `~` and `~user` at its beginning are the host's to expand.
pub fn quote_path(path: &str) -> String {
    if let Some(tail) = path.strip_prefix('~') {
        let end = tail.find('/').unwrap_or(tail.len());
        if tail[..end].bytes().all(|b| b.is_ascii_alphanumeric() || b"_-.".contains(&b)) {
            let rest = &tail[end..];
            return format!("~{}{}", &tail[..end], if rest.is_empty() { String::new() } else { quote(rest) });
        }
    }
    if path.starts_with('-') { quote(&format!("./{path}")) } else { quote(path) }
}

/// A text template whose `{}` are replaced by quoted words, in order; `{{` and `}}` stand for braces.
///
/// ```
/// # use crudctl::host::sh;
/// assert_eq!(sh!("[ -e {} ]", "a b"), "[ -e 'a b' ]");
/// ```
#[macro_export]
macro_rules! __sh {
    ($template:literal $(, $word:expr)* $(,)?) => {
        format!($template $(, $crate::host::script::quote(::std::convert::AsRef::<str>::as_ref(&$word)))*)
    };
}

/// Base64 as hosts write it (`base64`, `openssl base64`, line breaks allowed).
pub fn decode_base64(text: &str) -> anyhow::Result<Vec<u8>> {
    let packed: String = text.chars().filter(|c| !c.is_ascii_whitespace()).collect();
    Ok(STANDARD.decode(packed)?)
}

/// Lower-case hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut out, byte| {
        let _ = write!(out, "{byte:02x}");
        out
    })
}

/// What a script left behind.
#[derive(Debug, Clone, Default)]
pub struct Reply {
    /// Exit status (128 + n when signal n ended it).
    pub status: i32,
    /// Standard output, whole.
    pub stdout: Vec<u8>,
    /// Standard error, whole.
    pub stderr: Vec<u8>,
    /// When it started and ended, as the controller saw it.
    pub time: Option<(jiff::Timestamp, jiff::Timestamp)>,
}

impl Reply {
    /// Standard output as text; bytes that are no UTF-8 become U+FFFD.
    pub fn out(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    /// Standard error as text.
    pub fn err(&self) -> String {
        String::from_utf8_lossy(&self.stderr).into_owned()
    }

    /// The error that this reply is: what failed, the status, and the last lines of stderr (or stdout).
    pub fn failure(&self, what: &str) -> anyhow::Error {
        let text = if self.stderr.iter().all(u8::is_ascii_whitespace) { self.out() } else { self.err() };
        let lines: Vec<&str> = text.trim_end().lines().collect();
        let tail = lines[lines.len().saturating_sub(5)..].join("\n");
        anyhow::anyhow!("{what}: exit status {}{}{tail}", self.status, if tail.is_empty() { "" } else { ": " })
    }
}
