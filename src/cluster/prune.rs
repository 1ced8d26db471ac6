//! The set of a service's objects, as the ApplySet specification labels it: what left the set is removed, and nothing else ever.

use std::collections::{BTreeSet, HashMap};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures_util::{FutureExt as _, StreamExt as _, TryStreamExt as _, stream};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::apply::AT_ONCE;
use super::client::Cluster;
use super::object::{Id, text};

const PART_OF: &str = "applyset.kubernetes.io/part-of";

/// The set of a service.
pub(crate) struct Set {
    namespace: String,
    name: String,
    id: String,
}

impl Set {
    /// Of a service in a namespace; its parent is a ConfigMap.
    pub(crate) fn of(namespace: &str, service: &str) -> Self {
        let name = format!("crudctl-{service}");
        let hash = Sha256::digest(format!("{name}.{namespace}.ConfigMap.").as_bytes());
        let id = format!("applyset-{}-v1", URL_SAFE_NO_PAD.encode(hash));
        Self { namespace: namespace.into(), name, id }
    }

    /// Makes objects members; namespaces are none, since others live in them, too.
    pub(crate) fn mark(&self, objects: &mut [Value]) {
        for object in objects.iter_mut().filter(|o| text(o, "/kind") != "Namespace") {
            let labels = &mut object["metadata"]["labels"];
            if !labels.is_object() {
                *labels = json!({});
            }
            labels[PART_OF] = self.id.as_str().into();
            labels["app.kubernetes.io/managed-by"] = "crudctl".into();
        }
    }

    /// The parent's path.
    pub(crate) fn path(&self) -> String {
        format!("/api/v1/namespaces/{}/configmaps/{}", self.namespace, self.name)
    }

    /// The parent with the kinds of these objects, and those it names already.
    pub(crate) fn parent(&self, objects: &[Value], kinds: &BTreeSet<String>) -> Value {
        let mut kinds = kinds.clone();
        kinds.extend(objects.iter().filter(|o| text(o, "/kind") != "Namespace").map(group_kind));
        let kinds: Vec<String> = kinds.into_iter().collect();
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": self.name, "namespace": self.namespace,
            "labels": {"applyset.kubernetes.io/id": self.id, "app.kubernetes.io/managed-by": "crudctl"},
            "annotations": {"applyset.kubernetes.io/tooling": "crudctl/v1",
                "applyset.kubernetes.io/contains-group-kinds": kinds.join(",")}}})
    }

    /// The kinds that a parent names, as it is.
    pub(crate) fn named(parent: &Value) -> BTreeSet<String> {
        let kinds = text(parent, "/metadata/annotations/applyset.kubernetes.io~1contains-group-kinds");
        kinds.split(',').filter(|kind| !kind.is_empty()).map(str::to_owned).collect()
    }

    /// Its members, of these kinds and of those of the objects, in the versions that the objects have; a list for each kind.
    ///
    /// # Errors
    /// The server can't be asked.
    pub(crate) async fn members(
        &self,
        cluster: &Cluster,
        kinds: &BTreeSet<String>,
        objects: &[Value],
    ) -> anyhow::Result<HashMap<Id, Value>> {
        let mut all = kinds.clone();
        all.extend(objects.iter().filter(|o| text(o, "/kind") != "Namespace").map(group_kind));
        let lists = all.iter().map(|group_kind| {
            async move {
                let (kind, group) = group_kind.split_once('.').unwrap_or((group_kind, ""));
                let Some(version) = version(cluster, group, kind, objects).await? else { return Ok(vec![]) };
                let Some(path) = cluster.collection(&version, kind, Some(&self.namespace)).await? else {
                    return Ok(vec![]);
                };
                cluster.list(&path, &[("labelSelector", &format!("{PART_OF}={}", self.id))]).await
            }
            .boxed()
        });
        let lists: Vec<Vec<Value>> =
            stream::iter(lists.collect::<Vec<_>>()).buffer_unordered(AT_ONCE).try_collect().await?;
        lists.into_iter().flatten().map(|object| Ok((Id::of(&object)?, object))).collect()
    }

    /// Of these members those that are not among the objects, and not on their way out.
    pub(crate) fn left(members: &HashMap<Id, Value>, objects: &[Value]) -> Vec<(Id, Value)> {
        let name = |o: &Value| (group_kind(o), text(o, "/metadata/name").to_owned());
        let stay: BTreeSet<(String, String)> = objects.iter().map(name).collect();
        let gone = |o: &Value| !o["metadata"]["deletionTimestamp"].is_null();
        let left = members.iter().filter(|(_, o)| !gone(o) && !stay.contains(&name(o)));
        let mut left: Vec<(Id, Value)> = left.map(|(id, o)| (id.clone(), o.clone())).collect();
        left.sort_by(|(a, _), (b, _)| a.cmp(b));
        left
    }
}

/// `Deployment.apps`, `Service`.
fn group_kind(object: &Value) -> String {
    let kind = text(object, "/kind");
    match text(object, "/apiVersion").split_once('/') {
        Some((group, _)) => format!("{kind}.{group}"),
        None => kind.to_owned(),
    }
}

/// The version in which a group's objects are asked for: that of the manifests, else the one that the server prefers.
async fn version(cluster: &Cluster, group: &str, kind: &str, objects: &[Value]) -> anyhow::Result<Option<String>> {
    if group.is_empty() {
        return Ok(Some("v1".into()));
    }
    let same = |o: &&Value| text(o, "/kind") == kind && text(o, "/apiVersion").starts_with(&format!("{group}/"));
    if let Some(object) = objects.iter().find(same) {
        return Ok(Some(text(object, "/apiVersion").to_owned()));
    }
    let answer = cluster.get(&format!("/apis/{group}")).await?;
    Ok(answer.map(|group| text(&group, "/preferredVersion/groupVersion").to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_labelled_and_the_parent_names_their_kinds() {
        let set = Set::of("shop", "web");
        let mut all = vec![
            json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}}),
            json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}}),
        ];
        set.mark(&mut all);
        assert_eq!(all[0]["metadata"]["labels"][PART_OF], set.id.as_str());
        assert!(all[1]["metadata"]["labels"].is_null());
        let parent = set.parent(&all, &BTreeSet::from(["Service".to_owned()]));
        let kinds = &parent["metadata"]["annotations"]["applyset.kubernetes.io/contains-group-kinds"];
        assert_eq!(kinds, "Deployment.apps,Service");
    }
}
