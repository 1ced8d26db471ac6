//! `k8s` and `k8s_info`, with the seeds' own manifests and tasks.

use crate::cluster::{Cluster, REGISTRY};
use crate::lab::without_lab;

/// The tasks of seed 004: a namespace, a Deployment of three with a liveness probe, a ClusterIP Service.
const TASKS: &str = "
- name: Deploy AWS infrastructure and code
  hosts: localhost
  connection: local
  gather_facts: false
  tasks:
    - name: Create namespace
      kubernetes.core.k8s: {name: NAMESPACE, api_version: v1, kind: Namespace, state: present}
    - name: Create Deployment
      kubernetes.core.k8s: {state: present, src: deployment.yml, wait: true}
    - name: Create Service
      kubernetes.core.k8s:
        state: present
        definition:
          apiVersion: v1
          kind: Service
          metadata: {name: flask-service, namespace: NAMESPACE}
          spec: {selector: {app: flask-api}, ports: [{protocol: TCP, port: 5000, targetPort: 8080}]}
    - kubernetes.core.k8s_info: {kind: Pod, namespace: NAMESPACE, label_selectors: [app=flask-api]}
      register: pods
      until: pods.resources | length == 3 or ansible_check_mode
    - debug: {msg: \"{{ pods.resources | length }} pods\"}
";

const DEPLOYMENT: &str = "
apiVersion: apps/v1
kind: Deployment
metadata: {name: flask-api, namespace: NAMESPACE}
spec:
  replicas: 3
  selector: {matchLabels: {app: flask-api}}
  template:
    metadata: {labels: {app: flask-api}}
    spec:
      containers:
      - name: flask-api
        image: IMAGE
        ports: [{containerPort: 8080}]
        livenessProbe: {httpGet: {path: /healthz, port: 8080}, initialDelaySeconds: 3, periodSeconds: 3}
";

#[test]
fn seed_004_runs_twice() {
    if without_lab("seed_004_runs_twice") {
        return;
    }
    let cluster = Cluster::up("flask-api");
    cluster.write("play.yml", &TASKS.replace("NAMESPACE", &cluster.namespace));
    let image = format!("{REGISTRY}/web:1");
    cluster.write("deployment.yml", &DEPLOYMENT.replace("NAMESPACE", &cluster.namespace).replace("IMAGE", &image));
    cluster.crudctl(&["run", "play.yml", "--check"]).expect(0, &["changed=3"]);
    assert!(!cluster.kubectl(&["get", "namespaces"]).contains("flask-api"), "check mode made something");
    cluster.crudctl(&["run", "play.yml"]).expect(0, &["changed=3", "3 pods"]);
    let before = cluster.picture();
    cluster.crudctl(&["run", "play.yml"]).expect(0, &["changed=0", "3 pods"]);
    assert_eq!(before, cluster.picture(), "nothing to do, and something was written");
}

/// Seed 000's Deployment and Service and seed 001's Ingress, as they stand in their texts.
#[test]
fn manifests_of_seeds_000_and_001_apply() {
    if without_lab("manifests_of_seeds_000_and_001_apply") {
        return;
    }
    let cluster = Cluster::up("python-crud-api");
    cluster.kubectl(&["create", "namespace", "python-crud-api"]);
    cluster.write("flask.yml", FLASK);
    cluster.write("ingress.yml", INGRESS);
    cluster.write(
        "play.yml",
        "- hosts: localhost\n  connection: local\n  gather_facts: false\n  tasks:\n    - k8s: {src: flask.yml, namespace: python-crud-api, apply: true}\n    \
         - k8s: {src: ingress.yml, api_version: networking.k8s.io/v1}\n",
    );
    cluster.crudctl(&["run", "play.yml"]).expect(0, &["changed=2"]);
    cluster.crudctl(&["run", "play.yml"]).expect(0, &["changed=0"]);
    // Another writer owns a field now: it is named, and nothing is taken from it.
    cluster.write(
        "theirs.yml",
        "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: flask-app-2}\nspec: {replicas: 2}\n",
    );
    cluster.kubectl(&["apply", "--server-side", "--validate=false", "--field-manager=autoscaler", "-f", "theirs.yml"]);
    cluster.write(
        "flask.yml",
        &FLASK.replace("spec:\n  selector:\n    matchLabels", "spec:\n  replicas: 3\n  selector:\n    matchLabels"),
    );
    cluster.crudctl(&["run", "play.yml"]).expect(2, &[".spec.replicas", "autoscaler", "force_conflicts"]);
}

const FLASK: &str = "\
apiVersion: apps/v1
kind: Deployment
metadata:
  name: flask-app-2
spec:
  selector:
    matchLabels:
      app: flask-app-2
  template:
    metadata:
      labels:
        app: flask-app-2
    spec:
      containers:
        - name: flask-app-2
          image: appan/flask-app-2
          resources:
            requests:
              memory: \"64Mi\"
              cpu: \"100m\"
            limits:
              memory: \"128Mi\"
              cpu: \"500m\"
          ports:
            - containerPort: 5000
          env:
            - name: DB_USERNAME
              value: dev
            - name: DB_URL
              value: host.minikube.internal
---
apiVersion: v1
kind: Service
metadata:
  name: flask-svc
spec:
  selector:
    app: flask-app-2
  type: NodePort
  ports:
  - port: 5000
    targetPort: 5000
    nodePort: 30000
";

const INGRESS: &str = "\
kind: Ingress
metadata:
  name: pycrudapi
  namespace: python-crud-api
spec:
  ingressClassName: nginx
  rules:
  - host: pycrudapi.dev.yourdomain.com
    http:
      paths:
      - path: /
        pathType: Prefix
        backend:
          service:
            name: pycrudapi
            port:
              number: 80
";
