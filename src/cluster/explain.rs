//! A failure in full: the pod and its container, what Kubernetes says, its last log lines, its events, what to do.

use serde_json::Value;

use super::client::Cluster;
use super::object::{items, number, text};
use super::pods::Problem;

/// Lines of a log that are shown.
const LINES: usize = 20;

/// The text for a pod's problem.
pub(crate) async fn pod(cluster: &Cluster, pod: &Value, problem: &Problem) -> String {
    let mut out = format!("pod {}", text(pod, "/metadata/name"));
    if let Some(container) = &problem.container {
        out.push_str(&format!(", container {container}"));
    }
    out.push_str(&format!(": {}, {}\n", problem.reason, problem.message.trim()));
    if let Some(container) = &problem.container {
        for (previous, what) in [(true, "before its last restart it said"), (false, "it says")] {
            let lines = log(cluster, pod, container, previous).await;
            if !lines.is_empty() {
                out.push_str(&format!("  {what}:\n"));
                lines.iter().for_each(|line| out.push_str(&format!("    {line}\n")));
            }
        }
    }
    out.push_str(&events(cluster, pod).await);
    out.push_str(&format!("  hint: {}", problem.hint));
    out
}

/// The text for a pod that runs and is not ready.
pub(crate) async fn unready(cluster: &Cluster, pod: &Value) -> String {
    let mut out = format!("pod {}: {}, not ready\n", text(pod, "/metadata/name"), text(pod, "/status/phase"));
    for status in items(pod, "/status/containerStatuses").iter().filter(|s| s["ready"] == false) {
        let container = text(status, "/name");
        let restarts = number(status, "/restartCount");
        out.push_str(&format!("  container {container} is not ready ({restarts} restarts); it says:\n"));
        for line in log(cluster, pod, container, false).await {
            out.push_str(&format!("    {line}\n"));
        }
    }
    out.push_str(&node(cluster, text(pod, "/spec/nodeName")).await);
    out.push_str(&events(cluster, pod).await);
    out.trim_end().to_owned()
}

/// What is wrong with a node; empty where nothing is, or where it may not be asked about.
async fn node(cluster: &Cluster, name: &str) -> String {
    if name.is_empty() {
        return String::new();
    }
    let Ok(Some(node)) = cluster.get(&format!("/api/v1/nodes/{name}")).await else { return String::new() };
    match items(&node, "/status/conditions").iter().find(|c| c["type"] == "Ready") {
        Some(ready) if ready["status"] != "True" => {
            format!(
                "  its node {name} is NotReady: {}\n  hint: nothing starts there until its kubelet is back: look at the node\n",
                text(ready, "/message")
            )
        }
        _ => String::new(),
    }
}

async fn log(cluster: &Cluster, pod: &Value, container: &str, previous: bool) -> Vec<String> {
    let (namespace, name) = (text(pod, "/metadata/namespace"), text(pod, "/metadata/name"));
    let path = format!(
        "/api/v1/namespaces/{namespace}/pods/{name}/log?container={container}&tailLines={LINES}&limitBytes=16384&previous={previous}"
    );
    // There is none where the container never ran: the report is told without it.
    let all = cluster.text(&path).await.unwrap_or_default();
    if all.starts_with("unable to retrieve container logs") {
        return vec![];
    }
    all.lines().map(str::to_owned).collect()
}

/// Warnings about an object, the last five.
async fn events(cluster: &Cluster, object: &Value) -> String {
    let mut all = match warnings(cluster, object).await {
        Ok(all) => all,
        Err(error) => return format!("  its events can't be read: {error:#}\n"),
    };
    if all.is_empty() {
        return String::new();
    }
    let first = all.len().saturating_sub(5);
    let lines = all.drain(first..).map(|event| {
        let message = text(&event, "/message").trim().replace('\n', " ");
        format!("    {}: {message}\n", text(&event, "/reason"))
    });
    format!("  events:\n{}", lines.collect::<String>())
}

/// Warnings about an object, the oldest first.
pub(crate) async fn warnings(cluster: &Cluster, object: &Value) -> anyhow::Result<Vec<Value>> {
    let path = format!("/api/v1/namespaces/{}/events", text(object, "/metadata/namespace"));
    let about = format!("involvedObject.uid={},type=Warning", text(object, "/metadata/uid"));
    let mut all = cluster.list(&path, &[("fieldSelector", &about)]).await?;
    all.sort_by_key(|event| when(event).to_owned());
    Ok(all)
}

/// When an event was last seen, as RFC 3339.
pub(crate) fn when(event: &Value) -> &str {
    ["/lastTimestamp", "/series/lastObservedTime", "/eventTime", "/metadata/creationTimestamp"]
        .into_iter()
        .map(|pointer| text(event, pointer))
        .find(|when| !when.is_empty())
        .unwrap_or_default()
}
