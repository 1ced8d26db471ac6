//! Whether the user may do what a deploy does, asked before anything is written: all that is missing in one message.

use std::collections::BTreeSet;

use futures_util::future::try_join_all;
use hyper::Method;
use serde_json::{Value, json};

use super::client::Cluster;
use super::errors::said;
use super::object::{Id, items};

/// A right: to do something with a kind (as paths name it) of a group, in the service's namespace or in none.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Right {
    verb: &'static str,
    group: String,
    resource: String,
    namespaced: bool,
}

impl Right {
    fn attributes(&self, namespace: &str) -> Value {
        let (resource, part) = self.resource.split_once('/').unwrap_or((&self.resource, ""));
        let namespace = if self.namespaced { namespace } else { "" };
        json!({"verb": self.verb, "group": self.group, "resource": resource, "subresource": part, "namespace": namespace})
    }

    fn said(&self) -> String {
        let Self { verb, group, resource, .. } = self;
        if group.is_empty() { format!("{verb} {resource}") } else { format!("{verb} {resource}.{group}") }
    }
}

/// What a deploy asks beside its objects: the set's parent, the lock, the releases, what is looked at in a rollout.
const OWN: [(&str, &str, &[&str]); 7] = [
    ("", "configmaps", &["get", "list", "create", "patch"]),
    ("coordination.k8s.io", "leases", &["get", "create", "patch", "delete"]),
    ("", "secrets", &["list", "create", "patch", "delete"]),
    ("", "pods", &["list", "watch"]),
    ("", "pods/log", &["get"]),
    ("", "events", &["list"]),
    ("apps", "replicasets", &["list", "watch"]),
];

/// The rights that are missing to roll these objects out in a namespace; none: all are there.
///
/// # Errors
/// The server can't be asked.
pub(super) async fn missing(cluster: &Cluster, namespace: &str, objects: &[Value]) -> anyhow::Result<Option<String>> {
    let mut needed = BTreeSet::new();
    for (group, resource, verbs) in OWN {
        needed.extend(verbs.iter().map(|verb| Right {
            verb,
            group: group.into(),
            resource: resource.into(),
            namespaced: true,
        }));
    }
    for object in objects {
        let id = Id::of(object)?;
        // What is defined here is not known yet.
        let Some(kind) = cluster.kind(&id.api_version, &id.kind).await? else { continue };
        let verbs: &[&str] = match id.kind.as_str() {
            "Namespace" => &["create"],
            "Deployment" | "StatefulSet" | "DaemonSet" | "Job" => {
                &["get", "list", "watch", "create", "patch", "delete"]
            }
            _ => &["get", "list", "create", "patch", "delete"],
        };
        needed.extend(verbs.iter().map(|verb| Right {
            verb,
            group: id.group().into(),
            resource: kind.plural.clone(),
            namespaced: kind.namespaced,
        }));
    }
    // One question for all; what it does not know of (webhooks, rights in the whole cluster) is asked by its own.
    let review = json!({"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectRulesReview", "spec": {"namespace": namespace}});
    let rules = ask(cluster, "selfsubjectrulesreviews", &review).await?;
    needed.retain(|right| !right.namespaced || !allowed(items(&rules, "/status/resourceRules"), right));
    let asked = needed.iter().map(|right| async move {
        let review = json!({"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview",
            "spec": {"resourceAttributes": right.attributes(namespace)}});
        let answer = ask(cluster, "selfsubjectaccessreviews", &review).await?;
        anyhow::Ok((answer["status"]["allowed"] != true).then(|| right.said()))
    });
    let missing: Vec<String> = try_join_all(asked).await?.into_iter().flatten().collect();
    Ok((!missing.is_empty()).then(|| {
        format!(
            "the user of the kubeconfig's context lacks rights in the namespace {namespace}: {} (hint: a Role with these, and a RoleBinding)",
            missing.join(", ")
        )
    }))
}

async fn ask(cluster: &Cluster, reviews: &str, review: &Value) -> anyhow::Result<Value> {
    let path = format!("/apis/authorization.k8s.io/v1/{reviews}");
    cluster.call(&Method::POST, &path, Some(("application/json", review))).await.map_err(said)
}

/// Whether one of the rules allows it for all names.
fn allowed(rules: &[Value], right: &Right) -> bool {
    let has = |rule: &Value, field: &str, wanted: &str| items(rule, field).iter().any(|v| v == wanted || v == "*");
    rules.iter().any(|rule| {
        items(rule, "/resourceNames").is_empty()
            && has(rule, "/verbs", right.verb)
            && has(rule, "/apiGroups", &right.group)
            && has(rule, "/resources", &right.resource)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_allow_by_verb_group_and_resource() {
        let rules = [
            json!({"verbs": ["*"], "apiGroups": ["apps"], "resources": ["deployments"]}),
            json!({"verbs": ["get"], "apiGroups": [""], "resources": ["secrets"], "resourceNames": ["one"]}),
        ];
        let right = |verb, group: &str, resource: &str| Right {
            verb,
            group: group.into(),
            resource: resource.into(),
            namespaced: true,
        };
        assert!(allowed(&rules, &right("patch", "apps", "deployments")));
        assert!(!allowed(&rules, &right("patch", "apps", "statefulsets")));
        assert!(!allowed(&rules, &right("get", "", "secrets")), "one name is not all");
    }
}
