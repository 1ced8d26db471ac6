//! For GitHub Actions: a group a play, an annotation at file and line for each failure and warning.

use super::plain::{Plain, count, duration};
use super::{Screen, Settings, result, source};
use crate::engine::event::{Event, Reporter, Status, TaskResult};

/// The reporter: the `plain` one's lines with workflow commands between them.
pub struct Github {
    plain: Plain,
    in_group: bool,
}

impl Github {
    /// With these settings, to this screen.
    pub fn new(settings: Settings, screen: Screen) -> Self {
        Self { plain: Plain::new(settings, screen), in_group: false }
    }

    fn end_group(&mut self) {
        if std::mem::take(&mut self.in_group) {
            self.plain.screen.line("::endgroup::");
        }
    }
}

/// A value of a workflow command; `property` also escapes what separates properties.
fn escape(text: &str, property: bool) -> String {
    let text = text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A");
    if property { text.replace(':', "%3A").replace(',', "%2C") } else { text }
}

/// `::error file=…,line=…,col=…,title=…::reason`.
fn annotation(outcome: &TaskResult) -> String {
    let (path, line, column) = source::split(outcome.origin.as_deref().unwrap_or(&outcome.task.place));
    let mut place = format!("file={}", escape(path, true));
    for (name, number) in [("line", line), ("col", column)] {
        if let Some(number) = number {
            place.push_str(&format!(",{name}={number}"));
        }
    }
    let title = escape(&format!("{} on {}", outcome.task.name, outcome.host), true);
    format!("::error {place},title={title}::{}", escape(&result::reason(outcome), false))
}

impl Reporter for Github {
    fn event(&mut self, event: &Event) {
        match event {
            Event::PlayStarted { name, hosts, .. } => {
                self.end_group();
                self.plain.screen.line(&format!("::group::{} ({})", escape(name, false), count(hosts.len(), "host")));
                self.in_group = true;
            }
            Event::RunEnded { seconds, .. } => {
                self.end_group();
                self.plain.screen.line(&format!("::notice::run ended after {}", duration(*seconds)));
            }
            _ => {}
        }
        self.plain.event(event);
        match event {
            Event::TaskEnded(outcome) | Event::ItemEnded(outcome)
                if matches!(outcome.status, Status::Failed | Status::Unreachable)
                    && !outcome.ignored
                    && !outcome.is_loop =>
            {
                self.plain.screen.line(&annotation(outcome));
            }
            Event::Warning { text } => self.plain.screen.line(&format!("::warning::{}", escape(text, false))),
            Event::Error { text } => self.plain.screen.line(&format!("::error::{}", escape(text, false))),
            _ => {}
        }
    }

    fn finish(&mut self) {
        self.end_group();
        self.plain.finish();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_annotated_at_its_line() {
        let outcome = super::super::ansible::tests::failed("site.yml:3:5", "it\nbroke, 100%");
        assert_eq!(annotation(&outcome), "::error file=site.yml,line=3,col=5,title=a task on web1::it%0Abroke, 100%25");
    }
}
