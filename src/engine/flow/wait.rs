//! `pause`, `async_status`: waiting.

use std::io::IsTerminal as _;
use std::time::{Duration, Instant};

use serde::Deserialize;
use serde_json::Value;

use super::{Cx, arguments, done};
use crate::engine::call::Call;
use crate::engine::connection::HostAccess;
use crate::engine::event::Event;
use crate::engine::jobs::{self, Jobs};
use crate::engine::result::TaskEnd;
use crate::engine::task::Ran;
use crate::host::Reply;
use crate::host::script::decode_base64;
use crate::modules::contract::{Access as _, Applied, Outcome};
use crate::text::Diagnostic;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Pause {
    seconds: Option<f64>,
    minutes: Option<f64>,
    prompt: Option<String>,
    #[serde(default = "yes")]
    echo: bool,
}

fn yes() -> bool {
    true
}

pub(super) async fn pause(call: &Call, cx: &Cx<'_>) -> Result<Ran, Diagnostic> {
    let args: Pause = arguments(call)?;
    if args.seconds.is_some() && args.minutes.is_some() {
        return Err(Diagnostic::error("parameters are mutually exclusive: minutes|seconds", &call.args.place));
    }
    let seconds = args.seconds.or_else(|| args.minutes.map(|m| m * 60.0));
    let started = now();
    let began = Instant::now();
    let mut input = String::new();
    if let Some(seconds) = seconds {
        if let Some(prompt) = &args.prompt {
            cx.play.run.events.emit(Event::Progress {
                host: cx.host.name.to_string(),
                task: cx.info.id,
                line: prompt.clone(),
            });
        }
        tokio::time::sleep(Duration::from_secs_f64(seconds.max(0.0))).await;
    } else {
        let prompt = args.prompt.clone().unwrap_or_else(|| "Press enter to continue, Ctrl+C to interrupt".into());
        if std::io::stdin().is_terminal() {
            let echo = args.echo;
            let line = tokio::task::spawn_blocking(move || crate::cli::prompt::line(&format!("{prompt}:"), echo)).await;
            input = line.ok().and_then(Result::ok).unwrap_or_default();
        } else {
            cx.play.run.events.warning("Not waiting for response to prompt as stdin is not interactive");
        }
    }
    let took = began.elapsed().as_secs_f64();
    let unit = if args.minutes.is_some() { "minutes" } else { "seconds" };
    let shown = if args.minutes.is_some() { took / 60.0 } else { took };
    #[expect(clippy::cast_possible_truncation, reason = "whole seconds, as Ansible reports them")]
    let delta = took.round() as i64;
    let outcome = Outcome::ok()
        .with("start", started)
        .with("stop", now())
        .with("delta", delta)
        .with("echo", args.echo)
        .with("rc", 0)
        .with("stderr", "")
        .with("stdout", format!("Paused for {shown:.2} {unit}"))
        .with("user_input", input);
    Ok(done(outcome))
}

/// The local time, as Ansible writes it.
fn now() -> String {
    let zoned = jiff::Timestamp::now().to_zoned_datetime(jiff::tz::TimeZone::system());
    jiff::fmt::strtime::format("%Y-%m-%d %H:%M:%S.%6f", &zoned).unwrap_or_default()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AsyncStatus {
    jid: String,
    #[serde(default)]
    mode: Mode,
}

#[derive(Deserialize, Default, PartialEq)]
#[serde(rename_all = "lowercase")]
enum Mode {
    #[default]
    Status,
    Cleanup,
}

pub(super) async fn async_status(call: &Call, cx: &Cx<'_>) -> Result<Ran, Diagnostic> {
    let args: AsyncStatus = arguments(call)?;
    let valid = !args.jid.is_empty()
        && args.jid.chars().all(|c| c.is_ascii_alphanumeric() || ".-_".contains(c))
        && !args.jid.starts_with('.');
    if !valid {
        return Err(Diagnostic::error(format!("`{}` is no job's name", args.jid), &call.args.place));
    }
    let worker = cx.play.worker(cx.scope, cx.settings);
    let route = cx.play.route(cx.scope, &worker, cx.settings)?;
    let session = match cx.play.run.sessions.get(&route, &cx.play.run.events).await {
        Ok(session) => session,
        Err(error) => return Ok(Ran { end: TaskEnd::unreachable(&error.to_string()), ..Ran::default() }),
    };
    let access = HostAccess {
        session,
        who: route.who.clone(),
        environment: vec![],
        events: cx.play.run.events.clone(),
        host: worker.name.to_string(),
        task: cx.info.id,
    };
    if args.mode == Mode::Cleanup {
        let reply = access.run(jobs::cleanup(&args.jid)).await.map_err(|e| Diagnostic::plain(format!("{e:#}")))?;
        if reply.status != 0 {
            return Err(Diagnostic::plain(reply.failure("could not remove the job's files").to_string()));
        }
        return Ok(done(Outcome::ok().with("ansible_job_id", args.jid.clone()).with("erased", args.jid)));
    }
    let end = job_status(&cx.play.run.jobs, &access, &args.jid)
        .await
        .map_err(|error| Diagnostic::error(format!("{error:#}"), &call.args.place))?;
    Ok(Ran { end, ..Ran::default() })
}

/// How a background job stands.
pub(in crate::engine) async fn job_status(jobs: &Jobs, access: &HostAccess, id: &str) -> anyhow::Result<TaskEnd> {
    let reply = access.run(jobs::status(id)).await?;
    anyhow::ensure!(reply.status == 0, reply.failure("could not read the job's state"));
    let text = reply.out();
    let mut lines = text.lines();
    let mark = |mut end: TaskEnd, finished: bool| {
        end.result.insert("ansible_job_id".into(), id.into());
        end.result.insert("started".into(), 1.into());
        end.result.insert("finished".into(), Value::from(i32::from(finished)));
        end
    };
    match lines.next() {
        Some("running") => Ok(mark(TaskEnd::of(Outcome::ok()), false)),
        Some("missing") => Ok(mark(TaskEnd::of(Outcome::failed("could not find job")), true)),
        Some("ended") => {
            let status = lines.next().unwrap_or_default().trim().parse().unwrap_or(-1);
            let stdout = decode_base64(lines.next().unwrap_or_default())?;
            let stderr = decode_base64(lines.next().unwrap_or_default())?;
            let reply = Reply { status, stdout, stderr, time: None };
            let outcome = match jobs.take(id) {
                Some(parse) => match parse(&reply)? {
                    Applied::Done(outcome) => outcome,
                    Applied::Again(_) => {
                        Outcome::failed("the module wants another step, which a background job can't have")
                    }
                },
                None => generic(&reply),
            };
            Ok(mark(TaskEnd::of(outcome), true))
        }
        _ => Ok(mark(
            TaskEnd::of(Outcome::failed("the job ended without a result (it was killed, or its time was over)")),
            true,
        )),
    }
}

/// What can be said of a job that another run started.
fn generic(reply: &Reply) -> Outcome {
    let (out, err) = (reply.out(), reply.err());
    let outcome = if reply.status == 0 { Outcome::changed() } else { Outcome::failed("non-zero return code") };
    let lines = |text: &str| Value::from(text.lines().map(str::to_owned).collect::<Vec<_>>());
    outcome
        .with("rc", reply.status)
        .with("stdout_lines", lines(&out))
        .with("stderr_lines", lines(&err))
        .with("stdout", out.trim_end_matches('\n'))
        .with("stderr", err.trim_end_matches('\n'))
}
