//! `crudctl_rollout`: the release of a service on a cluster.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::ensure;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use super::{common, templates};
use crate::cluster::client::Cluster;
use crate::cluster::deploy::{self, Back, Ended, Plan, Service};
use crate::cluster::lock::{self, Held};
use crate::cluster::pods::Policy;
use crate::modules::{Access, Context, ControllerModule, Outcome, Verdict};

/// Rolls a service out on a Kubernetes cluster, or takes it back, or away.
///
/// Its objects come from templates. They are applied under a lock (a Lease), in the order of what needs what, and watched until they
/// are well; what left the templates is removed; the release is written down in a Secret. One that does not become well is explained
/// and makes room for the one before, whose pods serve all the time. Run again with nothing to do, nothing is written.
///
/// ```yaml
/// - crudctl_rollout:
///     name: employees
///     namespace: employees
///     image: registry.example.org/employees@sha256:…
///     templates: [namespace, account, config, deployment, service]
/// ```
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Rollout {
    /// The service's name.
    name: String,
    /// Its namespace.
    namespace: String,
    /// There, as before, or gone.
    #[serde(default)]
    state: State,
    /// Names of templates: files of `templates/kubernetes/` without `.yml`, else those that crudctl brings along.
    #[serde(default)]
    templates: Vec<String>,
    /// The image, for the record.
    #[serde(default)]
    image: String,
    /// The release that comes back [default: the one before].
    #[serde(default)]
    release: Option<u64>,
    /// Go back to the release before where this one does not become well.
    #[serde(default = "yes")]
    rollback: bool,
    /// Remove volume claims, too, with `state: absent`.
    #[serde(default)]
    remove_volumes: bool,
    /// Seconds that the rollout may take.
    #[serde(default = "timeout")]
    timeout: u64,
    /// Restarts of a container that are tolerated.
    #[serde(default = "restarts")]
    restarts: u32,
    /// Reasons that end no rollout: `Unschedulable`.
    #[serde(default)]
    tolerate: Vec<String>,
    /// Remove an object and make it again where it can't be changed in place; never one that holds data.
    #[serde(default)]
    replace: bool,
    /// Who does it: others are told.
    by: String,
    /// Seconds to wait for another's lock.
    #[serde(default)]
    lock_wait: u64,
    /// The kubeconfig [default: KUBECONFIG, ~/.kube/config].
    #[serde(default)]
    kubeconfig: Option<PathBuf>,
    /// The context in it.
    #[serde(default)]
    context: Option<String>,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum State {
    #[default]
    Present,
    RolledBack,
    Absent,
}

fn yes() -> bool {
    true
}

fn timeout() -> u64 {
    300
}

fn restarts() -> u32 {
    1
}

/// What has to be done.
pub(super) enum Drift {
    /// Roll these out, as this image; what was planned.
    Roll(Vec<Value>, String, Box<Plan>),
    /// Take it away.
    Remove,
}

impl ControllerModule for Rollout {
    type Drift = Drift;

    async fn check<'a>(&'a self, cx: &'a Context, host: &'a dyn Access) -> anyhow::Result<Verdict<Drift>> {
        let cluster = self.cluster(cx).await?;
        let (name, policy) = (common::kube_name(&self.name), self.policy());
        let progress = |line: &str| host.progress(line);
        let service = self.service(&cluster, &name, &policy, &progress);
        let (objects, image) = match self.state {
            State::Present => {
                ensure!(!self.templates.is_empty(), "`templates` is needed");
                (templates::objects(cx, &self.templates)?, self.image.clone())
            }
            State::RolledBack => {
                let release = service.before(self.release).await?;
                (release.objects()?, release.image)
            }
            State::Absent => {
                let (members, known) = service.members(self.remove_volumes).await?;
                if members.is_empty() && !known {
                    return Ok(Verdict::Converged(Outcome::ok()));
                }
                let outcome = Outcome { diff: deploy::removal(&members), ..Outcome::changed() };
                return Ok(Verdict::Drift { drift: Drift::Remove, outcome });
            }
        };
        let plan = service.plan(&objects, None).await?;
        if plan.is_empty() || (cx.check_mode && !plan.changes()) {
            return Ok(Verdict::Converged(Outcome::ok().with("release", plan.deployed())));
        }
        let outcome = Outcome { diff: plan.diffs(), ..Outcome::changed() };
        if !cx.check_mode {
            // The lock needs a place.
            service.prepare(&plan).await?;
        }
        Ok(Verdict::Drift { drift: Drift::Roll(objects, image, Box::new(plan)), outcome })
    }

    async fn apply<'a>(&'a self, drift: Drift, cx: &'a Context, host: &'a dyn Access) -> anyhow::Result<Outcome> {
        let cluster = self.cluster(cx).await?;
        let (name, policy) = (common::kube_name(&self.name), self.policy());
        let progress = |line: &str| host.progress(line);
        let service = self.service(&cluster, &name, &policy, &progress);
        let wait = Duration::from_secs(self.lock_wait);
        let lock =
            match lock::take(&cluster, &self.namespace, &format!("crudctl-{name}"), &self.by, wait, &progress).await? {
                Ok(lock) => lock,
                Err(Held(by)) => return Ok(Outcome::failed(by).with("rc", 7)),
            };
        match drift {
            Drift::Roll(objects, image, plan) => {
                let rollback = self.rollback && self.state == State::Present;
                let ended = Box::pin(lock.during(service.roll(&objects, &image, rollback, *plan))).await?;
                Ok(outcome(ended))
            }
            Drift::Remove => {
                lock.during(service.down(self.remove_volumes)).await?;
                Ok(Outcome::changed())
            }
        }
    }
}

fn outcome(ended: Ended) -> Outcome {
    let (report, back) = match ended {
        Ended::Well(number) => {
            return Outcome::changed().message(format!("release {number} is well")).with("release", number);
        }
        Ended::Failed { report, back } => (report, back),
    };
    let (text, serves) = match back {
        Back::To(number) => (format!("release {number} serves again"), true),
        Back::Nothing => ("there is no release before it to go back to".into(), false),
        Back::Unwanted => ("it stays as it is: no rollback was asked for".into(), false),
        Back::Failed(why) => (format!("the release before it does not become well either: {why}"), false),
    };
    let failed = Outcome { changed: true, ..Outcome::failed(format!("{report}\n{text}")) };
    if serves { failed.with("explanation", report).with("rolled_back", true) } else { failed }
}

impl Rollout {
    async fn cluster(&self, cx: &Context) -> anyhow::Result<Cluster> {
        common::cluster(cx, self.kubeconfig.as_deref(), self.context.as_deref()).await
    }

    fn policy(&self) -> Policy {
        Policy {
            timeout: Duration::from_secs(self.timeout),
            restarts: self.restarts.into(),
            tolerate: self.tolerate.clone(),
        }
    }

    fn service<'a>(
        &'a self,
        cluster: &'a Cluster,
        name: &'a str,
        policy: &'a Policy,
        progress: &'a (dyn Fn(&str) + Sync),
    ) -> Service<'a> {
        Service { cluster, name, namespace: &self.namespace, policy, by: &self.by, replace: self.replace, progress }
    }
}
