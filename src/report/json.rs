//! One event a line, for programs; `replay` turns such lines into events again.

use std::io::BufRead;

use anyhow::Context as _;

use super::Screen;
use crate::engine::event::{Event, Reporter, VERSION};

/// The reporter.
pub struct Json {
    screen: Screen,
}

impl Json {
    /// Writes to this screen.
    pub fn new(screen: Screen) -> Self {
        Self { screen }
    }
}

impl Reporter for Json {
    fn event(&mut self, event: &Event) {
        let event = censor(event);
        match serde_json::to_string(&event) {
            Ok(line) => self.screen.line(&line),
            Err(error) => self.screen.error_line(&format!("an event could not be written as JSON: {error}")),
        }
    }
}

/// The event as it may be written: results under `no_log` hold no content.
fn censor(event: &Event) -> Event {
    let mut event = event.clone();
    if let Event::ItemEnded(result) | Event::TaskEnded(result) | Event::Retry { result, .. } = &mut event {
        let censored = super::result::censored(result);
        result.result = super::result::shown(result);
        if censored {
            result.item = result.item.as_ref().map(|_| "(censored due to no_log)".into());
            result.error = None;
        }
    }
    event
}

/// Hands the events of a JSON report to a reporter.
///
/// # Errors
/// A line that isn't an event, or an event of a later version.
pub fn replay(lines: impl BufRead, reporter: &mut dyn Reporter) -> anyhow::Result<()> {
    for (number, line) in lines.lines().enumerate() {
        let line = line.with_context(|| format!("line {} can't be read", number + 1))?;
        if line.trim().is_empty() {
            continue;
        }
        let event: Event =
            serde_json::from_str(&line).with_context(|| format!("line {} is not an event of a run", number + 1))?;
        if let Event::RunStarted { version, .. } = &event {
            anyhow::ensure!(*version <= VERSION, "the report is of version {version}; this crudctl knows {VERSION}");
        }
        reporter.event(&event);
    }
    reporter.finish();
    Ok(())
}
