//! `docker_container_exec`: a command in a container that runs.

use std::collections::BTreeMap;

use anyhow::Context as _;
use bollard::container::LogOutput;
use bollard::exec::{StartExecOptions, StartExecResults};
use bollard::models::ExecConfig;
use futures_util::StreamExt as _;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;
use tokio::io::AsyncWriteExt as _;

use super::answers::{DockerHost, said};
use super::container_values::text;
use super::engine;
use crate::modules::{Access, Context, ControllerModule, Outcome, Verdict};

/// Runs a command in a container; its status is `rc` of the result, and is no failure of the task.
///
/// It counts as a change each time, and is skipped in check mode.
///
/// ```yaml
/// - docker_container_exec:
///     container: database
///     argv: [pg_dump, books]
///   register: dump
/// ```
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[expect(clippy::struct_excessive_bools, reason = "the parameters are Ansible's")]
pub(super) struct DockerContainerExec {
    /// The container's name or id.
    container: String,
    /// The command, word by word.
    #[serde(default)]
    argv: Vec<String>,
    /// The command as one line, which is split into words as a shell would.
    #[serde(default)]
    command: Option<String>,
    /// The folder that it runs in.
    #[serde(default)]
    chdir: Option<String>,
    /// Start it and go on; the result has `exec_id` only.
    #[serde(default)]
    detach: bool,
    /// Its user.
    #[serde(default)]
    user: Option<String>,
    /// Its environment, besides the container's.
    #[serde(default)]
    env: BTreeMap<String, Value>,
    /// What it reads from stdin.
    #[serde(default)]
    stdin: Option<String>,
    /// End stdin with a newline.
    #[serde(default = "crate::modules::guarded::yes")]
    stdin_add_newline: bool,
    /// Take empty lines off the end of `stdout` and `stderr`.
    #[serde(default = "crate::modules::guarded::yes")]
    strip_empty_ends: bool,
    /// Give it a terminal; all that it says is `stdout` then.
    #[serde(default)]
    tty: bool,
    /// Where the engine is.
    #[serde(default)]
    docker_host: DockerHost,
}

impl DockerContainerExec {
    fn words(&self) -> anyhow::Result<Vec<String>> {
        let words = match (&self.command, self.argv.is_empty()) {
            (Some(_), false) => anyhow::bail!("parameters are mutually exclusive: argv|command"),
            (None, true) => anyhow::bail!("one of the following is required: argv, command"),
            (None, false) => self.argv.clone(),
            (Some(line), true) => {
                shlex::split(line).with_context(|| format!("the command `{line}` has unbalanced quotes"))?
            }
        };
        anyhow::ensure!(!words.is_empty(), "the command is empty");
        anyhow::ensure!(!self.detach || self.stdin.is_none(), "If detach=true, stdin cannot be provided.");
        Ok(words)
    }

    fn config(&self, words: Vec<String>) -> ExecConfig {
        ExecConfig {
            cmd: Some(words),
            attach_stdin: Some(self.stdin.is_some()),
            attach_stdout: Some(!self.detach),
            attach_stderr: Some(!self.detach),
            tty: Some(self.tty),
            env: Some(self.env.iter().map(|(name, value)| format!("{name}={}", text(value))).collect()),
            user: self.user.clone(),
            working_dir: self.chdir.clone(),
            ..ExecConfig::default()
        }
    }

    fn shown(&self, bytes: &[u8]) -> String {
        let text = String::from_utf8_lossy(bytes);
        if self.strip_empty_ends { text.trim_end_matches(['\r', '\n']).to_owned() } else { text.into_owned() }
    }
}

impl ControllerModule for DockerContainerExec {
    type Drift = Vec<String>;

    async fn check(&self, cx: &Context, _: &dyn Access) -> anyhow::Result<Verdict<Self::Drift>> {
        self.docker_host.ensure_own()?;
        let words = self.words()?;
        if cx.check_mode {
            let outcome = Outcome { skipped: true, ..Outcome::ok() };
            return Ok(Verdict::Converged(outcome.message("check mode can't tell what the command would do")));
        }
        Ok(Verdict::drift(words))
    }

    async fn apply(&self, words: Self::Drift, _: &Context, host: &dyn Access) -> anyhow::Result<Outcome> {
        engine::with(host, |docker| async move {
            let id = docker.create_exec(&self.container, self.config(words)).await.map_err(said)?.id;
            let options = StartExecOptions { detach: self.detach, tty: self.tty, output_capacity: None };
            let started = docker.start_exec(&id, Some(options)).await.map_err(said)?;
            let StartExecResults::Attached { mut output, mut input } = started else {
                return Ok(Outcome::changed().with("exec_id", id));
            };
            let newline = if self.stdin_add_newline { "\n" } else { "" };
            let given = self.stdin.as_ref().map(|text| format!("{text}{newline}")).unwrap_or_default();
            let writes = async {
                // A command may end before it has read all.
                let _ = input.write_all(given.as_bytes()).await;
                let _ = input.shutdown().await;
            };
            let (mut out, mut err) = (Vec::new(), Vec::new());
            let reads = async {
                while let Some(piece) = output.next().await {
                    match piece.map_err(said)? {
                        LogOutput::StdErr { message } => err.extend_from_slice(&message),
                        LogOutput::StdOut { message } | LogOutput::Console { message } => {
                            out.extend_from_slice(&message);
                        }
                        LogOutput::StdIn { .. } => {}
                    }
                }
                anyhow::Ok(())
            };
            let ((), read) = tokio::join!(writes, reads);
            read?;
            let status = docker.inspect_exec(&id).await.map_err(said)?.exit_code;
            let status = status.context("the engine does not tell how the command ended")?;
            Ok(Outcome::changed().with("rc", status).with("stdout", self.shown(&out)).with("stderr", self.shown(&err)))
        })
        .await
    }
}
