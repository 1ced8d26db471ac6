//! Watches objects until they are what they should be, or until it is plain that they will not be.
//!
//! It asks twice a second, so that a server that is restarted, or a watch that is cut, needs no care of its own.
//! Only pods of the newest template count: those that an update replaces may be as they like.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use futures_util::future::try_join_all;
use serde_json::Value;

use super::client::Cluster;
use super::explain;
use super::object::{Id, items, number, text};
use super::pods::{Policy, Problem, judge};
use super::status::{self, State};

/// How often the server is asked.
const EVERY: Duration = Duration::from_millis(500);
/// What stands for this long is not about to pass.
const STANDING: Duration = Duration::from_secs(1);
/// A claim without a volume: a provisioner needs its time.
const CLAIM: Duration = Duration::from_secs(20);

/// What one look at an object gave.
struct Look {
    state: State,
    /// Pods of the newest template that have a problem.
    pods: Vec<(Value, Problem)>,
    /// Pods of the newest template that are not ready and tell no reason.
    unready: Vec<Value>,
    /// Why pods can't be made at all.
    refused: Option<String>,
}

/// Waits until all are current; the report where they will not be.
///
/// # Errors
/// The server can't be asked.
pub(crate) async fn until_current(
    cluster: &Cluster,
    ids: &[Id],
    policy: &Policy,
    progress: &(dyn Fn(&str) + Sync),
) -> anyhow::Result<Result<(), String>> {
    let (began, clock) = (Instant::now(), jiff::Timestamp::now());
    let mut left: Vec<Id> = ids.to_vec();
    let mut said: HashMap<Id, String> = HashMap::new();
    let mut seen: HashMap<String, Instant> = HashMap::new();
    loop {
        let looks = try_join_all(left.iter().map(|id| look(cluster, id, policy, clock))).await?;
        let mut waiting = Vec::new();
        for (id, look) in left.iter().zip(looks) {
            if let Some(report) = terminal(cluster, id, &look, &mut seen).await {
                return Ok(Err(report));
            }
            if let State::Waiting(what) = &look.state {
                if said.get(id) != Some(what) {
                    progress(&format!("{id}: {what}"));
                    said.insert(id.clone(), what.clone());
                }
                waiting.push((id.clone(), look));
            } else if said.remove(id).is_some() {
                progress(&format!("{id}: as it should be"));
            }
        }
        if waiting.is_empty() {
            return Ok(Ok(()));
        }
        if began.elapsed() >= policy.timeout {
            return Ok(Err(late(cluster, &waiting, policy).await));
        }
        left = waiting.into_iter().map(|(id, _)| id).collect();
        tokio::time::sleep(EVERY).await;
    }
}

/// The report of an object that will not become current.
async fn terminal(cluster: &Cluster, id: &Id, look: &Look, seen: &mut HashMap<String, Instant>) -> Option<String> {
    let now = Instant::now();
    let mut stands = |key: String, patience: Duration| {
        let since = *seen.entry(key).or_insert(now);
        now.duration_since(since) >= patience
    };
    if look.state == State::Current {
        return None;
    }
    for (pod, problem) in &look.pods {
        // The back-off is the same trouble as what it backs off from.
        let reason = problem.reason.trim_start_matches("Err").trim_end_matches("BackOff");
        let key = format!("{} {reason}", text(pod, "/metadata/uid"));
        if problem.patience.is_some_and(|patience| stands(key, patience)) {
            let report = explain::pod(cluster, pod, problem).await;
            return Some(format!("{id} will not become well: {}\n{report}", what(&look.state)));
        }
    }
    if let Some(refused) = &look.refused
        && stands(format!("{id} refused"), if id.kind == "PersistentVolumeClaim" { CLAIM } else { STANDING })
    {
        return Some(format!("{id} will not become well: {}\n{refused}", what(&look.state)));
    }
    if let State::Failed(why) = &look.state {
        return Some(format!("{id} failed: {why}\n{}", details(cluster, look).await).trim_end().to_owned());
    }
    None
}

fn what(state: &State) -> &str {
    match state {
        State::Current => "current",
        State::Waiting(what) | State::Failed(what) => what,
    }
}

async fn details(cluster: &Cluster, look: &Look) -> String {
    let mut out = look.refused.clone().unwrap_or_default();
    if let Some((pod, problem)) = look.pods.first() {
        out.push_str(&explain::pod(cluster, pod, problem).await);
    } else if let Some(pod) = look.unready.first() {
        out.push_str(&explain::unready(cluster, pod).await);
    }
    out
}

async fn late(cluster: &Cluster, waiting: &[(Id, Look)], policy: &Policy) -> String {
    let mut out = format!("waited {} s, and these are not as they should be:\n", policy.timeout.as_secs());
    for (id, look) in waiting {
        out.push_str(&format!("{id}: {}\n{}\n", what(&look.state), details(cluster, look).await));
    }
    out.trim_end().to_owned()
}

async fn look(cluster: &Cluster, id: &Id, policy: &Policy, since: jiff::Timestamp) -> anyhow::Result<Look> {
    let mut look = Look { state: State::Current, pods: vec![], unready: vec![], refused: None };
    let object = match cluster.path(id).await? {
        Some(path) => cluster.get(&path).await?,
        None => None,
    };
    let Some(object) = object else {
        look.state = State::Failed("it is not there".into());
        return Ok(look);
    };
    look.state = status::of(&object);
    let unseen = object.pointer("/status/observedGeneration").and_then(Value::as_i64)
        < object.pointer("/metadata/generation").and_then(Value::as_i64);
    let counts = matches!(id.kind.as_str(), "Deployment" | "StatefulSet" | "DaemonSet");
    if look.state == State::Current || (counts && unseen) {
        return Ok(look);
    }
    let (pods, refused) = newest(cluster, &object, since).await?;
    look.refused = refused;
    for pod in pods {
        match judge(&pod, policy) {
            Some(problem) => look.pods.push((pod, problem)),
            None if status::of(&pod) != State::Current => look.unready.push(pod),
            None => {}
        }
    }
    look.pods.sort_by_key(|(_, problem)| problem.patience.unwrap_or(Duration::MAX));
    Ok(look)
}

/// Pods of a workload's newest template, and why others can't be made.
async fn newest(
    cluster: &Cluster,
    object: &Value,
    since: jiff::Timestamp,
) -> anyhow::Result<(Vec<Value>, Option<String>)> {
    let namespace = text(object, "/metadata/namespace");
    let selector = selector(object);
    let kind = text(object, "/kind");
    let owned_by = |item: &Value, uid: &str| items(item, "/metadata/ownerReferences").iter().any(|o| o["uid"] == uid);
    let uid = text(object, "/metadata/uid");
    let list = async |path: &str| -> anyhow::Result<Vec<Value>> {
        cluster.list(&path.replace("{}", namespace), &[("labelSelector", selector.as_str())]).await
    };
    let pods = "/api/v1/namespaces/{}/pods";
    match kind {
        "Deployment" => {
            let (sets, pods) = tokio::try_join!(list("/apis/apps/v1/namespaces/{}/replicasets"), list(pods))?;
            let revision = "/metadata/annotations/deployment.kubernetes.io~1revision";
            let set = sets
                .into_iter()
                .filter(|set| owned_by(set, uid) && text(set, revision) == text(object, revision))
                .max_by_key(|set| text(set, "/metadata/creationTimestamp").to_owned());
            let Some(set) = set else { return Ok((vec![], None)) };
            let refused = items(&set, "/status/conditions")
                .iter()
                .find(|c| c["type"] == "ReplicaFailure" && c["status"] == "True")
                .map(|c| cannot_make(text(c, "/message")));
            let set = text(&set, "/metadata/uid");
            Ok((pods.into_iter().filter(|pod| owned_by(pod, set)).collect(), refused))
        }
        "StatefulSet" | "DaemonSet" => {
            let hash = if kind == "StatefulSet" {
                text(object, "/status/updateRevision").to_owned()
            } else {
                let revisions = list("/apis/apps/v1/namespaces/{}/controllerrevisions").await?;
                let newest = revisions.iter().filter(|r| owned_by(r, uid)).max_by_key(|r| number(r, "/revision"));
                newest.map(|r| text(r, "/metadata/labels/controller-revision-hash").to_owned()).unwrap_or_default()
            };
            let pods = list(pods)
                .await?
                .into_iter()
                .filter(|pod| owned_by(pod, uid) && text(pod, "/metadata/labels/controller-revision-hash") == hash);
            Ok((pods.collect(), refusal(cluster, object, "FailedCreate", since).await?))
        }
        "Job" | "ReplicaSet" => {
            let pods = list(pods).await?.into_iter().filter(|pod| owned_by(pod, uid));
            Ok((pods.collect(), refusal(cluster, object, "FailedCreate", since).await?))
        }
        "PersistentVolumeClaim" => {
            let refused = match refusal(cluster, object, "ProvisioningFailed", since).await? {
                None => refusal(cluster, object, "FailedBinding", since).await?,
                other => other,
            };
            Ok((vec![], refused))
        }
        "Pod" => Ok((vec![object.clone()], None)),
        _ => Ok((vec![], None)),
    }
}

fn cannot_make(message: &str) -> String {
    let hint = if message.contains("exceeded quota") {
        "the namespace's ResourceQuota leaves no room: lower `resources` or replicas, or raise the quota"
    } else if message.contains("admission webhook") {
        "a webhook of the cluster refuses the pods: its message says why"
    } else if message.contains("serviceaccount") || message.contains("service account") {
        "the pods' ServiceAccount is not there"
    } else {
        "the cluster refuses the pods"
    };
    format!("no pod can be made: {message}\n  hint: {hint}")
}

/// An event since the rollout began that says that something can't be made.
async fn refusal(
    cluster: &Cluster,
    object: &Value,
    reason: &str,
    since: jiff::Timestamp,
) -> anyhow::Result<Option<String>> {
    // Events have whole seconds, and clocks differ a little.
    let since = since - Duration::from_secs(5);
    let mut all = explain::warnings(cluster, object).await?;
    let own = text(object, "/kind") == "PersistentVolumeClaim";
    if own && reason == "FailedBinding" {
        // This one is no warning.
        let path = format!("/api/v1/namespaces/{}/events", text(object, "/metadata/namespace"));
        let about = format!("involvedObject.uid={},reason=FailedBinding", text(object, "/metadata/uid"));
        all = cluster.list(&path, &[("fieldSelector", &about)]).await?;
    }
    let recent = |event: &Value| explain::when(event).parse::<jiff::Timestamp>().is_ok_and(|when| when >= since);
    let found = all.iter().rev().find(|event| event["reason"] == reason && (own || recent(event)));
    Ok(found.map(|event| {
        let message = text(event, "/message");
        if own {
            format!(
                "{reason}: {message}\n  hint: name a storage class that the cluster has, or make a volume that fits"
            )
        } else {
            cannot_make(message)
        }
    }))
}

/// A workload's selector, as lists take it.
fn selector(object: &Value) -> String {
    let labels = object.pointer("/spec/selector/matchLabels").and_then(Value::as_object);
    let mut all: Vec<String> =
        labels.into_iter().flatten().map(|(k, v)| format!("{k}={}", v.as_str().unwrap_or_default())).collect();
    for expression in items(object, "/spec/selector/matchExpressions") {
        let key = text(expression, "/key");
        let values: Vec<&str> = items(expression, "/values").iter().filter_map(Value::as_str).collect();
        all.push(match text(expression, "/operator") {
            "In" => format!("{key} in ({})", values.join(",")),
            "NotIn" => format!("{key} notin ({})", values.join(",")),
            "Exists" => key.to_owned(),
            _ => format!("!{key}"),
        });
    }
    all.join(",")
}
