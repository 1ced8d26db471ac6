//! What is wrong with a pod, from the pod alone, and whether it can still become well: the policy of *terminal* and *tolerated*.

use std::time::Duration;

use serde_json::Value;

use super::object::{items, number, text};

/// How patient a rollout is.
#[derive(Debug, Clone)]
pub(crate) struct Policy {
    /// Time for all of it.
    pub timeout: Duration,
    /// Restarts of a container that are tolerated.
    pub restarts: i64,
    /// Reasons that are not terminal here (`Unschedulable` where nodes come when they are needed).
    pub tolerate: Vec<String>,
}

/// What is wrong with a pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Problem {
    /// As Kubernetes calls it: `CrashLoopBackOff`, `Unschedulable`.
    pub reason: String,
    /// The container, where it is one's.
    pub container: Option<String>,
    /// What Kubernetes says about it.
    pub message: String,
    /// What to do.
    pub hint: String,
    /// How long it has to stand until it is terminal; none: it never is.
    pub patience: Option<Duration>,
}

/// What stands for this long is not about to pass.
const STANDING: Duration = Duration::from_secs(1);
/// A registry that can't be reached may come back.
const REGISTRY: Duration = Duration::from_secs(30);

/// The gravest problem of a pod.
pub(crate) fn judge(pod: &Value, policy: &Policy) -> Option<Problem> {
    if !pod["metadata"]["deletionTimestamp"].is_null() {
        return None;
    }
    let mut found = scheduling(pod).or_else(|| {
        let statuses =
            ["initContainerStatuses", "containerStatuses"].map(|kind| items(pod, &format!("/status/{kind}")));
        let mut all: Vec<Problem> =
            statuses.into_iter().flatten().filter_map(|status| container(pod, status, policy)).collect();
        // Those that are terminal first, the soonest before others.
        all.sort_by_key(|p| p.patience.unwrap_or(Duration::MAX));
        all.into_iter().next()
    })?;
    if policy.tolerate.contains(&found.reason) {
        found.patience = None;
    }
    Some(found)
}

fn scheduling(pod: &Value) -> Option<Problem> {
    let condition = items(pod, "/status/conditions").iter().find(|c| c["type"] == "PodScheduled")?;
    if condition["status"] != "False" || condition["reason"] != "Unschedulable" {
        return None;
    }
    let message = text(condition, "/message");
    // Others make room, or the volume is on its way: both are told by their own.
    let passing = !text(pod, "/status/nominatedNodeName").is_empty() || message.contains("unbound");
    let hint = if message.contains("Insufficient") {
        "the pods ask for more than the nodes have free: lower `resources`, or add a node"
    } else if message.contains("taint") {
        "no node without a taint that the pods don't tolerate: add a toleration, or look at `kubectl describe nodes`"
    } else if message.contains("unbound") {
        "their volume claim is not bound: look at its events and at the storage classes"
    } else {
        "no node fits: look at node selectors, affinity and topology spread"
    };
    Some(Problem {
        reason: "Unschedulable".into(),
        container: None,
        message: message.into(),
        hint: hint.into(),
        patience: (!passing).then_some(STANDING),
    })
}

fn container(pod: &Value, status: &Value, policy: &Policy) -> Option<Problem> {
    let name = text(status, "/name");
    let problem = |reason: &str, message: &str, hint: String, patience: Option<Duration>| {
        let container = Some(name.to_owned());
        Some(Problem { reason: reason.into(), container, message: message.into(), hint, patience })
    };
    let waiting = text(status, "/state/waiting/reason");
    let message = text(status, "/state/waiting/message");
    match waiting {
        "ErrImagePull" | "ImagePullBackOff" => {
            let (hint, definite) = image(text(status, "/image"), message);
            let patience = if definite { Duration::ZERO } else { REGISTRY };
            problem(waiting, message, hint, Some(patience))
        }
        "InvalidImageName" => problem(waiting, message, "no image can have this name".into(), Some(Duration::ZERO)),
        "ErrImageNeverPull" => {
            problem(waiting, message, "the node has no such image, and may not pull it".into(), Some(Duration::ZERO))
        }
        "CreateContainerConfigError" => {
            let hint = "the pod names a Secret or ConfigMap, or a key in it, that is not there";
            problem(waiting, message, hint.into(), Some(STANDING))
        }
        "CreateContainerError" | "RunContainerError" => {
            problem(waiting, message, "the node can't start the container".into(), Some(STANDING))
        }
        _ => crash(pod, status, policy),
    }
}

fn crash(pod: &Value, status: &Value, policy: &Policy) -> Option<Problem> {
    let restarts = number(status, "/restartCount");
    let looping = status["state"]["waiting"]["reason"] == "CrashLoopBackOff";
    let ended = if status["state"]["terminated"].is_object() { &status["state"] } else { &status["lastState"] };
    let ended = &ended["terminated"];
    if !ended.is_object() || (ended["exitCode"] == 0 && !looping) {
        return None;
    }
    let down = looping || status["state"]["terminated"].is_object();
    let exit = number(ended, "/exitCode");
    let name = text(status, "/name");
    let out_of_memory = ended["reason"] == "OOMKilled";
    let reason = if out_of_memory { "OOMKilled" } else { "CrashLoopBackOff" };
    let times = if restarts == 1 { "1 restart".to_owned() } else { format!("{restarts} restarts") };
    let more = text(ended, "/message");
    let message = format!("exit code {exit}, {times}{}{more}", if more.is_empty() { "" } else { ": " });
    let hint = if out_of_memory {
        let all = items(pod, "/spec/containers").iter().chain(items(pod, "/spec/initContainers"));
        let limit = all.filter(|c| c["name"] == name).map(|c| text(c, "/resources/limits/memory")).next();
        format!("it needs more memory than its limit of {}", limit.filter(|l| !l.is_empty()).unwrap_or("the node"))
    } else {
        match exit {
            126..=128 => "its command is not in the image, or can't be run".into(),
            137 => "it was killed: by a liveness probe that failed, or for memory of the node".into(),
            0 => "it ended by itself: a server has to stay".into(),
            _ => "its log says why".into(),
        }
    };
    Some(Problem {
        reason: reason.into(),
        container: Some(name.into()),
        message,
        hint,
        patience: (down && restarts > policy.restarts).then_some(Duration::ZERO),
    })
}

/// Why an image could not be pulled, and whether that can't change by itself.
fn image(image: &str, message: &str) -> (String, bool) {
    let first = image.split('/').next().unwrap_or_default();
    let registry =
        if image.contains('/') && first.contains(['.', ':']) || first == "localhost" { first } else { "docker.io" };
    let has = |words: &[&str]| words.iter().any(|w| message.contains(w));
    if has(&["401", "403", "nauthorized", "denied", "authentication required", "no basic auth"]) {
        (format!("{registry} asks for credentials: give `imagePullSecrets`, or let the nodes pull from it"), true)
    } else if has(&["not found", "manifest unknown", "does not exist"]) {
        (format!("{registry} has no such image or tag: was it pushed?"), true)
    } else {
        (format!("{registry} can't be reached from the node, or does not answer as a registry"), false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn policy() -> Policy {
        Policy { timeout: Duration::from_mins(1), restarts: 1, tolerate: vec![] }
    }

    fn pod(status: &Value) -> Value {
        json!({"metadata": {"name": "p"}, "spec": {"containers": [{"name": "app", "resources": {"limits": {"memory": "32Mi"}}}]},
            "status": {"containerStatuses": [status]}})
    }

    fn crashed(restarts: i64, reason: &str) -> Value {
        pod(&json!({"name": "app", "restartCount": restarts, "state": {"waiting": {"reason": "CrashLoopBackOff"}},
            "lastState": {"terminated": {"exitCode": 3, "reason": reason}}}))
    }

    #[test]
    fn restarts_are_tolerated_up_to_the_policy() {
        assert_eq!(judge(&crashed(1, "Error"), &policy()).unwrap().patience, None);
        let problem = judge(&crashed(2, "Error"), &policy()).unwrap();
        assert_eq!((problem.patience, problem.message.as_str()), (Some(Duration::ZERO), "exit code 3, 2 restarts"));
        let memory = judge(&crashed(2, "OOMKilled"), &policy()).unwrap();
        assert_eq!(
            (memory.reason.as_str(), memory.hint.as_str()),
            ("OOMKilled", "it needs more memory than its limit of 32Mi")
        );
    }

    #[test]
    fn what_an_image_lacks_is_told_apart() {
        let pull = |message: &str| {
            let status = json!({"name": "app", "image": "r.example.org:5000/a:1",
                "state": {"waiting": {"reason": "ErrImagePull", "message": message}}});
            let problem = judge(&pod(&status), &policy()).unwrap();
            (problem.hint, problem.patience)
        };
        assert_eq!(pull("r.example.org:5000/a:1: not found").1, Some(Duration::ZERO));
        assert!(pull("failed to authorize: 401 Unauthorized").0.contains("asks for credentials"));
        assert_eq!(pull("dial tcp: connection refused").1, Some(REGISTRY));
    }

    #[test]
    fn a_pod_that_no_node_takes() {
        let mut unschedulable = json!({"metadata": {"name": "p"}, "status": {"conditions": [{"type": "PodScheduled", "status": "False",
            "reason": "Unschedulable", "message": "0/1 nodes are available: 1 Insufficient cpu."}]}});
        assert_eq!(judge(&unschedulable, &policy()).unwrap().patience, Some(STANDING));
        let tolerant = Policy { tolerate: vec!["Unschedulable".into()], ..policy() };
        assert_eq!(judge(&unschedulable, &tolerant).unwrap().patience, None);
        unschedulable["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z".into();
        assert_eq!(judge(&unschedulable, &policy()), None);
    }
}
