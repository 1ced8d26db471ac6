//! What goes wrong between crudctl and the cluster, and how much is asked of it.

use std::time::Duration;

use crate::cluster::Cluster;
use crate::lab::{until, without_lab};
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

/// The API server dies in mid-rollout and comes back: the rollout is watched to its end.
#[test]
fn the_api_server_restarts() {
    if without_lab("the_api_server_restarts") {
        return;
    }
    let cluster = Cluster::alone("api-restart");
    cluster.gated(100);
    std::thread::scope(|scope| {
        let deploy = scope.spawn(|| cluster.crudctl(&["deploy", "--image", &image("1")]));
        cluster.at_gate();
        cluster.restart_api_server();
        cluster.open_gate();
        deploy.join().expect("crudctl").expect(0, &["changed=1"]);
    });
}

/// Somebody writes to the same object all the time, and owns nothing that is crudctl's.
#[test]
fn a_second_writer_is_no_matter() {
    if without_lab("a_second_writer_is_no_matter") {
        return;
    }
    let cluster = Cluster::up("second-writer");
    cluster.gated(60);
    std::thread::scope(|scope| {
        let deploy = scope.spawn(|| cluster.crudctl(&["deploy", "--image", &image("1")]));
        cluster.at_gate();
        for n in 0..20 {
            cluster.kubectl(&["annotate", "deployment", "shop", "--overwrite", &format!("note=n{n}")]);
        }
        cluster.open_gate();
        deploy.join().expect("crudctl").expect(0, &["changed=1"]);
    });
    cluster.crudctl(&["deploy", "--image", &image("1")]).expect(0, &["changed=0"]);
}

/// Ctrl-C in mid-rollout: the next deploy finds no lock and nothing pending, and carries on.
#[test]
fn an_interrupted_one_is_carried_on() {
    if without_lab("an_interrupted_one_is_carried_on") {
        return;
    }
    let cluster = Cluster::up("ctrl-c");
    cluster.gated(60);
    let mut first = cluster.command(&["deploy", "--image", &image("1")]);
    let mut first =
        first.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null()).spawn().expect("crudctl");
    cluster.at_gate();
    let interrupted = std::process::Command::new("kill").args(["-INT", &first.id().to_string()]).status();
    assert!(interrupted.expect("kill").success());
    until(Duration::from_secs(10), "it did not end", || first.try_wait().expect("its state").is_some());
    cluster.open_gate();
    cluster.crudctl(&["deploy", "--image", &image("1")]).expect(0, &["changed=1"]);
    let history = cluster.crudctl(&["history", "--kubernetes"]);
    history.expect(0, &["1        deployed"]);
    assert!(!history.text.contains("pending"), "{history}");
}

/// A token that ends while a rollout is watched: the plugin is asked for another.
#[test]
fn a_token_is_renewed_in_mid_watch() {
    if without_lab("a_token_is_renewed_in_mid_watch") {
        return;
    }
    let cluster = Cluster::up("renewed-token");
    cluster.gated(100);
    cluster.kubectl(&["create", "namespace", &cluster.namespace]);
    cluster.kubectl(&["create", "serviceaccount", "deployer"]);
    let account = format!("--serviceaccount={}:deployer", cluster.namespace);
    cluster.kubectl(&["create", "rolebinding", "deployer", "--clusterrole=cluster-admin", &account]);
    for bound in ["first", "second"] {
        cluster.kubectl(&["create", "secret", "generic", bound]);
    }
    // A token ends with the Secret that it is bound to.
    let bound = |to: &str| {
        cluster.kubectl(&["create", "token", "deployer", "--bound-object-kind=Secret", "--bound-object-name", to])
    };
    let token = cluster.write("token", &bound("first"));
    let asked = cluster.write("asked", "");
    let plugin = cluster.write(
        "plugin",
        &format!(
            "echo x >>{}\nprintf '{{\"apiVersion\":\"client.authentication.k8s.io/v1\",\"kind\":\"ExecCredential\",\"status\":{{\"token\":\"%s\"}}}}' \"$(cat {})\"\n",
            asked.display(),
            token.display()
        ),
    );
    let kubeconfig = cluster.kubeconfig(&format!(
        "{{exec: {{apiVersion: client.authentication.k8s.io/v1, command: sh, args: ['{}'], interactiveMode: Never}}}}",
        plugin.display()
    ));
    let times = || std::fs::read_to_string(&asked).expect("a file").lines().count();
    std::thread::scope(|scope| {
        let deploy = scope.spawn(|| {
            let mut command = cluster.command(&["deploy", "--image", &image("1")]);
            Cluster::run(command.env("KUBECONFIG", &kubeconfig))
        });
        cluster.at_gate();
        let before = times();
        cluster.write("token", &bound("second"));
        cluster.kubectl(&["delete", "secret", "first"]);
        until(Duration::from_mins(1), "the plugin was not asked again", || times() > before);
        cluster.open_gate();
        deploy.join().expect("crudctl").expect(0, &["changed=1"]);
    });
}

/// All rights that are missing are told at once, before anything is written; with just those it works.
#[test]
fn missing_rights_are_told_at_once() {
    if without_lab("missing_rights_are_told_at_once") {
        return;
    }
    let cluster = Cluster::up("few-rights");
    cluster.write("crudctl.yaml", &project(&cluster.namespace, 30105, ""));
    cluster.kubectl(&["create", "namespace", &cluster.namespace]);
    cluster.kubectl(&["create", "serviceaccount", "deployer"]);
    let account = format!("--serviceaccount={}:deployer", cluster.namespace);
    cluster.kubectl(&["create", "rolebinding", "look", "--clusterrole=view", &account]);
    let token = cluster.kubectl(&["create", "token", "deployer"]);
    let kubeconfig = cluster.kubeconfig(&format!("{{token: {}}}", token.trim()));
    let deploy = || {
        let mut command = cluster.command(&["deploy", "--image", &image("1")]);
        Cluster::run(command.env("KUBECONFIG", &kubeconfig))
    };
    let before = cluster.picture();
    let parts = [
        "lacks rights in the namespace few-rights",
        "patch deployments.apps",
        "create secrets",
        "create leases.coordination.k8s.io",
        "delete poddisruptionbudgets.policy",
    ];
    deploy().expect(2, &parts);
    assert_eq!(before, cluster.picture(), "something was written");
    cluster.write("role.yml", ROLE);
    cluster.kubectl(&["apply", "-f", "role.yml"]);
    cluster.kubectl(&["create", "rolebinding", "deploy", "--role=deployer", &account]);
    deploy().expect(0, &["changed=1"]);
    deploy().expect(0, &["changed=0"]);
}

/// As docs/kubernetes.md has it.
const ROLE: &str = "
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: deployer}
rules:
- apiGroups: ['']
  resources: [configmaps, secrets, services, serviceaccounts, persistentvolumeclaims]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [apps]
  resources: [deployments, statefulsets]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [networking.k8s.io, policy, autoscaling]
  resources: [ingresses, networkpolicies, poddisruptionbudgets, horizontalpodautoscalers]
  verbs: [get, list, create, patch, delete]
- apiGroups: [coordination.k8s.io]
  resources: [leases]
  verbs: [get, create, patch, delete]
- apiGroups: ['', apps]
  resources: [pods, pods/log, events, replicasets]
  verbs: [get, list, watch]
";

/// Fields that can't be changed are explained; `--replace` makes the objects anew, and never one that holds data.
#[test]
fn what_cannot_be_changed_is_replaced() {
    if without_lab("what_cannot_be_changed_is_replaced") {
        return;
    }
    let cluster = Cluster::up("replaced");
    cluster.gated(60);
    let deploy = |more: &[&str]| cluster.crudctl(&[&["deploy", "--image", &image("1")], more].concat());
    let volume = "apiVersion: v1\nkind: PersistentVolume\nmetadata: {name: replaced}\nspec: {capacity: {storage: 1Gi}, accessModes: [ReadWriteOnce], \
                  storageClassName: lab, hostPath: {path: /nowhere}, claimRef: {name: kept, namespace: replaced}}\n";
    cluster.write("volume.yml", volume);
    cluster.kubectl(&["apply", "-f", "volume.yml"]);
    let objects = IMMUTABLE.replace("IMAGE", &image("1"));
    cluster.template(&objects);
    deploy(&[]).expect(0, &["changed=1"]);
    let changed = objects
        .replace("app: one", "app: two")
        .replace("clusterIP: None", "type: ClusterIP")
        .replace("[get, one]", "[lookup, two]");
    cluster.template(&changed);
    deploy(&[]).expect(2, &["immutable", "`deploy --replace` removes the object and makes it again"]);
    deploy(&["--replace"]).expect(0, &["changed=1"]);
    deploy(&[]).expect(0, &["changed=0"]);
    let selector = cluster.kubectl(&["get", "deployment", "web", "-o", "jsonpath={.spec.selector.matchLabels.app}"]);
    assert_eq!(selector, "two");
    cluster.template(&changed.replace("storageClassName: lab", "storageClassName: other"));
    deploy(&["--replace"]).expect(2, &["PersistentVolumeClaim replaced/kept", "its data would go with it"]);
    cluster.kubectl(&["delete", "persistentvolume", "replaced", "--wait=false"]);
}

const IMMUTABLE: &str = "
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  selector: {matchLabels: {app: one}}
  template:
    metadata: {labels: {app: one}}
    spec: {terminationGracePeriodSeconds: 0, containers: [{name: app, image: 'IMAGE'}]}
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {clusterIP: None, selector: {app: one}, ports: [{port: 80}]}
---
apiVersion: batch/v1
kind: Job
metadata: {name: once}
spec:
  suspend: true
  template: {spec: {restartPolicy: Never, containers: [{name: app, image: 'IMAGE', args: [get, one]}]}}
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: kept}
spec: {accessModes: [ReadWriteOnce], storageClassName: lab, volumeName: replaced, resources: {requests: {storage: 1Gi}}}
";

/// Pods on a node whose kubelet is gone: the report names it.
#[test]
fn a_node_that_is_not_ready_is_named() {
    if without_lab("a_node_that_is_not_ready_is_named") {
        return;
    }
    let cluster = Cluster::up("dead-node");
    cluster.gated(8);
    cluster.write("node.yml", "apiVersion: v1\nkind: Node\nmetadata: {name: dead-node}\nspec: {unschedulable: true}\n");
    cluster.kubectl(&["apply", "-f", "node.yml"]);
    let lost = "{\"status\":{\"conditions\":[{\"type\":\"Ready\",\"status\":\"Unknown\",\"message\":\"Kubelet stopped posting node status.\"}]}}";
    cluster.kubectl(&["patch", "node", "dead-node", "--subresource=status", "--type=strategic", "-p", lost]);
    cluster.template(
        "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: shop}\nspec:\n  selector: {matchLabels: {app: shop}}\n  template:\n    \
         metadata: {labels: {app: shop}}\n    spec: {nodeName: dead-node, tolerations: [{operator: Exists}], containers: [{name: app, image: '{{ image }}'}]}\n",
    );
    let said = cluster.crudctl(&["deploy", "--image", &image("1")]);
    cluster.kubectl(&["delete", "node", "dead-node"]);
    said.expect(2, &["waited 8 s", "its node dead-node is NotReady: Kubelet stopped posting", "nothing starts there"]);
}

/// Names that would lead elsewhere are refused; values arrive as they are.
#[test]
fn hostile_names_and_values() {
    if without_lab("hostile_names_and_values") {
        return;
    }
    let cluster = Cluster::up("hostile");
    let project = |namespace: &str, name: &str| {
        format!(
            "name: {name}\nservice: {{health: /healthz, env: {{DATABASE_URL: 'postgres://x/y', ODD: VALUE}}}}\nkubernetes: {{namespace: {namespace}, timeout: 60, replicas: 1}}\n"
        )
    };
    for (namespace, name) in [
        ("'../kube-system'", "shop"),
        ("'hostile?x=y'", "shop"),
        ("'a b'", "shop"),
        ("hostile", "'../shop'"),
        ("hostile", "'$(id)'"),
    ] {
        cluster.write("crudctl.yaml", &project(namespace, name).replace("VALUE", "x"));
        let said = cluster.crudctl(&["deploy", "--image", &image("1")]);
        assert!(said.status != Some(0), "{namespace} {name}: {said}");
    }
    cluster.write("crudctl.yaml", &project("hostile", "shop").replace("VALUE", "x"));
    for odd in ["a b", "x\ny: z", "x'\"}", "../x"] {
        let said = cluster.crudctl(&["deploy", "--no-rollback", "--image", odd]);
        assert!(said.status != Some(0), "{odd:?}: {said}");
    }
    let value = "\"quote\\\" 'single' $(HOSTNAME) ${PATH} `id` %s \\n \u{e9}: [a, #b] &c *d !e\"";
    cluster.write("crudctl.yaml", &project("hostile", "shop").replace("VALUE", value));
    cluster.crudctl(&["deploy", "--image", &image("1")]).expect(0, &["changed=1"]);
    let seen = cluster.kubectl(&["get", "configmap", "shop", "-o", "jsonpath={.data.ODD}"]);
    assert_eq!(seen, "quote\" 'single' $(HOSTNAME) ${PATH} `id` %s \n \u{e9}: [a, #b] &c *d !e");
}
