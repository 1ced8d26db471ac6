//! What a build says while it runs: lines for people, the last of them for a failure.

use std::collections::{HashMap, HashSet, VecDeque};
use std::fmt::Write as _;

use bollard_buildkit_proto::google::protobuf::Timestamp;
use bollard_buildkit_proto::moby::buildkit::v1::StatusResponse;

use super::SecretBytes;

/// Lines of a step's output that a failure shows.
const SHOWN: usize = 20;

/// Where lines go: to people as they come, and kept. The build's secrets are never in them.
pub(super) struct Log<'a> {
    on_line: &'a (dyn Fn(&str) + Send + Sync),
    secrets: Vec<String>,
    all: String,
    last: VecDeque<String>,
}

impl<'a> Log<'a> {
    pub(super) fn new<'s>(
        on_line: &'a (dyn Fn(&str) + Send + Sync),
        secrets: impl Iterator<Item = &'s SecretBytes>,
    ) -> Self {
        let texts = secrets.filter_map(|secret| std::str::from_utf8(secret.expose()).ok()).map(str::trim);
        let secrets = texts.filter(|text| !text.is_empty()).map(str::to_owned).collect();
        Self { on_line, secrets, all: String::new(), last: VecDeque::new() }
    }

    /// Text of one or more lines.
    pub(super) fn text(&mut self, text: &str) {
        for line in text.split(['\n', '\r']).map(str::trim_end).filter(|line| !line.is_empty()) {
            let line = self.redact(line);
            (self.on_line)(&line);
            self.all.push_str(&line);
            self.all.push('\n');
            if self.last.len() == SHOWN {
                self.last.pop_front();
            }
            self.last.push_back(line);
        }
    }

    /// A failure with the last lines before it.
    pub(super) fn failure(&self, reason: &str) -> String {
        let mut text = format!("the build failed: {}", self.redact(reason.trim()));
        for line in &self.last {
            let _ = write!(text, "\n  {line}");
        }
        text
    }

    /// All lines.
    pub(super) fn into_text(self) -> String {
        self.all
    }

    fn redact(&self, line: &str) -> String {
        let mut line = line.to_owned();
        for secret in &self.secrets {
            line = line.replace(secret, "********");
        }
        line
    }
}

/// The steps that BuildKit has told of.
#[derive(Default)]
pub(super) struct Steps {
    names: HashMap<String, String>,
    begun: HashSet<String>,
    done: HashSet<String>,
    /// Output of a step that has no end of line yet.
    open: HashMap<String, Vec<u8>>,
}

impl Steps {
    /// Turns news into lines.
    pub(super) fn take(&mut self, news: &StatusResponse, log: &mut Log<'_>) {
        for step in &news.vertexes {
            // BuildKit's own steps, such as loading the list of what is ignored, are no news to people.
            if step.name.starts_with("[internal]") || step.name.is_empty() {
                continue;
            }
            self.names.insert(step.digest.clone(), step.name.clone());
            if step.cached {
                if self.done.insert(step.digest.clone()) {
                    log.text(&format!("{} (cached)", step.name));
                }
            } else if step.started.is_some() && self.begun.insert(step.digest.clone()) {
                log.text(&step.name);
            }
        }
        for output in &news.logs {
            let open = self.open.entry(output.vertex.clone()).or_default();
            open.extend_from_slice(&output.msg);
            if let Some(end) = open.iter().rposition(|byte| *byte == b'\n' || *byte == b'\r') {
                let whole: Vec<u8> = open.drain(..=end).collect();
                log.text(&String::from_utf8_lossy(&whole));
            }
        }
        for step in &news.vertexes {
            let (Some(begin), Some(end)) = (&step.started, &step.completed) else { continue };
            if let Some(rest) = self.open.remove(&step.digest) {
                log.text(&String::from_utf8_lossy(&rest));
            }
            let known = self.begun.contains(&step.digest) && !step.cached && step.error.is_empty();
            if known && self.done.insert(step.digest.clone()) {
                log.text(&format!("{} done in {:.1} s", step.name, seconds(begin, end)));
            }
        }
    }
}

fn seconds(begin: &Timestamp, end: &Timestamp) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "one digit after the point is shown")]
    let whole = (end.seconds - begin.seconds) as f64;
    whole + f64::from(end.nanos - begin.nanos) / 1e9
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use bollard_buildkit_proto::moby::buildkit::v1::{Vertex, VertexLog};

    use super::*;

    #[test]
    fn steps_and_their_output_become_lines_without_secrets() {
        let lines = Mutex::new(Vec::new());
        let on_line = |line: &str| lines.lock().unwrap().push(line.to_owned());
        let secret = SecretBytes::new(b"hunter2\n".to_vec());
        let mut log = Log::new(&on_line, std::iter::once(&secret));
        let mut steps = Steps::default();
        let time = |seconds| Some(Timestamp { seconds, nanos: 0 });
        let step = |cached, completed| Vertex {
            digest: "d".into(),
            name: "[2/3] RUN make".into(),
            cached,
            started: time(1),
            completed,
            ..Vertex::default()
        };
        let output = |text: &str| VertexLog { vertex: "d".into(), msg: text.into(), ..VertexLog::default() };
        let mut news = StatusResponse { vertexes: vec![step(false, None)], ..StatusResponse::default() };
        news.logs = vec![output("one\npass"), output("word hunter2\nthr")];
        steps.take(&news, &mut log);
        steps.take(&StatusResponse { vertexes: vec![step(false, time(3))], ..StatusResponse::default() }, &mut log);
        let expected = ["[2/3] RUN make", "one", "password ********", "thr", "[2/3] RUN make done in 2.0 s"];
        assert_eq!(*lines.lock().unwrap(), expected);
        assert!(log.failure("no hunter2").starts_with("the build failed: no ********\n  [2/3] RUN make\n"));
    }
}
