//! What can't be changed in place is removed and made again, where that was asked for and loses nothing.

use std::time::Duration;

use anyhow::{Context as _, bail};
use hyper::Method;
use kube::Error;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::client::Cluster;
use super::errors::{code, immutable, said};
use super::object::Id;

/// How long an object and what it owns may take to go: pods have their grace.
const GOES: Duration = Duration::from_mins(3);

/// Whether an object that can't be changed may be replaced: it holds nothing, and the new one would be taken. Nothing is written.
///
/// # Errors
/// It may not, or the server does not take the new one.
pub(super) async fn check(cluster: &Cluster, id: &Id, wanted: &Value, refusal: &str) -> anyhow::Result<()> {
    if ["PersistentVolumeClaim", "PersistentVolume", "Namespace", "CustomResourceDefinition"].contains(&&*id.kind) {
        bail!("{refusal}\n  it is not replaced, since its data would go with it: move them, then remove it by hand");
    }
    let collection = cluster.collection(&id.api_version, &id.kind, id.namespace.as_deref()).await?;
    let collection = collection.with_context(|| format!("{id}: the cluster does not know its kind"))?;
    // Under another name, since this one is taken.
    let mut trial = wanted.clone();
    trial["metadata"]["name"] = format!("{}-x", id.name).into();
    let url = format!("{collection}?dryRun=All&fieldValidation=Strict");
    match cluster.call(&Method::POST, &url, Some(("application/json", &trial))).await {
        Err(error) if code(&error) == Some(422) && !is_taken(&error) => Err(said(error)),
        // A name that is too long or there, a port that the one before it has: of no matter here.
        _ => Ok(()),
    }
}

fn is_taken(error: &Error) -> bool {
    let text = error.to_string();
    text.contains("already allocated") || text.contains("metadata.name") || immutable(error)
}

/// Removes an object, and what it owns, and waits until it is gone. Pods of a StatefulSet stay, where the new one will know them.
///
/// # Errors
/// The server refuses, or it does not go.
pub(super) async fn remove(cluster: &Cluster, path: &str, id: &Id, live: &Value, wanted: &Value) -> anyhow::Result<()> {
    let same = live["spec"]["selector"]["matchLabels"] == wanted["spec"]["selector"]["matchLabels"];
    let policy = if id.kind == "StatefulSet" && same { "Orphan" } else { "Foreground" };
    let uid = &live["metadata"]["uid"];
    cluster.delete(path, &json!({"propagationPolicy": policy, "preconditions": {"uid": uid}})).await?;
    let end = Instant::now() + GOES;
    while cluster.get(path).await?.is_some_and(|now| now["metadata"]["uid"] == *uid) {
        anyhow::ensure!(Instant::now() < end, "it was still there after {} s", GOES.as_secs());
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    Ok(())
}
