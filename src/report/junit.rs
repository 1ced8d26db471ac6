//! JUnit XML: a suite for each play, a case for each task on each host; written when the run is over.

use super::result::{self, host_label};
use super::{Screen, source};
use crate::engine::event::{Event, Reporter, Status, TaskResult};

/// The reporter.
pub struct Junit {
    screen: Screen,
    suites: Vec<Suite>,
}

struct Suite {
    name: String,
    cases: Vec<TaskResult>,
}

impl Junit {
    /// Writes to this screen's stdout.
    pub fn new(screen: Screen) -> Self {
        Self { screen, suites: vec![] }
    }
}

/// Text as XML content or attribute; characters that XML 1.0 has no way to write become U+FFFD.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\n' => out.push_str("&#10;"),
            '\t' | '\r' => out.push(c),
            c if u32::from(c) < 0x20 => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

fn case(outcome: &TaskResult) -> String {
    let (file, line, _) = source::split(&outcome.task.place);
    let name = escape(&format!("[{}] {}", host_label(outcome), outcome.task.name));
    let place = escape(&line.map_or_else(|| file.to_owned(), |line| format!("{file}:{line}")));
    let head = format!("    <testcase name=\"{name}\" classname=\"{place}\" time=\"{:.3}\"", outcome.seconds);
    let reason = escape(&result::reason(outcome));
    match outcome.status {
        Status::Failed | Status::Unreachable if !outcome.ignored => {
            format!(
                "{head}>\n      <failure message=\"{reason}\" type=\"{}\"/>\n    </testcase>\n",
                super::plain::word(outcome.status)
            )
        }
        Status::Skipped => format!("{head}>\n      <skipped/>\n    </testcase>\n"),
        _ => format!("{head}/>\n"),
    }
}

fn document(suites: &[Suite]) -> String {
    let mut out = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n");
    for suite in suites {
        let count = |test: fn(&TaskResult) -> bool| suite.cases.iter().filter(|case| test(case)).count();
        out.push_str(&format!(
            "  <testsuite name=\"{}\" tests=\"{}\" failures=\"{}\" skipped=\"{}\" time=\"{:.3}\">\n",
            escape(&suite.name),
            suite.cases.len(),
            count(|case| matches!(case.status, Status::Failed | Status::Unreachable) && !case.ignored),
            count(|case| case.status == Status::Skipped),
            suite.cases.iter().map(|case| case.seconds).sum::<f64>(),
        ));
        suite.cases.iter().for_each(|outcome| out.push_str(&case(outcome)));
        out.push_str("  </testsuite>\n");
    }
    out.push_str("</testsuites>");
    out
}

impl Reporter for Junit {
    fn event(&mut self, event: &Event) {
        match event {
            Event::PlayStarted { name, .. } => self.suites.push(Suite { name: name.clone(), cases: vec![] }),
            Event::TaskEnded(outcome) => {
                if let Some(suite) = self.suites.last_mut() {
                    suite.cases.push(outcome.clone());
                }
            }
            Event::Warning { text } => self.screen.error_line(&super::plain::labelled("warning", text)),
            Event::Error { text } => self.screen.error_line(&super::plain::labelled("error", text)),
            _ => {}
        }
    }

    fn finish(&mut self) {
        let text = document(&self.suites);
        self.screen.line(&text);
    }
}
