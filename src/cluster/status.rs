//! Whether an object is what it should be: kstatus' rules, from the object alone.

use serde_json::Value;

use super::object::{items, number, text};

/// How far an object is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum State {
    /// There.
    Current,
    /// On its way: what is missing.
    Waiting(String),
    /// It will not get there.
    Failed(String),
}

fn condition<'a>(object: &'a Value, kind: &str) -> Option<&'a Value> {
    items(object, "/status/conditions").iter().find(|c| c["type"] == kind)
}

fn is_true(object: &Value, kind: &str) -> bool {
    condition(object, kind).is_some_and(|c| c["status"] == "True")
}

/// The state of an object.
pub(crate) fn of(object: &Value) -> State {
    let observed = object.pointer("/status/observedGeneration").and_then(Value::as_i64);
    if observed.is_some_and(|seen| seen < number(object, "/metadata/generation")) {
        return State::Waiting("not seen by its controller yet".into());
    }
    match text(object, "/kind") {
        "Deployment" => deployment(object, observed),
        "StatefulSet" => stateful_set(object, observed),
        "DaemonSet" => daemon_set(object, observed),
        "ReplicaSet" => counted(object, observed),
        "Job" => job(object),
        "Pod" => pod(object),
        "PersistentVolumeClaim" => match text(object, "/status/phase") {
            "Bound" => State::Current,
            "Lost" => State::Failed("its volume is lost".into()),
            _ => State::Waiting("not bound to a volume".into()),
        },
        "Service" if text(object, "/spec/type") == "LoadBalancer" => {
            match items(object, "/status/loadBalancer/ingress") {
                [] => State::Waiting("no address from the load balancer".into()),
                _ => State::Current,
            }
        }
        "CustomResourceDefinition" if is_true(object, "Established") => State::Current,
        "CustomResourceDefinition" => State::Waiting("not established".into()),
        // Its conditions are about what it watches.
        "HorizontalPodAutoscaler" | "PodDisruptionBudget" | "Namespace" => State::Current,
        _ => by_conditions(object),
    }
}

fn replicas(object: &Value) -> i64 {
    object.pointer("/spec/replicas").and_then(Value::as_i64).unwrap_or(1)
}

fn deployment(object: &Value, observed: Option<i64>) -> State {
    if observed.is_none() {
        return State::Waiting("not seen by its controller yet".into());
    }
    if let Some(progress) = condition(object, "Progressing")
        && progress["reason"] == "ProgressDeadlineExceeded"
    {
        return State::Failed(text(progress, "/message").to_owned());
    }
    let wanted = replicas(object);
    let at = |name: &str| number(object, &format!("/status/{name}"));
    let (all, updated, available) = (at("replicas"), at("updatedReplicas"), at("availableReplicas"));
    if updated < wanted {
        return State::Waiting(format!("{updated} of {wanted} updated, {available} available"));
    }
    if all > updated {
        return State::Waiting(format!("{} of the old are still there", all - updated));
    }
    if available < updated {
        return State::Waiting(format!("{available} of {updated} available"));
    }
    State::Current
}

fn stateful_set(object: &Value, observed: Option<i64>) -> State {
    if observed.is_none() {
        return State::Waiting("not seen by its controller yet".into());
    }
    let wanted = replicas(object);
    let ready = number(object, "/status/readyReplicas");
    if text(object, "/spec/updateStrategy/type") == "OnDelete" {
        return if ready < wanted { State::Waiting(format!("{ready} of {wanted} ready")) } else { State::Current };
    }
    let kept = number(object, "/spec/updateStrategy/rollingUpdate/partition");
    let updated = number(object, "/status/updatedReplicas");
    if updated < wanted - kept {
        return State::Waiting(format!("{updated} of {} updated, {ready} ready", wanted - kept));
    }
    if ready < wanted {
        return State::Waiting(format!("{ready} of {wanted} ready"));
    }
    if kept == 0 && text(object, "/status/currentRevision") != text(object, "/status/updateRevision") {
        return State::Waiting("the update is being completed".into());
    }
    State::Current
}

fn daemon_set(object: &Value, observed: Option<i64>) -> State {
    if observed.is_none() {
        return State::Waiting("not seen by its controller yet".into());
    }
    let at = |name: &str| number(object, &format!("/status/{name}"));
    let wanted = at("desiredNumberScheduled");
    let available = at("numberAvailable");
    let updated = at("updatedNumberScheduled");
    if text(object, "/spec/updateStrategy/type") != "OnDelete" && updated < wanted {
        return State::Waiting(format!("{updated} of {wanted} updated, {available} available"));
    }
    if available < wanted { State::Waiting(format!("{available} of {wanted} available")) } else { State::Current }
}

fn counted(object: &Value, observed: Option<i64>) -> State {
    let (wanted, ready) = (replicas(object), number(object, "/status/availableReplicas"));
    if observed.is_none() || ready < wanted {
        return State::Waiting(format!("{ready} of {wanted} available"));
    }
    State::Current
}

fn job(object: &Value) -> State {
    if is_true(object, "Complete") {
        return State::Current;
    }
    if let Some(failed) = condition(object, "Failed").filter(|c| c["status"] == "True") {
        return State::Failed(format!("{}: {}", text(failed, "/reason"), text(failed, "/message")));
    }
    if object["spec"]["suspend"] == true {
        return State::Current;
    }
    let wanted = object.pointer("/spec/completions").and_then(Value::as_i64).unwrap_or(1);
    State::Waiting(format!("{} of {wanted} succeeded", number(object, "/status/succeeded")))
}

fn pod(object: &Value) -> State {
    match text(object, "/status/phase") {
        "Succeeded" => State::Current,
        "Failed" => State::Failed(format!("failed {}", text(object, "/status/reason")).trim_end().to_owned()),
        _ if is_true(object, "Ready") => State::Current,
        phase => State::Waiting(format!("{phase}, not ready")),
    }
}

/// Kinds that are not known here, by the conditions that controllers agree on.
fn by_conditions(object: &Value) -> State {
    let said = |kind: &str| condition(object, kind).map(|c| text(c, "/message").to_owned()).unwrap_or_default();
    if is_true(object, "Stalled") {
        return State::Failed(said("Stalled"));
    }
    if is_true(object, "Reconciling") {
        return State::Waiting(said("Reconciling"));
    }
    match condition(object, "Ready") {
        Some(ready) if ready["status"] != "True" => State::Waiting(format!("not ready: {}", text(ready, "/message"))),
        _ => State::Current,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn state(kind: &str, spec: &Value, status: &Value) -> State {
        of(&json!({"kind": kind, "metadata": {"generation": 2}, "spec": spec, "status": status}))
    }

    fn waits(kind: &str, spec: &Value, status: &Value) -> String {
        match state(kind, spec, status) {
            State::Waiting(what) => what,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_deployment_is_current_when_only_new_pods_are_left_and_available() {
        let spec = json!({"replicas": 3});
        let status = |seen: i64, all: i64, updated: i64, available: i64| json!({"observedGeneration": seen, "replicas": all, "updatedReplicas": updated, "availableReplicas": available});
        assert_eq!(waits("Deployment", &spec, &status(1, 3, 3, 3)), "not seen by its controller yet");
        assert_eq!(waits("Deployment", &spec, &status(2, 4, 1, 3)), "1 of 3 updated, 3 available");
        assert_eq!(waits("Deployment", &spec, &status(2, 4, 3, 3)), "1 of the old are still there");
        assert_eq!(waits("Deployment", &spec, &status(2, 3, 3, 2)), "2 of 3 available");
        assert_eq!(state("Deployment", &spec, &status(2, 3, 3, 3)), State::Current);
        assert_eq!(waits("Deployment", &spec, &json!({})), "not seen by its controller yet");
        let late = json!({"observedGeneration": 2, "conditions": [{"type": "Progressing", "status": "False",
            "reason": "ProgressDeadlineExceeded", "message": "too late"}]});
        assert_eq!(state("Deployment", &spec, &late), State::Failed("too late".into()));
    }

    #[test]
    fn jobs_claims_balancers_and_what_is_not_known() {
        let failed = json!({"conditions": [{"type": "Failed", "status": "True", "reason": "BackoffLimitExceeded", "message": "m"}]});
        assert_eq!(state("Job", &json!({}), &failed), State::Failed("BackoffLimitExceeded: m".into()));
        assert_eq!(waits("Job", &json!({"completions": 2}), &json!({"succeeded": 1})), "1 of 2 succeeded");
        assert_eq!(waits("PersistentVolumeClaim", &json!({}), &json!({"phase": "Pending"})), "not bound to a volume");
        let balancer = json!({"type": "LoadBalancer"});
        assert_eq!(waits("Service", &balancer, &json!({"loadBalancer": {}})), "no address from the load balancer");
        assert_eq!(state("Service", &json!({"type": "ClusterIP"}), &json!({})), State::Current);
        let unready = json!({"conditions": [{"type": "Ready", "status": "False", "message": "no certificate"}]});
        assert_eq!(waits("Certificate", &json!({}), &unready), "not ready: no certificate");
        assert_eq!(state("ConfigMap", &json!({}), &json!({})), State::Current);
    }

    #[test]
    fn stateful_and_daemon_sets() {
        let status = json!({"observedGeneration": 2, "updatedReplicas": 1, "readyReplicas": 2});
        assert_eq!(waits("StatefulSet", &json!({"replicas": 2}), &status), "1 of 2 updated, 2 ready");
        let done = json!({"observedGeneration": 2, "updatedReplicas": 2, "readyReplicas": 2, "currentRevision": "a", "updateRevision": "a"});
        assert_eq!(state("StatefulSet", &json!({"replicas": 2}), &done), State::Current);
        let status = json!({"observedGeneration": 2, "desiredNumberScheduled": 2, "updatedNumberScheduled": 2, "numberAvailable": 1});
        assert_eq!(waits("DaemonSet", &json!({}), &status), "1 of 2 available");
    }
}
