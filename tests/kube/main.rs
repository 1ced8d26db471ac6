//! `deploy`, its kin and the modules of Kubernetes on the lab's cluster: a real API server, scheduler and kubelet.
//!
//! Needs root; the first run builds the cluster (`tests/lab/kube/README.md`). With `CRUDCTL_NO_LAB` set each test says that it was skipped.

mod cluster;
mod failures;
mod faults;
#[path = "../lab/lab.rs"]
#[expect(dead_code, reason = "only the word for skipping is used here")]
mod lab;
mod modules;
mod proxy;

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use cluster::{Cluster, REGISTRY};
use lab::{until, without_lab};

fn project(namespace: &str, node_port: u16, more: &str) -> String {
    format!(
        "name: shop\nservice: {{health: /healthz, env: {{DATABASE_URL: 'postgres://x/y'}}, secrets: [DB_PASSWORD]}}\n\
         kubernetes:\n  namespace: {namespace}\n  timeout: 60\n  resources: {{cpu: 10m, memory: 32Mi}}\n  \
         service: {{type: NodePort, node_port: {node_port}}}\n{more}"
    )
}

fn image(tag: &str) -> String {
    format!("{REGISTRY}/web:{tag}")
}

fn get(port: u16, path: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    Ok(text)
}

/// A release, again, a new one under load, one that fails under load, back, what left the project, down.
#[test]
fn a_service_from_nothing_to_down() {
    if without_lab("a_service_from_nothing_to_down") {
        return;
    }
    let port = 30101;
    let cluster = Cluster::up("shop-life");
    let with_ingress = project(&cluster.namespace, port, "  ingress: {host: shop.lab}\n");
    cluster.write("crudctl.yaml", &with_ingress);

    let dry = cluster.crudctl(&["deploy", "--image", &image("1"), "--dry-run"]);
    dry.expect(0, &["after: Deployment shop-life/shop", "(masked)", "changes are pending"]);
    assert!(!cluster.kubectl(&["get", "namespaces"]).contains("shop-life"), "a dry run made something");

    let first = cluster.crudctl(&["deploy", "--image", &image("1")]);
    first.expect(0, &["changed=1"]);
    assert!(!format!("{}{}", dry.text, first.text).contains("never-shown"), "{first}");
    // The node's proxy learns of new pods within a second or two.
    until(Duration::from_secs(10), "no answer with the secret", || {
        get(port, "/env/DB_PASSWORD").is_ok_and(|text| text.contains("never-shown-7f3a"))
    });

    let before = cluster.picture();
    cluster.crudctl(&["deploy", "--image", &image("1")]).expect(0, &["changed=0"]);
    assert_eq!(before, cluster.picture(), "nothing to do, and something was written");

    let stop = Arc::new(AtomicBool::new(false));
    let load = {
        let stop = Arc::clone(&stop);
        std::thread::spawn(move || {
            let (mut good, mut bad) = (0u32, Vec::new());
            while !stop.load(Ordering::Relaxed) {
                match get(port, "/") {
                    Ok(text) if text.starts_with("HTTP/1.1 200") => good += 1,
                    other => bad.push(format!("{other:?}")),
                }
            }
            (good, bad)
        })
    };
    cluster.crudctl(&["deploy", "--image", &image("2")]).expect(0, &["changed=1"]);
    let failed = cluster.crudctl(&["deploy", "--image", &image("none")]);
    failed.expect(8, &["has no such image or tag", "release 2 serves again"]);
    cluster
        .crudctl(&["history", "--kubernetes"])
        .expect(0, &["3        failed", "2        deployed", "1        superseded"]);
    cluster.crudctl(&["rollback", "--kubernetes"]).expect(0, &["changed=1"]);
    stop.store(true, Ordering::Relaxed);
    let (good, bad) = load.join().expect("the load");
    assert!(bad.is_empty() && good > 100, "{} of {good} requests failed: {:?}", bad.len(), bad.first());
    let running = cluster.kubectl(&["get", "deployment", "shop", "-o", "jsonpath={..image}"]);
    assert_eq!(running, image("1"));

    // What is no longer named goes; what others made in the namespace stays.
    cluster.kubectl(&["create", "configmap", "others"]);
    cluster.write("crudctl.yaml", &project(&cluster.namespace, port, ""));
    cluster.crudctl(&["deploy", "--image", &image("1")]).expect(0, &["Ingress shop-life/shop: removed"]);
    cluster.crudctl(&["down", "--kubernetes"]).expect(0, &["changed=1"]);
    cluster.crudctl(&["down", "--kubernetes"]).expect(0, &["changed=0"]);
    let left = cluster.kubectl(&["get", "all,secret,configmap,ingress,pdb,lease", "-o", "name"]);
    assert_eq!(
        left.split_whitespace().collect::<Vec<_>>(),
        ["configmap/kube-root-ca.crt", "configmap/others"],
        "{left}"
    );
}

/// Two at once: the second is told who is at work; one that was killed leaves nothing in the way.
#[test]
fn one_at_a_time_and_a_killed_one_is_carried_on() {
    if without_lab("one_at_a_time_and_a_killed_one_is_carried_on") {
        return;
    }
    let cluster = Cluster::up("shop-lock");
    cluster.write("crudctl.yaml", &project(&cluster.namespace, 30102, ""));
    let mut first = cluster.command(&["deploy", "--image", &image("none-yet")]);
    let stdio = std::process::Stdio::null;
    // Its pods never come: the registry is one that does not answer, which is tolerated for a while.
    first.args(["-e", "image=127.0.0.1:1/web:1"]).stdout(stdio()).stderr(stdio());
    let mut first = first.spawn().expect("crudctl");
    until(Duration::from_secs(20), "no pod came", || {
        cluster.kubectl(&["get", "lease,pods", "-o", "name"]).contains("pod/shop")
    });
    cluster.crudctl(&["deploy", "--image", &image("1")]).expect(7, &["locked by", "--lock-wait"]);
    first.kill().expect("killed");
    first.wait().expect("its end");
    cluster.crudctl(&["deploy", "--image", &image("1")]).expect(0, &["changed=1"]);
    assert!(!cluster.kubectl(&["get", "lease", "-o", "name"]).contains("crudctl"), "the lock stayed");
}

/// One file for `kubectl apply`, without secrets.
#[test]
fn manifests_are_what_kubectl_takes() {
    if without_lab("manifests_are_what_kubectl_takes") {
        return;
    }
    let cluster = Cluster::up("shop-file");
    cluster.write("crudctl.yaml", &project(&cluster.namespace, 30103, ""));
    let output = cluster.command(&["manifests", "--image", &image("1")]).output().expect("crudctl");
    let text = String::from_utf8(output.stdout).expect("text");
    assert!(String::from_utf8_lossy(&output.stderr).contains("the Secret shop is left out"));
    assert!(!text.contains("kind: Secret") && !text.contains("never-shown"), "{text}");
    cluster.write("install.yml", &text);
    let said = cluster.kubectl(&["apply", "-f", "install.yml"]);
    assert!(said.contains("deployment.apps/shop created"), "{said}");
}
