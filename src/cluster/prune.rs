//! The set of a service's objects, as the ApplySet specification labels it: what left the set is removed, and nothing else ever.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

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

    /// The kinds that the parent names.
    ///
    /// # Errors
    /// The server can't be asked.
    pub(crate) async fn kinds(&self, cluster: &Cluster) -> anyhow::Result<BTreeSet<String>> {
        let parent = cluster.get(&self.path()).await?.unwrap_or_default();
        let kinds = text(&parent, "/metadata/annotations/applyset.kubernetes.io~1contains-group-kinds");
        Ok(kinds.split(',').filter(|kind| !kind.is_empty()).map(str::to_owned).collect())
    }

    /// Members of these kinds that are not among the objects.
    ///
    /// # Errors
    /// The server can't be asked.
    pub(crate) async fn left(
        &self,
        cluster: &Cluster,
        kinds: &BTreeSet<String>,
        objects: &[Value],
    ) -> anyhow::Result<Vec<(Id, Value)>> {
        let mut left = Vec::new();
        let stay: BTreeSet<(String, String)> =
            objects.iter().map(|o| (group_kind(o), text(o, "/metadata/name").to_owned())).collect();
        for group_kind in kinds {
            let (kind, group) = group_kind.split_once('.').unwrap_or((group_kind, ""));
            let Some(version) = version(cluster, group, kind, objects).await? else { continue };
            let Some(path) = cluster.collection(&version, kind, Some(&self.namespace)).await? else { continue };
            for object in cluster.list(&path, &[("labelSelector", &format!("{PART_OF}={}", self.id))]).await? {
                let gone = !object["metadata"]["deletionTimestamp"].is_null();
                if !gone && !stay.contains(&(group_kind.clone(), text(&object, "/metadata/name").to_owned())) {
                    left.push((Id::of(&object)?, object));
                }
            }
        }
        Ok(left)
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
