//! What would become of objects, and making it so.

use std::collections::HashMap;

use anyhow::{Context as _, bail};
use futures_util::future::try_join_all;
use futures_util::{FutureExt as _, StreamExt as _, TryFutureExt as _, TryStreamExt as _, stream};
use hyper::Method;
use kube::Error;
use serde_json::Value;

use super::client::Cluster;
use super::errors::{code, immutable, overtaken, said};
use super::object::{Id, items, settle, text};
use super::order::rank;
use super::{MANAGER, diff, owned, replace};
use crate::modules::Diff;

/// Requests at a time.
pub(super) const AT_ONCE: usize = 16;

/// How an object is written.
#[derive(Debug, Clone)]
pub(crate) enum Way {
    /// Server-side apply: what crudctl named before and no longer names is removed.
    Apply {
        /// As whom.
        manager: String,
        /// Take fields that others own.
        force: bool,
    },
    /// What is named is merged into what is there, by the first of these content types that the kind knows.
    Merge(Vec<&'static str>),
}

impl Way {
    /// crudctl's own.
    pub(crate) fn own(force: bool) -> Self {
        Self::Apply { manager: MANAGER.into(), force }
    }
}

/// One object: as it is, as it would be.
#[derive(Debug, Clone)]
pub(crate) struct Change {
    /// Which.
    pub id: Id,
    /// As asked.
    pub wanted: Value,
    /// As it is.
    pub live: Option<Value>,
    /// As it would be; none where that can't be known (its namespace or kind is made first).
    pub planned: Option<Value>,
    /// Remove it first: it can't be changed in place.
    replace: bool,
    manager: Option<String>,
}

impl Change {
    /// Of an object that is not there, and can't be asked about yet.
    pub(crate) fn unborn(wanted: &Value) -> anyhow::Result<Self> {
        Ok(Self {
            id: Id::of(wanted)?,
            wanted: wanted.clone(),
            live: None,
            planned: None,
            replace: false,
            manager: None,
        })
    }

    /// Whether something would change: values, or which of them are ours.
    pub(crate) fn changed(&self) -> bool {
        let (Some(live), Some(planned)) = (&self.live, &self.planned) else { return true };
        diff::plain(live) != diff::plain(planned)
            || self.manager.as_deref().is_some_and(|m| owned::fields(live, m) != owned::fields(planned, m))
    }

    /// For people.
    pub(crate) fn diff(&self) -> Diff {
        diff::between(&self.id.to_string(), self.live.as_ref(), Some(self.planned.as_ref().unwrap_or(&self.wanted)))
    }
}

/// Makes manifests ready: namespaces filled in for kinds that have them.
///
/// # Errors
/// An object that does not say who it is.
pub(crate) async fn complete(cluster: &Cluster, objects: &mut [Value], namespace: &str) -> anyhow::Result<()> {
    cluster.learn(objects).await?;
    for object in objects {
        settle(object);
        let id = Id::of(object)?;
        let kind = cluster.kind(&id.api_version, &id.kind).await?;
        match kind {
            Some(kind) if !kind.namespaced => {
                if let Some(metadata) = object["metadata"].as_object_mut() {
                    metadata.remove("namespace");
                }
            }
            _ if id.namespace.is_none() => object["metadata"]["namespace"] = namespace.into(),
            _ => {}
        }
    }
    Ok(())
}

/// What is known of objects before each is asked about: a list told it, or a plan that was made a moment ago.
#[derive(Default)]
pub(crate) struct Known {
    /// As they are, all that carry the set's label.
    pub live: HashMap<Id, Value>,
    /// What their owned fields were when just this was applied (`owned::proof`).
    pub proofs: HashMap<String, String>,
    /// The plan that was made a moment ago.
    pub before: Vec<Change>,
    /// Replace what can't be changed in place.
    pub replace: bool,
}

impl Known {
    /// What would become of an object, where that needs no dry run: nobody touched what is crudctl's since just this was applied, or
    /// since it was last asked about.
    fn planned(&self, id: &Id) -> Option<(Option<Value>, Option<Value>)> {
        let live = self.live.get(id);
        if let Some(live) = live
            && owned::proof(live).is_some_and(|proof| self.proofs.get(&id.to_string()) == Some(&proof))
        {
            return Some((Some(live.clone()), Some(live.clone())));
        }
        let before = self.before.iter().find(|change| change.id == *id)?;
        let version = |object: Option<&Value>| object.map(|o| o["metadata"]["resourceVersion"].clone());
        let same = version(before.live.as_ref()) == version(live);
        (same && before.planned.is_some()).then(|| (before.live.clone(), before.planned.clone()))
    }
}

/// Asks what would become of each object; writes nothing. `unborn`: a namespace that is not there may be one that comes.
///
/// # Errors
/// What the server refuses, with the object's name.
pub(crate) async fn plan(cluster: &Cluster, objects: &[Value], way: &Way, unborn: bool) -> anyhow::Result<Vec<Change>> {
    plan_known(cluster, objects, way, unborn, None).await
}

/// `plan`, where something is known of the objects.
///
/// # Errors
/// What the server refuses, with the object's name.
pub(crate) async fn plan_known(
    cluster: &Cluster,
    objects: &[Value],
    way: &Way,
    unborn: bool,
    known: Option<&Known>,
) -> anyhow::Result<Vec<Change>> {
    cluster.learn(objects).await?;
    let asked: Vec<_> =
        objects.iter().map(|object| one(cluster, object, objects, way, unborn, known).boxed()).collect();
    stream::iter(asked).buffered(AT_ONCE).try_collect().await
}

async fn one(
    cluster: &Cluster,
    wanted: &Value,
    all: &[Value],
    way: &Way,
    unborn: bool,
    known: Option<&Known>,
) -> anyhow::Result<Change> {
    let id = Id::of(wanted)?;
    let manager = if let Way::Apply { manager, .. } = way { Some(manager.clone()) } else { None };
    let mut change =
        Change { id: id.clone(), wanted: wanted.clone(), live: None, planned: None, replace: false, manager };
    let id = &id;
    if let Some((live, planned)) = known.and_then(|known| known.planned(id)) {
        return Ok(Change { live, planned, ..change });
    }
    let Some(path) = cluster.path(id).await? else {
        if all.iter().any(|o| defines(o, id)) {
            return Ok(change);
        }
        bail!("{id}: the cluster knows no {} of {} (hint: is its definition installed?)", id.kind, id.api_version);
    };
    let named = || id.to_string();
    let live = async { cluster.get(&path).await.with_context(named) };
    let (live, planned) = match (way, known) {
        (Way::Apply { .. }, Some(known)) => match known.live.get(id) {
            Some(live) => (Some(live.clone()), send(cluster, &path, wanted, way, true).await),
            None => match send(cluster, &path, wanted, way, true).await {
                // It is there, and not one of the set yet.
                Ok((200, planned)) => (live.await?, Ok((200, planned))),
                other => (None, other),
            },
        },
        (Way::Apply { .. }, None) => {
            let (live, planned) = tokio::join!(live, send(cluster, &path, wanted, way, true));
            (live?, planned)
        }
        // Merging into nothing is no merging.
        (Way::Merge(_), _) => match live.await? {
            Some(live) => (Some(live), send(cluster, &path, wanted, way, true).await),
            None => (None, send(cluster, &path, wanted, &Way::own(false), true).await),
        },
    };
    match planned {
        Ok((_, planned)) => change.planned = Some(planned),
        // A namespace that is made first; a dry run makes none.
        Err(error) if code(&error) == Some(404) && live.is_none() && (unborn || makes_namespace(all, id)) => {}
        Err(error) if immutable(&error) && live.is_some() && known.is_some_and(|known| known.replace) => {
            replace::check(cluster, id, wanted, &said(error).to_string()).await.with_context(named)?;
            change.replace = true;
        }
        Err(error) => return Err(said(error)).with_context(named),
    }
    change.live = live;
    Ok(change)
}

fn makes_namespace(all: &[Value], id: &Id) -> bool {
    let namespace = id.namespace.as_deref().unwrap_or_default();
    all.iter().any(|o| text(o, "/kind") == "Namespace" && text(o, "/metadata/name") == namespace)
}

fn defines(object: &Value, id: &Id) -> bool {
    text(object, "/kind") == "CustomResourceDefinition"
        && text(object, "/spec/group") == id.group()
        && text(object, "/spec/names/kind") == id.kind
}

/// Sends an object; the HTTP status tells whether it was there (200) or is new (201).
async fn send(cluster: &Cluster, path: &str, wanted: &Value, way: &Way, dry: bool) -> Result<(u16, Value), Error> {
    let dry = if dry { "&dryRun=All" } else { "" };
    match way {
        Way::Apply { manager, force } => {
            let url = format!("{path}?fieldManager={manager}&force={force}&fieldValidation=Strict{dry}");
            cluster.call_status(&Method::PATCH, &url, Some(("application/apply-patch+yaml", wanted))).await
        }
        Way::Merge(types) => {
            let url = format!("{path}?fieldManager={MANAGER}&fieldValidation=Strict{dry}");
            let (last, first) = types.split_last().unwrap_or((&"application/merge-patch+json", &[]));
            for kind in first {
                match cluster.call_status(&Method::PATCH, &url, Some((kind, wanted))).await {
                    Err(error) if code(&error) == Some(415) => {}
                    other => return other,
                }
            }
            cluster.call_status(&Method::PATCH, &url, Some((last, wanted))).await
        }
    }
}

/// Writes the objects that would change, in their order; what they became, in the order that was given.
///
/// # Errors
/// What the server refuses, with the object's name: what comes before it is written.
pub(crate) async fn write(cluster: &Cluster, changes: &[Change], way: &Way) -> anyhow::Result<Vec<Value>> {
    let mut results: Vec<Option<Value>> =
        changes.iter().map(|c| if c.changed() { None } else { c.live.clone() }).collect();
    let mut ranks: Vec<u8> = changes.iter().map(|c| rank(&c.id.kind)).collect();
    ranks.sort_unstable();
    ranks.dedup();
    for now in ranks {
        let due = changes.iter().enumerate().filter(|(i, c)| results[*i].is_none() && rank(&c.id.kind) == now);
        let written: Vec<_> =
            due.map(|(i, change)| put(cluster, change, way).map_ok(move |object| (i, object)).boxed()).collect();
        let written: Vec<(usize, Value)> = stream::iter(written).buffer_unordered(AT_ONCE).try_collect().await?;
        let defined: Vec<Id> = written
            .iter()
            .filter(|(i, _)| changes[*i].id.kind == "CustomResourceDefinition")
            .map(|(i, _)| changes[*i].id.clone())
            .collect();
        if !defined.is_empty() {
            try_join_all(defined.iter().map(|id| established(cluster, id))).await?;
            cluster.forget_kinds();
        }
        for (i, object) in written {
            results[i] = Some(object);
        }
    }
    Ok(results.into_iter().flatten().collect())
}

/// Applies one object without asking first; what it became.
///
/// # Errors
/// What the server refuses, with the object's name.
pub(crate) async fn apply(cluster: &Cluster, object: &Value, way: &Way) -> anyhow::Result<Value> {
    put(cluster, &Change::unborn(object)?, way).await
}

async fn put(cluster: &Cluster, change: &Change, way: &Way) -> anyhow::Result<Value> {
    let id = &change.id;
    let path = cluster.path(id).await?.with_context(|| format!("{id}: the cluster does not know its kind"))?;
    if let Some(live) = change.live.as_ref().filter(|_| change.replace) {
        replace::remove(cluster, &path, id, live, &change.wanted).await.with_context(|| id.to_string())?;
    }
    let own = Way::own(false);
    let way = if change.live.is_none() && matches!(way, Way::Merge(_)) { &own } else { way };
    let mut written = send(cluster, &path, &change.wanted, way, false).await;
    // Others wrote at the same moment, again and again.
    for _ in 0..5 {
        let Err(error) = &written else { break };
        if !overtaken(error) {
            break;
        }
        written = send(cluster, &path, &change.wanted, way, false).await;
    }
    Ok(written.map_err(said).with_context(|| id.to_string())?.1)
}

/// Waits until objects of a new kind can be made.
async fn established(cluster: &Cluster, id: &Id) -> anyhow::Result<()> {
    let path = cluster.path(id).await?.with_context(|| format!("{id}: the cluster does not know its kind"))?;
    let until = tokio::time::Instant::now() + std::time::Duration::from_secs(30);
    loop {
        let object = cluster.get(&path).await?.unwrap_or_default();
        if items(&object, "/status/conditions").iter().any(|c| c["type"] == "Established" && c["status"] == "True") {
            return Ok(());
        }
        if tokio::time::Instant::now() > until {
            bail!("{id} was not established within 30 s");
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
}
