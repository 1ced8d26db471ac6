//! `k8s`: objects of a cluster.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tokio::time::Instant;

use super::common::{self, WaitCondition};
use crate::cluster::apply::{self, Change, Way};
use crate::cluster::client::Cluster;
use crate::cluster::diff;
use crate::cluster::object::{self, Id};
use crate::cluster::order::rank;
use crate::cluster::pods::Policy;
use crate::cluster::{MANAGER, track};
use crate::modules::{Access, Context, ControllerModule, Outcome, Verdict};

/// Makes objects of a Kubernetes cluster be as the task says.
///
/// It works from here: the kubeconfig is this machine's. What is named is merged into what is there; with `apply` or
/// `server_side_apply` it is applied: what was named before and no longer is goes away, and fields of other managers are not
/// taken without `force_conflicts`. Several objects are made in the order of what needs what. Nothing is written where a dry
/// run of the server shows no difference. With `wait` the task ends when the objects are well, and fails as soon as it is plain
/// that they won't be, with the pod, its log and its events.
///
/// ```yaml
/// - kubernetes.core.k8s:
///     state: present
///     src: manifests/deployment.yml
///     namespace: employees
///     wait: true
/// ```
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct K8s {
    /// There; gone; or there only if it is, with what is named merged into it.
    #[serde(default)]
    state: State,
    /// The objects: a mapping, a list of them, or YAML text of several documents.
    #[serde(default, alias = "resource_definition", alias = "inline")]
    definition: Option<Value>,
    /// A file with the objects, on this machine.
    #[serde(default)]
    src: Option<String>,
    /// A template of such a file: a path, or a mapping of `path` and the options of `template`; or a list of them.
    #[serde(default)]
    template: Option<Value>,
    /// Kind of the object, where no definition says it.
    #[serde(default)]
    kind: Option<String>,
    /// Its name.
    #[serde(default)]
    name: Option<String>,
    /// Its namespace, and of objects that name none [default: that of the context].
    #[serde(default)]
    namespace: Option<String>,
    /// Version of its API.
    #[serde(default = "core", alias = "api", alias = "version")]
    api_version: String,
    /// Apply instead of merging.
    #[serde(default)]
    apply: bool,
    /// Apply as another manager, or against other managers.
    #[serde(default)]
    server_side_apply: Option<ServerSideApply>,
    /// How what is named is merged: the first that the kind knows [default: strategic-merge, merge].
    #[serde(default)]
    merge_type: Vec<MergeType>,
    /// Wait until the objects are well (or gone).
    #[serde(default)]
    wait: bool,
    /// Seconds between looks: taken for Ansible's sake, crudctl looks twice a second.
    #[serde(default)]
    #[expect(dead_code, reason = "named by playbooks that are written for Ansible")]
    wait_sleep: Option<u64>,
    /// Seconds to wait.
    #[serde(default = "timeout")]
    wait_timeout: u64,
    /// Wait for a condition instead.
    #[serde(default)]
    wait_condition: Option<WaitCondition>,
    /// How it is removed.
    #[serde(default)]
    delete_options: Option<DeleteOptions>,
    /// The kubeconfig [default: KUBECONFIG, ~/.kube/config].
    #[serde(default)]
    kubeconfig: Option<PathBuf>,
    /// The context in it.
    #[serde(default)]
    context: Option<String>,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum State {
    #[default]
    Present,
    Absent,
    Patched,
}

/// How objects are applied.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ServerSideApply {
    /// Who owns the fields.
    #[serde(default = "manager")]
    field_manager: String,
    /// Take fields that others own.
    #[serde(default)]
    force_conflicts: bool,
}

/// How an object is merged.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
enum MergeType {
    StrategicMerge,
    Merge,
}

/// How an object is removed.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct DeleteOptions {
    /// `Foreground`, `Background`, `Orphan`.
    #[serde(default)]
    propagation_policy: Option<String>,
    /// Seconds that it has to end.
    #[serde(default)]
    grace_period_seconds: Option<u64>,
}

fn core() -> String {
    "v1".into()
}

fn manager() -> String {
    MANAGER.into()
}

fn timeout() -> u64 {
    120
}

/// What has to be done.
pub(super) enum Drift {
    /// Objects to write, those that stay among them.
    Write(Vec<Change>),
    /// Objects to remove.
    Remove(Vec<(Id, String)>),
}

impl ControllerModule for K8s {
    type Drift = Drift;

    async fn check<'a>(&'a self, cx: &'a Context, _: &'a dyn Access) -> anyhow::Result<Verdict<Drift>> {
        let mut objects = self.objects(cx)?;
        let cluster = self.cluster(cx).await?;
        let namespace = self.namespace.clone().unwrap_or_else(|| cluster.namespace.clone());
        apply::complete(&cluster, &mut objects, &namespace).await?;
        if self.state == State::Absent {
            return self.removal(&cluster, &objects).await;
        }
        let mut changes = apply::plan(&cluster, &objects, &self.way(), cx.check_mode).await?;
        let mut outcome = Outcome::ok();
        if self.state == State::Patched {
            for gone in changes.iter().filter(|c| c.live.is_none()) {
                outcome.warnings.push(format!("{} is not there, so it was not patched", gone.id));
            }
            changes.retain(|c| c.live.is_some());
        }
        let differs = changes.iter().any(Change::changed);
        let values = changes.iter().filter_map(|c| c.planned.clone().or_else(|| Some(c.wanted.clone()))).collect();
        outcome = outcome.with("result", result(values));
        if !differs && (!self.wait || cx.check_mode) {
            return Ok(Verdict::Converged(outcome));
        }
        outcome.diff = changes.iter().filter(|c| c.changed()).map(Change::diff).collect();
        Ok(Verdict::Drift { drift: Drift::Write(changes), outcome })
    }

    async fn apply<'a>(&'a self, drift: Drift, cx: &'a Context, host: &'a dyn Access) -> anyhow::Result<Outcome> {
        let cluster = self.cluster(cx).await?;
        match drift {
            Drift::Write(changes) => {
                let (differs, ids) = (changes.iter().any(Change::changed), ids(&changes));
                let written = apply::write(&cluster, &changes, &self.way()).await?;
                let outcome = Outcome { changed: differs, ..Outcome::ok() };
                if !self.wait {
                    return Ok(outcome.with("result", result(written)));
                }
                let limit = Duration::from_secs(self.wait_timeout);
                let ended = match &self.wait_condition {
                    Some(condition) => common::until(&cluster, &ids, condition, limit).await?,
                    None => {
                        let policy = Policy { timeout: limit, restarts: 1, tolerate: vec![] };
                        track::until_current(&cluster, &ids, &policy, &|line| host.progress(line)).await?
                    }
                };
                let now = current(&cluster, &ids).await?;
                let outcome = outcome.with("result", result(now));
                Ok(match ended {
                    Ok(()) => outcome,
                    Err(report) => Outcome { failed: Some(report), ..outcome },
                })
            }
            Drift::Remove(found) => self.remove(&cluster, &found).await,
        }
    }
}

fn ids(changes: &[Change]) -> Vec<Id> {
    changes.iter().map(|c| c.id.clone()).collect()
}

/// One object as it is, several as `results`: as Ansible's module gives them.
fn result(mut objects: Vec<Value>) -> Value {
    if objects.len() == 1 { objects.remove(0) } else { json!({"results": objects}) }
}

async fn current(cluster: &Cluster, ids: &[Id]) -> anyhow::Result<Vec<Value>> {
    let mut all = Vec::new();
    for id in ids {
        if let Some(path) = cluster.path(id).await? {
            all.extend(cluster.get(&path).await?);
        }
    }
    Ok(all)
}

impl K8s {
    async fn cluster(&self, cx: &Context) -> anyhow::Result<Cluster> {
        common::cluster(cx, self.kubeconfig.as_deref(), self.context.as_deref()).await
    }

    fn way(&self) -> Way {
        match &self.server_side_apply {
            Some(given) if self.state == State::Present => {
                Way::Apply { manager: given.field_manager.clone(), force: given.force_conflicts }
            }
            _ if self.apply && self.state == State::Present => Way::own(false),
            _ => {
                let given = if self.merge_type.is_empty() {
                    vec![MergeType::StrategicMerge, MergeType::Merge]
                } else {
                    self.merge_type.clone()
                };
                Way::Merge(
                    given
                        .into_iter()
                        .map(|kind| match kind {
                            MergeType::StrategicMerge => "application/strategic-merge-patch+json",
                            MergeType::Merge => "application/merge-patch+json",
                        })
                        .collect(),
                )
            }
        }
    }

    fn objects(&self, cx: &Context) -> anyhow::Result<Vec<Value>> {
        let sources = [self.definition.is_some(), self.src.is_some(), self.template.is_some()];
        ensure!(sources.iter().filter(|s| **s).count() <= 1, "`definition`, `src` and `template` exclude each other");
        let mut objects = Vec::new();
        match (&self.definition, &self.src, &self.template) {
            (Some(Value::String(text)), ..) => objects = object::read("definition", text)?,
            (Some(given), ..) => {
                // A list may hold texts.
                for part in given.as_array().cloned().unwrap_or_else(|| vec![given.clone()]) {
                    match part {
                        Value::String(text) => objects.extend(object::read("definition", &text)?),
                        other => object::flatten(other, &mut objects)?,
                    }
                }
            }
            (_, Some(src), _) => {
                ensure!(!src.contains("://"), "`src` is a file here: fetch {src} with `get_url` first");
                let path = cx.find_file("files", src)?;
                let text = std::fs::read_to_string(&path).with_context(|| format!("can't read {}", path.display()))?;
                objects = object::read(&path.display().to_string(), &text)?;
            }
            (.., Some(given)) => {
                let all = given.as_array().cloned().unwrap_or_else(|| vec![given.clone()]);
                for one in all {
                    objects.extend(rendered(cx, one)?);
                }
            }
            _ => {
                let (Some(kind), Some(name)) = (&self.kind, &self.name) else {
                    bail!("`definition`, `src`, `template`, or `kind` and `name` are needed");
                };
                objects.push(json!({"apiVersion": self.api_version, "kind": kind, "metadata": {"name": name}}));
            }
        }
        for object in &mut objects {
            let Some(all) = object.as_object_mut() else { continue };
            all.entry("apiVersion").or_insert_with(|| self.api_version.clone().into());
            if let Some(kind) = &self.kind {
                all.entry("kind").or_insert_with(|| kind.clone().into());
            }
            let metadata = all.entry("metadata").or_insert_with(|| json!({}));
            if let (Some(name), Some(metadata)) = (&self.name, metadata.as_object_mut()) {
                metadata.entry("name").or_insert_with(|| name.clone().into());
            }
        }
        Ok(objects)
    }

    async fn removal(&self, cluster: &Cluster, objects: &[Value]) -> anyhow::Result<Verdict<Drift>> {
        let (mut found, mut before) = (Vec::new(), Vec::new());
        for object in objects {
            let id = Id::of(object)?;
            // What the cluster does not know is not there.
            let Some(path) = cluster.path(&id).await? else { continue };
            if let Some(live) = cluster.get(&path).await? {
                if live["metadata"]["deletionTimestamp"].is_null() || self.wait {
                    found.push((id, path));
                }
                before.push(live);
            }
        }
        if found.is_empty() {
            return Ok(Verdict::Converged(Outcome::ok().with("result", json!({}))));
        }
        let mut outcome = Outcome::changed().with("result", result(before.clone()));
        for ((id, _), live) in found.iter().zip(&before) {
            outcome = outcome.diff(diff::between(&id.to_string(), Some(live), None));
        }
        Ok(Verdict::Drift { drift: Drift::Remove(found), outcome })
    }

    async fn remove(&self, cluster: &Cluster, found: &[(Id, String)]) -> anyhow::Result<Outcome> {
        let given = self.delete_options.as_ref();
        let mut options =
            Map::from_iter([("apiVersion".to_owned(), "v1".into()), ("kind".into(), "DeleteOptions".into())]);
        let policy = given.and_then(|o| o.propagation_policy.as_deref()).unwrap_or("Background");
        options.insert("propagationPolicy".into(), policy.into());
        if let Some(seconds) = given.and_then(|o| o.grace_period_seconds) {
            options.insert("gracePeriodSeconds".into(), seconds.into());
        }
        let options = Value::Object(options);
        let mut last_first: Vec<&(Id, String)> = found.iter().collect();
        last_first.sort_by_key(|(id, _)| std::cmp::Reverse(rank(&id.kind)));
        let mut changed = false;
        for (id, path) in &last_first {
            changed |= cluster.delete(path, &options).await.with_context(|| id.to_string())?;
        }
        let end = Instant::now() + Duration::from_secs(self.wait_timeout);
        for (id, path) in last_first.iter().filter(|_| self.wait) {
            while cluster.get(path).await?.is_some() {
                if Instant::now() >= end {
                    return Ok(Outcome {
                        changed,
                        ..Outcome::failed(format!("{id} was still there after {} s", self.wait_timeout))
                    });
                }
                tokio::time::sleep(Duration::from_millis(300)).await;
            }
        }
        Ok(Outcome { changed, ..Outcome::ok() }.with("result", json!({})))
    }
}

/// The objects of a template.
fn rendered(cx: &Context, given: Value) -> anyhow::Result<Vec<Value>> {
    let mut options = match given {
        Value::String(path) => Map::from_iter([("path".to_owned(), path.into())]),
        Value::Object(options) => options,
        other => bail!("`{other}` is no template: a path or a mapping with `path` is wanted"),
    };
    let Some(Value::String(src)) = options.remove("path") else { bail!("a template without `path`") };
    let path = cx.find_file("templates", &src)?;
    let text = std::fs::read_to_string(&path).with_context(|| format!("can't read {}", path.display()))?;
    let text = cx.templates.render(&path, &text, &options)?;
    object::read(&path.display().to_string(), &text)
}
