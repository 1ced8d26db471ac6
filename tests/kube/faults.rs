//! What goes wrong between crudctl and the cluster, and how much is asked of it.

use std::time::Duration;

use crate::cluster::Cluster;
use crate::lab::without_lab;
use crate::proxy::{Mode, Proxy};
use crate::{image, project};

/// Nothing changed: a request an object and five more. Then by hand: one more for what was touched.
#[test]
fn a_second_run_asks_little() {
    if without_lab("a_second_run_asks_little") {
        return;
    }
    let cluster = Cluster::up("asks-little");
    let proxy = Proxy::start();
    let kubeconfig = proxy.kubeconfig(&cluster);
    cluster.write("crudctl.yaml", &project(&cluster.namespace, 30104, "  ingress: {host: little.lab}\n"));
    let deploy = || {
        let mut command = cluster.command(&["deploy", "--image", &image("1")]);
        Cluster::run(command.env("KUBECONFIG", &kubeconfig))
    };
    deploy().expect(0, &["changed=1"]);
    proxy.requests();
    deploy().expect(0, &["changed=0"]);
    let second = proxy.requests();
    let manifests = cluster.crudctl(&["manifests", "--image", &image("1")]).text;
    let made = manifests.lines().filter(|line| line.starts_with("kind: ")).count() + 1; // the Secret is left out there
    assert!(second.len() <= made + 5, "{} requests for {made} objects: {second:#?}", second.len());
    assert!(second.iter().all(|r| r.starts_with("GET ")), "something else than reading: {second:#?}");

    cluster.kubectl(&["annotate", "service", "shop", "note=theirs"]);
    deploy().expect(0, &["changed=0"]);
    let still = proxy.requests();
    assert!(still.iter().all(|r| r.starts_with("GET ")), "another's field made it ask: {still:#?}");
    cluster.kubectl(&[
        "patch",
        "poddisruptionbudget",
        "shop",
        "--type=merge",
        "-p",
        "{\"spec\":{\"maxUnavailable\":\"60%\"}}",
    ]);
    // Another took a field: it is named, and not taken back.
    deploy().expect(2, &["others own what would change", "kubectl-patch"]);
}

/// 429 for ten seconds, in mid-rollout and at its begin; then nothing for twenty: the rollout goes on.
#[test]
fn patience_is_had_and_a_cut_is_survived() {
    if without_lab("patience_is_had_and_a_cut_is_survived") {
        return;
    }
    let cluster = Cluster::up("cut-off");
    let proxy = Proxy::start();
    let kubeconfig = proxy.kubeconfig(&cluster);
    cluster.gated(100);
    std::thread::scope(|scope| {
        let deploy = scope.spawn(|| {
            let mut command = cluster.command(&["deploy", "--image", &image("1")]);
            Cluster::run(command.env("KUBECONFIG", &kubeconfig))
        });
        cluster.at_gate();
        proxy.requests();
        proxy.set(Mode::Busy);
        std::thread::sleep(Duration::from_secs(10));
        let asked = proxy.requests().len();
        proxy.set(Mode::Cut);
        std::thread::sleep(Duration::from_secs(20));
        cluster.open_gate();
        proxy.set(Mode::Pass);
        let said = deploy.join().expect("crudctl");
        said.expect(0, &["changed=1"]);
        assert!(asked <= 6 * 11, "{asked} requests in 10 s, though each was to wait for one");
    });
    assert!(!cluster.kubectl(&["get", "lease", "-o", "name"]).contains("crudctl"), "the lock stayed");
}
