//! How a module does a task's work on a host: at once, from this machine, or in the background.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Map, Value};

use super::batch::{self, End, Work};
use super::connection::{HostAccess, Resolver, Route};
use super::event::TaskInfo;
use super::flow;
use super::host::Host;
use super::jobs;
use super::play::PlayRun;
use super::result::{TaskEnd, truthy};
use super::settings::Settings;
use super::task::text_of;
use super::vars::TaskScope;
use crate::host::{Lost, Session};
use crate::language::Task;
use crate::language::template::TextOptions;
use crate::modules::Prepared;
use crate::modules::contract::{Apply, Check, Context, ControllerStep, HostStep, Outcome, RenderText, Verdict};
use crate::text::{Diagnostic, Node};

impl PlayRun {
    /// Runs a module on the host that the settings name; returns that host too.
    pub(super) async fn run_module(
        &self,
        task: &Arc<Task>,
        info: &TaskInfo,
        scope: &TaskScope,
        settings: &Settings,
        prepared: Prepared,
    ) -> (TaskEnd, Arc<Host>) {
        let worker = self.worker(scope, settings);
        let route = match self.route(scope, &worker, settings) {
            Ok(route) => route,
            Err(error) => return (TaskEnd::error(error), worker),
        };
        let context = self.context(scope, settings, &worker, &route);
        let environment: Vec<(String, String)> =
            settings.environment.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
        let session = match self.run.sessions.get(&route, &self.run.events).await {
            Ok(session) => session,
            Err(error) => return (TaskEnd::unreachable(&error.to_string()), worker),
        };
        let owes = self.owes(task, scope, settings);
        // Whether the script itself writes down what it owes, before it changes something.
        let mut noted = false;
        let end = match prepared {
            Prepared::Host(module) => {
                let seconds = self.seconds(task.r#async.as_ref(), scope);
                let work = Work {
                    module,
                    context,
                    environment,
                    timeout: settings.timeout,
                    passes_failure: false,
                    owes: owes.clone(),
                    group: 0,
                };
                match seconds {
                    Ok(Some(limit)) if limit > 0 && !settings.check_mode => {
                        self.run_async(task, info, scope, &session, &route, work, limit).await
                    }
                    Ok(_) => {
                        noted = true;
                        match self.ahead.found(&worker, &route, &work) {
                            Some(outcome) => TaskEnd::of(outcome),
                            None => self.run_host(&session, &route, work).await,
                        }
                    }
                    Err(error) => TaskEnd::error(error),
                }
            }
            Prepared::Controller(module) => {
                let access = HostAccess {
                    session: session.clone(),
                    who: route.who.clone(),
                    environment,
                    events: self.run.events.clone(),
                    host: worker.name.to_string(),
                    task: info.id,
                };
                let work = controller(&*module, &context, &access);
                match settings.timeout {
                    None => TaskEnd::of(work.await),
                    Some(limit) => match tokio::time::timeout(limit, work).await {
                        Ok(outcome) => TaskEnd::of(outcome),
                        Err(_) => timed_out(limit),
                    },
                }
            }
        };
        if !noted
            && !owes.is_empty()
            && end.changed()
            && let Err(lost) = session.owe(route.who.as_ref(), &owes).await
        {
            self.run.events.warning(format!("{}: what the task owes could not be written down: {lost}", worker.name));
        }
        (end, worker)
    }

    async fn run_host(&self, session: &Session, route: &Route, work: Work) -> TaskEnd {
        let mut out = TaskEnd::default();
        batch::run(session, route.who.as_ref(), vec![work], &mut |_, end| {
            out = end_of(end);
            false
        })
        .await;
        if out.unreachable {
            self.run.sessions.drop_route(route).await;
        }
        out
    }

    /// Runs a module's apply as a background job: to its end with `poll`, else only its start.
    #[expect(clippy::too_many_arguments, reason = "one call, and each is needed")]
    async fn run_async(
        &self,
        task: &Arc<Task>,
        info: &TaskInfo,
        scope: &TaskScope,
        session: &Session,
        route: &Route,
        work: Work,
        limit: u64,
    ) -> TaskEnd {
        let poll = match self.seconds(task.poll.as_ref(), scope) {
            Ok(poll) => poll.unwrap_or(15),
            Err(error) => return TaskEnd::error(error),
        };
        let access = HostAccess {
            session: session.clone(),
            who: route.who.clone(),
            environment: work.environment.clone(),
            events: self.run.events.clone(),
            host: route.target.name.clone(),
            task: info.id,
        };
        match start_job(&access, &work, limit).await {
            Ok(Started::Ended(outcome)) => TaskEnd::of(outcome),
            Ok(Started::Job(id, directory, parse)) => {
                self.run.jobs.insert(&id, parse);
                let mut end = TaskEnd::default();
                end.result.insert("ansible_job_id".into(), id.clone().into());
                end.result.insert("changed".into(), true.into());
                end.result.insert("failed".into(), false.into());
                end.result.insert("finished".into(), 0.into());
                end.result.insert("started".into(), 1.into());
                end.result.insert("results_file".into(), directory.into());
                if poll == 0 {
                    return end;
                }
                self.poll(&access, &id, poll, limit).await
            }
            Err(error) => TaskEnd::of(Outcome::failed(format!("{error:#}"))),
        }
    }

    async fn poll(&self, access: &HostAccess, id: &str, poll: u64, limit: u64) -> TaskEnd {
        let began = Instant::now();
        loop {
            // The first looks are quick: most jobs end long before the first `poll` seconds.
            let pause = Duration::from_secs(poll).min(Duration::from_millis(100) + began.elapsed() / 4);
            tokio::time::sleep(pause).await;
            match flow::job_status(&self.run.jobs, access, id).await {
                Ok(end) if end.result.get("finished").is_some_and(truthy) => return end,
                Ok(_) if began.elapsed() > Duration::from_secs(limit + 10) => {
                    let msg = format!("async task did not complete within the requested time - {limit}s");
                    return TaskEnd::of(Outcome::failed(msg));
                }
                Ok(_) => {}
                Err(error) => return TaskEnd::of(Outcome::failed(format!("{error:#}"))),
            }
        }
    }

    fn seconds(&self, node: Option<&Node>, scope: &TaskScope) -> Result<Option<u64>, Diagnostic> {
        let Some(node) = node else { return Ok(None) };
        let value = self.run.templar.value(node, &scope.scope())?;
        match &value {
            Value::Null => Ok(None),
            Value::Number(n) => Ok(n.as_u64()),
            Value::String(text) if text.trim().parse::<u64>().is_ok() => Ok(text.trim().parse().ok()),
            _ => Err(Diagnostic::error(format!("`{}` is no number of seconds", text_of(&value)), &node.place)),
        }
    }

    /// The host that does the work.
    pub(super) fn worker(&self, scope: &TaskScope, settings: &Settings) -> Arc<Host> {
        match &settings.delegate_to {
            Some(name) => self.run.vars.host(name),
            None => Arc::clone(&scope.host),
        }
    }

    /// The way to it.
    pub(super) fn route(
        &self,
        scope: &TaskScope,
        worker: &Arc<Host>,
        settings: &Settings,
    ) -> Result<Route, Diagnostic> {
        let scope = scope.on(Arc::clone(worker));
        Resolver { templar: &self.run.templar, scope: &scope, options: &self.run.options, config: &self.run.config }
            .route(settings)
    }

    /// What a module may know.
    pub(super) fn context(&self, scope: &TaskScope, settings: &Settings, worker: &Arc<Host>, route: &Route) -> Context {
        Context {
            check_mode: settings.check_mode,
            ahead: false,
            diff: settings.diff,
            facts: Arc::clone(&worker.read().facts),
            search: Arc::new(scope.search()),
            templates: Arc::new(TaskTemplates { templar: self.run.templar.clone(), scope: scope.clone() }),
            environment: Arc::new(settings.environment.clone()),
            host: Arc::clone(&worker.name),
            become_user: route.who.as_ref().map(|who| who.user.as_str().into()),
        }
    }
}

/// The result that a step of a batch ends with.
pub(super) fn end_of(end: End) -> TaskEnd {
    match end {
        End::Outcome(outcome) => TaskEnd::of(outcome),
        End::Lost(Lost::TimedOut(limit)) => timed_out(limit),
        End::Lost(Lost::Disconnected(reason)) => TaskEnd::unreachable(&format!("connection lost: {reason}")),
        End::Lost(Lost::Become(reason)) => TaskEnd::of(Outcome::failed(reason)),
    }
}

fn timed_out(limit: Duration) -> TaskEnd {
    let seconds = limit.as_secs_f64();
    let mut end = TaskEnd::of(Outcome::failed(format!("Timed out after {seconds} second(s).")));
    let period = if seconds.fract() == 0.0 { serde_json::json!(limit.as_secs()) } else { serde_json::json!(seconds) };
    end.result.insert("timedout".into(), serde_json::json!({"period": period}));
    end
}

/// Runs a controller module.
async fn controller(module: &dyn ControllerStep, context: &Context, access: &HostAccess) -> Outcome {
    let failure = |error: anyhow::Error| Outcome::failed(format!("{error:#}"));
    match module.check(context, access).await {
        Err(error) => failure(error),
        Ok(Verdict::Converged(outcome)) => outcome,
        Ok(Verdict::Failed(mut outcome)) => {
            outcome.failed.get_or_insert_with(|| "failed".into());
            outcome
        }
        Ok(Verdict::Drift { mut outcome, .. }) if context.check_mode => {
            outcome.changed = !outcome.skipped;
            outcome
        }
        Ok(Verdict::Drift { drift, outcome: found }) => match module.apply(drift, context, access).await {
            Ok(mut outcome) => {
                if outcome.diff.is_empty() {
                    outcome.diff = found.diff;
                }
                outcome
            }
            Err(error) => failure(error),
        },
    }
}

enum Started {
    Ended(Outcome),
    Job(String, String, crate::modules::contract::ParseApply),
}

/// Checks, then starts what is to be applied in the background.
async fn start_job(access: &HostAccess, work: &Work, limit: u64) -> anyhow::Result<Started> {
    use crate::modules::contract::Access as _;
    let module: &dyn HostStep = &*work.module;
    let verdict = match module.check(&work.context)? {
        Check::Known(verdict) => verdict,
        Check::Ask { script, parse, .. } => parse(&access.run(script).await?)?,
    };
    let drift = match verdict {
        Verdict::Converged(outcome) | Verdict::Failed(outcome) => return Ok(Started::Ended(outcome)),
        Verdict::Drift { drift, .. } => drift,
    };
    let Apply { script, parse } = module.apply(drift, &work.context)?;
    let id = jobs::new_id();
    let reply = access.run(jobs::start(&id, &script, limit)).await?;
    anyhow::ensure!(reply.status == 0, reply.failure("could not start the background job"));
    Ok(Started::Job(id, reply.out().trim().to_owned(), parse))
}

/// Renders template files for modules.
struct TaskTemplates {
    templar: crate::language::template::Templar,
    scope: TaskScope,
}

impl RenderText for TaskTemplates {
    fn render(&self, path: &Path, text: &str, options: &Map<String, Value>) -> Result<String, Diagnostic> {
        let mut scope = self.scope.clone();
        let full = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        let mut put = |name: &str, value: String| scope.locals.insert(name.to_owned(), Value::from(value));
        put("template_path", path.display().to_string());
        put("template_fullpath", full.display().to_string());
        put("template_host", nix::unistd::gethostname().map(|h| h.to_string_lossy().into_owned()).unwrap_or_default());
        put("template_uid", nix::unistd::geteuid().to_string());
        if let Some(dest) = options.get("dest").and_then(Value::as_str) {
            put("template_destpath", dest.to_owned());
        }
        let options: TextOptions = serde_json::from_value(Value::Object(options.clone()))
            .map_err(|error| Diagnostic::plain(format!("template options: {error}")))?;
        self.templar.text(&path.display().to_string(), text, &options, &scope.scope())
    }
}
