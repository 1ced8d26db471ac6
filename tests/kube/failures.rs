//! Rollouts that fail: what is said, and how soon.

use serde_json::Value;

use crate::cluster::{Cluster, REGISTRY};
use crate::lab::without_lab;

fn playbook(namespace: &str, container: &str) -> String {
    format!(
        "- hosts: localhost\n  connection: local\n  gather_facts: false\n  tasks:\n    - k8s:\n        wait: true\n        wait_timeout: 90\n        \
         definition:\n          apiVersion: apps/v1\n          kind: Deployment\n          metadata: {{name: web, namespace: {namespace}}}\n          \
         spec:\n            replicas: 1\n            selector: {{matchLabels: {{app: web}}}}\n            template:\n              \
         metadata: {{labels: {{app: web}}}}\n              spec: {{containers: [{{name: web, {container}}}]}}\n"
    )
}

fn waits_for(pod: &Value, reason: &str) -> bool {
    pod["status"]["containerStatuses"][0]["state"]["waiting"]["reason"] == reason
}

/// The report has these parts, and comes within 3 s of what it is about being visible in the API.
fn fails(name: &str, container: &str, visible: fn(&Value) -> bool, parts: &[&str]) {
    if without_lab(name) {
        return;
    }
    let cluster = Cluster::up(name);
    cluster.kubectl(&["create", "namespace", name]);
    cluster.write("play.yml", &playbook(name, container));
    let (said, seen) = std::thread::scope(|scope| {
        let said = scope.spawn(|| cluster.crudctl(&["run", "play.yml"]));
        let seen = cluster.seen(visible);
        (said.join().expect("crudctl"), seen)
    });
    said.expect(2, parts);
    let after = said.at.saturating_duration_since(seen);
    assert!(after.as_millis() <= 3000, "told after {after:?}: {said}");
}

#[test]
fn fail_image() {
    fails(
        "fail-image",
        &format!("image: '{REGISTRY}/web:none'"),
        |pod| waits_for(pod, "ErrImagePull") || waits_for(pod, "ImagePullBackOff"),
        &["container web: ", "not found", "127.0.0.1:5000 has no such image or tag"],
    );
}

#[test]
fn fail_crash() {
    fails(
        "fail-crash",
        &format!("image: '{REGISTRY}/web:crash', readinessProbe: {{tcpSocket: {{port: 8080}}}}"),
        |pod| {
            let restarts = pod["status"]["containerStatuses"][0]["restartCount"].as_i64();
            waits_for(pod, "CrashLoopBackOff") && restarts.is_some_and(|n| n > 1)
        },
        &["CrashLoopBackOff, exit code 3, 2 restarts", "cannot reach the database: connection refused", "BackOff: "],
    );
}

#[test]
fn fail_memory() {
    fails(
        "fail-memory",
        &format!(
            "image: '{REGISTRY}/web:eat', resources: {{limits: {{memory: 32Mi}}}}, readinessProbe: {{tcpSocket: {{port: 8080}}}}"
        ),
        |pod| pod["status"]["containerStatuses"][0]["restartCount"].as_i64().is_some_and(|n| n > 1),
        &["OOMKilled", "it needs more memory than its limit of 32Mi"],
    );
}

#[test]
fn fail_config() {
    fails(
        "fail-config",
        &format!("image: '{REGISTRY}/web:1', envFrom: [{{secretRef: {{name: absent}}}}]"),
        |pod| waits_for(pod, "CreateContainerConfigError"),
        &["CreateContainerConfigError", "secret \"absent\" not found", "names a Secret or ConfigMap"],
    );
}

#[test]
fn fail_schedule() {
    fails(
        "fail-schedule",
        &format!("image: '{REGISTRY}/web:1', resources: {{requests: {{cpu: 640}}}}"),
        |pod| pod["status"]["conditions"][0]["reason"] == "Unschedulable",
        &["Unschedulable", "Insufficient cpu", "lower `resources`, or add a node"],
    );
}

/// A quota refuses the pods themselves: there is none to look at.
#[test]
fn fail_quota() {
    if without_lab("fail_quota") {
        return;
    }
    let cluster = Cluster::up("fail-quota");
    cluster.kubectl(&["create", "namespace", "fail-quota"]);
    cluster.kubectl(&["create", "quota", "none", "--hard=pods=0"]);
    cluster.write("play.yml", &playbook("fail-quota", &format!("image: '{REGISTRY}/web:1'")));
    let began = std::time::Instant::now();
    let said = cluster.crudctl(&["run", "play.yml"]);
    said.expect(2, &["no pod can be made", "exceeded quota", "leaves no room"]);
    let after = said.at.saturating_duration_since(began);
    assert!(after.as_secs() < 10, "told after {after:?}");
}
