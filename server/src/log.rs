//! JSON lines on stderr: `{"time","level","message",...}`, one write a line.

use std::io::Write as _;
use std::sync::atomic::{AtomicU8, Ordering};

use serde_json::{Map, Value};

use crate::clock;

/// How much is written. `Off` is for benchmarks and tests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub enum Level {
    /// Nothing at all.
    Off,
    /// What somebody should look at.
    Error,
    /// What went wrong and was dealt with.
    Warn,
    /// Starts, stops and one line a request.
    Info,
    /// More than anybody wants in normal operation.
    Debug,
}

static LEVEL: AtomicU8 = AtomicU8::new(Level::Info as u8);

/// Sets the level for the whole process.
pub fn set_level(level: Level) {
    LEVEL.store(level as u8, Ordering::Relaxed);
}

/// Whether lines of this level are written.
pub fn enabled(level: Level) -> bool {
    level as u8 <= LEVEL.load(Ordering::Relaxed)
}

/// One line with fields of any JSON type.
pub fn write(level: Level, message: &str, fields: Map<String, Value>) {
    if !enabled(level) {
        return;
    }
    let name = match level {
        Level::Off => return,
        Level::Error => "error",
        Level::Warn => "warn",
        Level::Info => "info",
        Level::Debug => "debug",
    };
    let mut line = Map::with_capacity(fields.len() + 3);
    line.insert("time".into(), clock::rfc3339(clock::now()).into());
    line.insert("level".into(), name.into());
    line.insert("message".into(), message.into());
    line.extend(fields);
    let mut text = Value::Object(line).to_string();
    text.push('\n');
    // A closed stderr must not stop the service, and there is nowhere left to say it.
    drop(std::io::stderr().lock().write_all(text.as_bytes()));
}

fn texts(level: Level, message: &str, fields: &[(&str, String)]) {
    if enabled(level) {
        let fields = fields.iter().map(|(name, value)| ((*name).to_owned(), Value::from(value.as_str())));
        write(level, message, fields.collect());
    }
}

/// An error line.
pub fn error(message: &str, fields: &[(&str, String)]) {
    texts(Level::Error, message, fields);
}

/// A warning line.
pub fn warn(message: &str, fields: &[(&str, String)]) {
    texts(Level::Warn, message, fields);
}

/// An information line.
pub fn info(message: &str, fields: &[(&str, String)]) {
    texts(Level::Info, message, fields);
}

/// A debug line.
pub fn debug(message: &str, fields: &[(&str, String)]) {
    texts(Level::Debug, message, fields);
}
