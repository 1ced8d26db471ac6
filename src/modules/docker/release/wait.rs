//! Waiting until a release is well, and the reason where it does not become so.

use std::time::{Duration, Instant};

use anyhow::Context as _;
use bollard::Docker;
use bollard::query_parameters::LogsOptionsBuilder;
use futures_util::StreamExt as _;
use serde_json::{Value, json};

use super::super::probe::{self, Answer};
use super::Release;
use crate::host::Script;
use crate::modules::contract::{Access, Outcome};
use crate::modules::net::sockets;

/// Exit status of a process that SIGKILL ended.
const KILLED: i64 = 137;
/// Time that an engine gets to come back.
const RESTART: Duration = Duration::from_mins(1);

/// Why a release did not become well.
pub(super) struct Failure {
    summary: String,
    details: Value,
    logs: Vec<String>,
}

impl Failure {
    pub(super) fn outcome(&self, name: &str) -> Outcome {
        let mut text = format!("the release of `{name}` did not become well: {}", self.summary);
        if !self.logs.is_empty() {
            text.push_str("\nits last lines:\n  ");
            text.push_str(&self.logs.join("\n  "));
        }
        Outcome::failed(text).with("explanation", self.details.clone()).with("rolled_back", true)
    }
}

impl Release {
    /// Waits until a container is well; gives the reason where it can't become so. An engine that is restarted meanwhile takes the
    /// container along, as it is kept running only once it is well: it is started once more.
    pub(super) async fn wait(
        &self,
        docker: &Docker,
        host: &dyn Access,
        name: &str,
        port: u16,
    ) -> anyhow::Result<Option<Failure>> {
        let mut engine = Some(engine_start(host).await);
        let mut end = Instant::now() + Duration::from_secs(self.timeout);
        let mut last = Answer::None("it was not asked yet".into());
        loop {
            let state = match docker.inspect_container(name, None).await {
                Ok(found) => found.state.unwrap_or_default(),
                Err(error @ bollard::errors::Error::DockerResponseServerError { .. }) => return Err(error.into()),
                // The engine is away.
                Err(error) if engine.is_none() => return Err(error.into()),
                Err(_) => bollard::models::ContainerState::default(),
            };
            if state.running != Some(true) {
                let by_itself = state.oom_killed == Some(true) || matches!(state.exit_code, Some(1..=127));
                if let Some(before) = engine.take_if(|_| !by_itself)
                    && self.restarted(docker, host, &before).await?
                {
                    host.progress("the engine was restarted: starting the release again");
                    docker.start_container(name, None).await.context("could not start the release again")?;
                    end = Instant::now() + Duration::from_secs(self.timeout);
                    continue;
                }
                return self.explain(docker, host, name, &last, false).await.map(Some);
            }
            last = probe::ask(host, port, &self.health).await;
            if last.is_well() {
                return Ok(None);
            }
            if Instant::now() >= end {
                return self.explain(docker, host, name, &last, true).await.map(Some);
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    /// Whether the engine is another process than it was; waits for one that comes back.
    async fn restarted(&self, docker: &Docker, host: &dyn Access, before: &str) -> anyhow::Result<bool> {
        // An engine ends its containers first, and itself a moment later.
        tokio::time::sleep(Duration::from_millis(1500)).await;
        let end = Instant::now() + RESTART;
        loop {
            match docker.ping().await {
                Ok(_) => return Ok(engine_start(host).await != before),
                Err(error) if Instant::now() >= end => return Err(error).context("the engine went away"),
                Err(_) => tokio::time::sleep(Duration::from_millis(500)).await,
            }
        }
    }

    async fn explain(
        &self,
        docker: &Docker,
        host: &dyn Access,
        name: &str,
        last: &Answer,
        late: bool,
    ) -> anyhow::Result<Failure> {
        let found = docker.inspect_container(name, None).await?;
        let state = found.state.unwrap_or_default();
        let status = state.status.map(|s| s.to_string()).unwrap_or_default();
        let code = state.exit_code.unwrap_or(0);
        let oom = state.oom_killed.unwrap_or(false);
        let logs = last_lines(docker, name).await;
        let mut summary = if oom {
            format!(
                "it was killed for memory (limit {})",
                self.memory.map_or_else(|| "of the host".into(), |m| format!("{m} bytes"))
            )
        } else if !late {
            let hint =
                if code == KILLED { " (killed from outside: by an engine that stops, or by somebody)" } else { "" };
            format!("it exited with status {code} before it was well{hint}")
        } else {
            match last {
                Answer::Http(status, body) => {
                    format!("after {} s `GET {}` still answers {status}: {body}", self.timeout, self.health)
                }
                Answer::None(reason) => format!(
                    "after {} s `GET {}` on port {} gets no answer: {reason}",
                    self.timeout, self.health, self.port
                ),
            }
        };
        let mut listens = vec![];
        if late && let Some(pid) = state.pid.filter(|p| *p > 0) {
            let ports = listening(host, &format!("/proc/{pid}/net/tcp /proc/{pid}/net/tcp6")).await;
            if !self.host_network && !ports.contains(&self.port) {
                summary.push_str(&match &ports[..] {
                    [] => format!("; nothing in the container listens on port {}", self.port),
                    ports => format!("; the container listens on {ports:?}, not on {} (`service.port`)", self.port),
                });
            }
            listens = ports;
        }
        if let Some(error) = state.error.filter(|e| !e.is_empty()) {
            summary.push_str(&format!("; {error}"));
        }
        let (http, body) = match last {
            Answer::Http(status, body) => (json!(status), json!(body)),
            Answer::None(reason) => (Value::Null, json!(reason)),
        };
        let details = json!({
            "state": status, "exit_code": code, "oom_killed": oom, "health_status": http, "health_body": body,
            "listens_on": listens, "logs": logs,
        });
        Ok(Failure { summary, details, logs })
    }
}

/// The engine's process and when it started (field 22 of `proc(5)`'s stat); empty where that can't be read.
async fn engine_start(host: &dyn Access) -> String {
    const SCRIPT: &str = "p=$(cat /var/run/docker.pid) && sed 's/.*) //' /proc/$p/stat | cut -d ' ' -f 20 && echo $p";
    host.run(Script::new(SCRIPT)).await.map(|reply| reply.out()).unwrap_or_default()
}

/// Ports that something listens on, by the kernel's tables.
pub(super) async fn listening(host: &dyn Access, tables: &str) -> Vec<u16> {
    let Ok(reply) = host.run(Script::new(format!("cat {tables} 2>/dev/null; exit 0"))).await else { return vec![] };
    let all = sockets::parse(&reply.out());
    let mut ports: Vec<u16> =
        all.iter().filter(|socket| socket.state == sockets::LISTEN).map(|socket| socket.local.port()).collect();
    ports.sort_unstable();
    ports.dedup();
    ports
}

/// The last lines of a container's log.
async fn last_lines(docker: &Docker, name: &str) -> Vec<String> {
    let options = LogsOptionsBuilder::default().stdout(true).stderr(true).tail("20").build();
    let mut stream = std::pin::pin!(docker.logs(name, Some(options)));
    let mut text = String::new();
    while let Some(Ok(piece)) = stream.next().await {
        text.push_str(&piece.to_string());
    }
    let lines: Vec<String> = text.lines().map(|l| l.chars().take(500).collect()).collect();
    lines[lines.len().saturating_sub(20)..].to_vec()
}
