//! Watches objects until they are what they should be, or until it is plain that they will not be.
//!
//! One list and one watch for each kind in each namespace: of the objects themselves, and where one of them waits, of its pods and of what
//! stands between. Only pods of the newest template count: those that an update replaces may be as they like.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use futures_util::future::try_join_all;
use futures_util::stream::FuturesUnordered;
use serde_json::Value;
use tokio::sync::Notify;

use super::client::Cluster;
use super::errors::said;
use super::explain;
use super::object::{Id, text};
use super::pods::{Policy, Problem, judge};
use super::status::{self, State};
use super::surroundings::{Surroundings, Young};
use super::watch::Feed;

/// How often is looked, though nothing seems to change: trouble has to stand for a while.
const EVERY: Duration = Duration::from_millis(500);
/// What changes comes in flocks.
const FLOCK: Duration = Duration::from_millis(50);
/// What stands for this long is not about to pass.
const STANDING: Duration = Duration::from_secs(1);
/// A claim without a volume: a provisioner needs its time.
const CLAIM: Duration = Duration::from_secs(20);

/// What one look at an object gave.
struct Look {
    state: State,
    /// Pods of the newest template that have a problem.
    pods: Vec<(Arc<Value>, Problem)>,
    /// Pods of the newest template that are not ready and tell no reason.
    unready: Vec<Arc<Value>>,
    /// Why pods can't be made at all.
    refused: Option<String>,
    /// New events about it and its pods.
    events: Vec<String>,
}

/// What is remembered between looks.
#[derive(Default)]
struct Memory {
    /// The last line about each object.
    said: HashMap<Id, String>,
    /// Lines that are said once.
    once: HashSet<String>,
    /// Since when trouble stands.
    seen: HashMap<String, Instant>,
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
    let began = Instant::now();
    let objects = Objects::of(cluster, ids).await?;
    try_join_all(objects.feeds.values().map(|feed| feed.list(cluster))).await.map_err(said)?;
    let mut left: Vec<Id> = ids.iter().filter(|id| objects.state(id) != State::Current).cloned().collect();
    if left.is_empty() {
        return Ok(Ok(()));
    }
    let waiting: Vec<Arc<Value>> = left.iter().filter_map(|id| objects.see(id, Arc::clone)).collect();
    let around = Surroundings::of(&waiting);
    let changed = Notify::new();
    let watched = objects.feeds.iter().filter(|(key, _)| left.iter().any(|id| key_of(id) == **key));
    let mut feeds: FuturesUnordered<_> =
        watched.map(|(_, feed)| feed).chain(around.feeds()).map(|feed| feed.follow(cluster, &changed)).collect();
    let mut memory = Memory::default();
    loop {
        let mut waiting = Vec::new();
        let young = around.pods_by_owner();
        for id in left {
            let look = look(&id, &objects, &around, &young, policy);
            if let Some(report) = terminal(cluster, &id, &look, &mut memory.seen).await {
                return Ok(Err(report));
            }
            tell(&id, &look, &mut memory, progress);
            if matches!(look.state, State::Waiting(_)) {
                waiting.push((id, look));
            }
        }
        if waiting.is_empty() {
            return Ok(Ok(()));
        }
        if began.elapsed() >= policy.timeout {
            return Ok(Err(late(cluster, &waiting, policy).await));
        }
        left = waiting.into_iter().map(|(id, _)| id).collect();
        let step = async {
            tokio::select! {
                () = changed.notified() => tokio::time::sleep(FLOCK).await,
                () = tokio::time::sleep(EVERY) => {}
            }
        };
        tokio::select! {
            Some(error) = feeds.next() => return Err(said(error)),
            () = step => {}
        }
    }
}

/// Version, kind, namespace.
type Key = (String, String, Option<String>);

fn key_of(id: &Id) -> Key {
    (id.api_version.clone(), id.kind.clone(), id.namespace.clone())
}

/// The objects that are waited for.
struct Objects {
    feeds: BTreeMap<Key, Feed>,
}

impl Objects {
    async fn of(cluster: &Cluster, ids: &[Id]) -> anyhow::Result<Self> {
        let mut names: BTreeMap<Key, HashSet<String>> = BTreeMap::new();
        for id in ids {
            names.entry(key_of(id)).or_default().insert(id.name.clone());
        }
        let mut feeds = BTreeMap::new();
        for (key, names) in names {
            let Some(path) = cluster.collection(&key.0, &key.1, key.2.as_deref()).await? else { continue };
            let one = names.iter().next().filter(|_| names.len() == 1);
            let selector = one.map(|name| ("fieldSelector", format!("metadata.name={name}")));
            let keep = move |object: &mut Value| {
                if let Some(metadata) = object["metadata"].as_object_mut() {
                    metadata.remove("managedFields");
                }
                names.contains(text(object, "/metadata/name"))
            };
            feeds.insert(key, Feed::new(path, selector, Box::new(keep)));
        }
        Ok(Self { feeds })
    }

    fn see<T>(&self, id: &Id, look: impl FnOnce(&Arc<Value>) -> T) -> Option<T> {
        self.feeds.get(&key_of(id))?.get(&id.name, look)
    }

    fn state(&self, id: &Id) -> State {
        self.see(id, |object| status::of(object)).unwrap_or_else(|| State::Failed("it is not there".into()))
    }
}

fn look(id: &Id, objects: &Objects, around: &Surroundings, young: &Young, policy: &Policy) -> Look {
    let state = objects.state(id);
    let mut look = Look { state, pods: vec![], unready: vec![], refused: None, events: vec![] };
    let Some(object) = objects.see(id, Arc::clone).filter(|_| look.state != State::Current) else { return look };
    let unseen = object.pointer("/status/observedGeneration").and_then(Value::as_i64)
        < object.pointer("/metadata/generation").and_then(Value::as_i64);
    if unseen && matches!(id.kind.as_str(), "Deployment" | "StatefulSet" | "DaemonSet") {
        return look;
    }
    let (pods, refused) = around.newest(&object, young);
    look.refused = refused;
    look.events = around.events(&object, &pods);
    for pod in pods {
        match judge(&pod, policy) {
            Some(problem) => look.pods.push((pod, problem)),
            None if status::of(&pod) != State::Current => look.unready.push(pod),
            None => {}
        }
    }
    look.pods.sort_by_key(|(_, problem)| problem.patience.unwrap_or(Duration::MAX));
    look
}

/// Lines of progress: how far an object is, and what is new about its pods.
fn tell(id: &Id, look: &Look, memory: &mut Memory, progress: &(dyn Fn(&str) + Sync)) {
    if let State::Waiting(what) = &look.state {
        if memory.said.get(id) != Some(what) {
            progress(&format!("{id}: {what}"));
            memory.said.insert(id.clone(), what.clone());
        }
    } else if memory.said.remove(id).is_some() {
        progress(&format!("{id}: as it should be"));
    }
    let problems = look.pods.iter().map(|(pod, problem)| {
        format!("pod {}: {}, {}", text(pod, "/metadata/name"), problem.reason, problem.message.trim())
    });
    for line in problems.chain(look.events.iter().cloned()) {
        if !memory.once.contains(&line) {
            progress(&line);
            memory.once.insert(line);
        }
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
