//! What stands around an object that is waited for: its pods, what stands between it and them, events.

use std::collections::hash_map::Values;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value};

use super::explain;
use super::object::{items, number, text};
use super::watch::{Feed, Keep};

/// Pods by their owner's uid.
pub(super) type Young = HashMap<String, Vec<Arc<Value>>>;

/// Pods, replica sets, revisions and events of the namespaces in which something waits.
pub(super) struct Surroundings {
    pods: Vec<Feed>,
    sets: Vec<Feed>,
    revisions: Vec<Feed>,
    events: Vec<Feed>,
}

fn owned_by(item: &Value, uid: &str) -> bool {
    items(item, "/metadata/ownerReferences").iter().any(|owner| owner["uid"] == uid)
}

/// Takes everything but these fields from a mapping.
fn only(value: &mut Value, fields: &[&str]) {
    // Copied: what was parsed keeps the room of all.
    if let Some(all) = value.as_object_mut() {
        *all = std::mem::take(all).into_iter().filter(|(key, _)| fields.contains(&key.as_str())).collect();
    }
}

const NAMES: [&str; 8] =
    ["name", "namespace", "uid", "labels", "annotations", "ownerReferences", "deletionTimestamp", "creationTimestamp"];

/// Of pods what is looked at; those of no owner are nobody's here.
fn slim_pod(pod: &mut Value) -> bool {
    only(pod, &["apiVersion", "kind", "metadata", "spec", "status"]);
    only(&mut pod["metadata"], &NAMES);
    if let Some(metadata) = pod["metadata"].as_object_mut() {
        metadata.remove("annotations");
    }
    only(&mut pod["spec"], &["nodeName", "containers", "initContainers"]);
    for kind in ["containers", "initContainers"] {
        for container in pod["spec"].get_mut(kind).and_then(Value::as_array_mut).into_iter().flatten() {
            only(container, &["name", "resources"]);
        }
    }
    let status = ["phase", "reason", "conditions", "containerStatuses", "initContainerStatuses", "nominatedNodeName"];
    only(&mut pod["status"], &status);
    for condition in pod["status"].get_mut("conditions").and_then(Value::as_array_mut).into_iter().flatten() {
        only(condition, &["type", "status", "reason", "message"]);
    }
    for kind in ["containerStatuses", "initContainerStatuses"] {
        for container in pod["status"].get_mut(kind).and_then(Value::as_array_mut).into_iter().flatten() {
            only(container, &["name", "image", "ready", "restartCount", "state", "lastState"]);
        }
    }
    !items(pod, "/metadata/ownerReferences").is_empty()
}

fn slim_set(set: &mut Value) -> bool {
    only(set, &["metadata", "status", "revision"]);
    only(&mut set["metadata"], &NAMES);
    true
}

impl Surroundings {
    /// Of these objects.
    pub(super) fn of(waiting: &[Arc<Value>]) -> Self {
        // Events have whole seconds, and clocks differ a little.
        let since = jiff::Timestamp::now() - Duration::from_secs(5);
        let mut all = Self { pods: vec![], sets: vec![], revisions: vec![], events: vec![] };
        let namespaces: BTreeSet<&str> = waiting.iter().map(|object| text(object, "/metadata/namespace")).collect();
        for namespace in namespaces.into_iter().filter(|namespace| !namespace.is_empty()) {
            let here = || waiting.iter().filter(move |object| text(object, "/metadata/namespace") == namespace);
            let has = |kinds: &[&str]| here().any(|object| kinds.contains(&text(object, "/kind")));
            let path = |group: &str, plural: &str| format!("{group}/namespaces/{namespace}/{plural}");
            let workloads = ["Deployment", "StatefulSet", "DaemonSet", "Job", "ReplicaSet"];
            if has(&workloads) {
                let mut selectors = here().filter(|o| workloads.contains(&text(o, "/kind"))).map(|o| selector(o));
                // One workload's pods, or all of the namespace.
                let one = selectors.next().filter(|_| selectors.next().is_none()).filter(|one| !one.is_empty());
                let selector = one.map(|one| ("labelSelector", one));
                all.pods.push(Feed::new(path("/api/v1", "pods"), selector, Box::new(slim_pod)));
            }
            if has(&["Deployment"]) {
                all.sets.push(Feed::new(path("/apis/apps/v1", "replicasets"), None, Box::new(slim_set)));
            }
            if has(&["DaemonSet"]) {
                all.revisions.push(Feed::new(path("/apis/apps/v1", "controllerrevisions"), None, Box::new(slim_set)));
            }
            if has(&workloads) || has(&["Pod", "PersistentVolumeClaim"]) {
                let feed = |what: &str| {
                    Feed::new(path("/api/v1", "events"), Some(("fieldSelector", what.into())), slim_event(since))
                };
                all.events.push(feed("type=Warning").optional());
                if has(&["PersistentVolumeClaim"]) {
                    // This one is no warning.
                    all.events.push(feed("reason=FailedBinding").optional());
                }
            }
        }
        all
    }

    /// What has to be followed.
    pub(super) fn feeds(&self) -> impl Iterator<Item = &Feed> {
        [&self.pods, &self.sets, &self.revisions, &self.events].into_iter().flatten()
    }

    /// All pods, by their owners.
    pub(super) fn pods_by_owner(&self) -> Young {
        let mut all = Young::new();
        for feed in &self.pods {
            feed.see(|pods| {
                for pod in pods {
                    for owner in items(pod, "/metadata/ownerReferences") {
                        all.entry(text(owner, "/uid").to_owned()).or_default().push(Arc::clone(pod));
                    }
                }
            });
        }
        all
    }

    fn first<T>(feeds: &[Feed], look: impl Fn(Values<'_, String, Arc<Value>>) -> Option<T>) -> Option<T> {
        feeds.iter().find_map(|feed| feed.see(&look))
    }

    /// Pods of a workload's newest template, and why others can't be made.
    pub(super) fn newest(&self, object: &Arc<Value>, young: &Young) -> (Vec<Arc<Value>>, Option<String>) {
        let uid = text(object, "/metadata/uid");
        let of = |uid: &str| young.get(uid).cloned().unwrap_or_default();
        let kind = text(object, "/kind");
        match kind {
            "Deployment" => {
                let revision = "/metadata/annotations/deployment.kubernetes.io~1revision";
                let set = Self::first(&self.sets, |sets| {
                    sets.filter(|set| owned_by(set, uid) && text(set, revision) == text(object, revision))
                        .max_by_key(|set| text(set, "/metadata/creationTimestamp").to_owned())
                        .cloned()
                });
                let Some(set) = set else { return (vec![], None) };
                let refused = items(&set, "/status/conditions")
                    .iter()
                    .find(|c| c["type"] == "ReplicaFailure" && c["status"] == "True")
                    .map(|c| cannot_make(text(c, "/message")));
                (of(text(&set, "/metadata/uid")), refused)
            }
            "StatefulSet" | "DaemonSet" => {
                let label = "/metadata/labels/controller-revision-hash";
                let hash = if kind == "StatefulSet" {
                    Some(text(object, "/status/updateRevision").to_owned())
                } else {
                    Self::first(&self.revisions, |revisions| {
                        let newest = revisions.filter(|r| owned_by(r, uid)).max_by_key(|r| number(r, "/revision"));
                        newest.map(|revision| text(revision, label).to_owned())
                    })
                };
                let mut pods = of(uid);
                pods.retain(|pod| Some(text(pod, label)) == hash.as_deref());
                (pods, self.refusal(uid, "FailedCreate").map(|message| cannot_make(&message)))
            }
            "Job" | "ReplicaSet" => (of(uid), self.refusal(uid, "FailedCreate").map(|message| cannot_make(&message))),
            "PersistentVolumeClaim" => {
                let refused = ["ProvisioningFailed", "FailedBinding"].into_iter().find_map(|reason| {
                    let message = self.refusal(uid, reason)?;
                    Some(format!(
                        "{reason}: {message}\n  hint: name a storage class that the cluster has, or make a volume that fits"
                    ))
                });
                (vec![], refused)
            }
            "Pod" => (vec![Arc::clone(object)], None),
            _ => (vec![], None),
        }
    }

    /// What the newest event of this reason about an object says.
    fn refusal(&self, uid: &str, reason: &str) -> Option<String> {
        Self::first(&self.events, |events| {
            let about = events.filter(|e| e["reason"] == reason && text(e, "/involvedObject/uid") == uid);
            about.max_by_key(|e| explain::when(e).to_owned()).map(|e| text(e, "/message").to_owned())
        })
    }

    /// Warnings about an object and its pods, a line each.
    pub(super) fn events(&self, object: &Arc<Value>, pods: &[Arc<Value>]) -> Vec<String> {
        let about: Vec<&str> = pods.iter().chain([object]).map(|o| text(o, "/metadata/uid")).collect();
        let mut lines = Vec::new();
        for feed in &self.events {
            feed.see(|events| {
                for event in events.filter(|event| about.contains(&text(event, "/involvedObject/uid"))) {
                    let (kind, name) = (text(event, "/involvedObject/kind"), text(event, "/involvedObject/name"));
                    let message: String = text(event, "/message").trim().replace('\n', " ").chars().take(200).collect();
                    lines.push(format!("{} {name}: {}: {message}", kind.to_lowercase(), text(event, "/reason")));
                }
            });
        }
        lines.sort();
        lines
    }
}

/// Events that are new, or about a claim: those are told again only after minutes.
fn slim_event(since: jiff::Timestamp) -> Keep {
    Box::new(move |event| {
        let new = explain::when(event).parse::<jiff::Timestamp>().is_ok_and(|when| when >= since);
        let kept = new || text(event, "/involvedObject/kind") == "PersistentVolumeClaim";
        let metadata = Map::from_iter([("name".to_owned(), event["metadata"]["name"].clone())]);
        only(event, &["involvedObject", "reason", "message", "lastTimestamp", "eventTime", "series"]);
        event["metadata"] = metadata.into();
        kept
    })
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
