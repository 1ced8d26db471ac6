//! The lab's cluster: started by the first test that needs it, ended by the last, of this process or another.

use std::fs::File;
use std::path::PathBuf;
use std::process::{Command, Output};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

/// How many tests use the cluster, and the lock by which other processes see that some do.
static USERS: Mutex<(usize, Option<File>)> = Mutex::new((0, None));
/// Where its images are.
pub(crate) const REGISTRY: &str = "127.0.0.1:5000";

/// The cluster, and a folder and a namespace of the test's own.
pub(crate) struct Cluster {
    folder: TempDir,
    pub(crate) namespace: String,
    /// Shared with those who use the API server, or not with those who restart it.
    _turn: File,
}

/// What a command said, both streams, its exit status, and when it ended.
pub(crate) struct Said {
    pub(crate) text: String,
    pub(crate) status: Option<i32>,
    pub(crate) at: Instant,
}

impl Said {
    pub(crate) fn expect(&self, status: i32, parts: &[&str]) {
        for part in parts {
            assert!(self.text.contains(part), "no `{part}`: {self}");
        }
        assert!(self.status == Some(status), "not {status}: {self}");
    }

    fn of(output: &Output) -> Self {
        let text = [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes).into_owned()).concat();
        Self { text, status: output.status.code(), at: Instant::now() }
    }
}

impl std::fmt::Display for Said {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "status {:?}\n{}", self.status, self.text)
    }
}

pub(crate) fn lab() -> PathBuf {
    let all = std::env::var_os("LAB_DIR").map_or_else(|| PathBuf::from("/var/cache/crudctl-lab"), PathBuf::from);
    std::env::var_os("KUBE_LAB_DIR").map_or_else(|| all.join("kube"), PathBuf::from)
}

fn script(name: &str) {
    let said = Said::of(&Command::new(format!("tests/lab/kube/{name}")).output().expect("the lab"));
    assert!(said.status == Some(0), "{name}: {said}");
}

/// Puts an image into the registry: the lab's small server with these arguments.
fn image(tag: &str, arguments: &str) {
    let (lab, image) = (lab().display().to_string(), format!("{REGISTRY}/web:{tag}"));
    let ctr = format!("ctr -a {lab}/containerd/c.sock -n k8s.io images");
    let text = format!(
        "set -e; {lab}/bin/kube image {image} {lab}/bin/app {arguments} | {ctr} import - ; {ctr} push --plain-http {image}; {ctr} rm {image}"
    );
    let said = Said::of(&Command::new("sh").args(["-c", &text]).output().expect("sh"));
    assert!(said.status == Some(0), "{said}");
}

impl Cluster {
    /// The cluster with a fresh namespace's name and an empty folder.
    pub(crate) fn up(namespace: &str) -> Self {
        Self::start(namespace, File::lock_shared)
    }

    /// The same, while no other test uses it.
    pub(crate) fn alone(namespace: &str) -> Self {
        Self::start(namespace, File::lock)
    }

    fn start(namespace: &str, take: fn(&File) -> std::io::Result<()>) -> Self {
        script("kube-build");
        let turn = File::open(lab().join("bin/app")).expect("the lab's binary");
        take(&turn).expect("a lock");
        let mut users = USERS.lock().unwrap_or_else(PoisonError::into_inner);
        if users.0 == 0 {
            let used = File::open(lab().join("bin")).expect("the lab's binaries");
            used.lock_shared().expect("a lock");
            let starting = File::open(lab().join("bin/kube")).expect("the lab's binary");
            starting.lock().expect("a lock");
            script("kube-up");
            users.1 = Some(used);
            for (tag, arguments) in [("1", "serve"), ("2", "serve 2"), ("crash", "crash"), ("eat", "eat")] {
                image(tag, arguments);
            }
        }
        users.0 += 1;
        Self { folder: tempfile::tempdir().expect("a folder"), namespace: namespace.into(), _turn: turn }
    }

    pub(crate) fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        std::fs::write(&path, text).expect("written");
        path
    }

    /// A kubeconfig whose user is this, as YAML.
    pub(crate) fn kubeconfig(&self, user: &str) -> PathBuf {
        let text = format!(
            "{{apiVersion: v1, kind: Config, current-context: c, clusters: [{{name: c, cluster: {{server: 'https://127.0.0.1:6443', \
             certificate-authority: {}}}}}], users: [{{name: u, user: {user}}}], contexts: [{{name: c, context: {{cluster: c, user: u}}}}]}}",
            lab().join("pki/ca.crt").display()
        );
        self.write("kubeconfig", &text)
    }

    /// Ends the API server, as a machine does that loses its power, and starts it again.
    pub(crate) fn restart_api_server(&self) {
        let id = std::fs::read_to_string(lab().join("run/kube-apiserver.pid")).expect("its pid file");
        let killed = Command::new("kill").args(["-KILL", id.trim()]).status().expect("kill");
        assert!(killed.success(), "it did not run");
        script("kube-up");
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_crudctl"));
        command.current_dir(self.folder.path()).args(arguments).args(["--output", "plain"]);
        command.env("KUBECONFIG", lab().join("admin.kubeconfig")).env("DB_PASSWORD", "never-shown-7f3a");
        command
    }

    pub(crate) fn crudctl(&self, arguments: &[&str]) -> Said {
        Self::run(&mut self.command(arguments))
    }

    pub(crate) fn run(command: &mut Command) -> Said {
        Said::of(&command.output().expect("crudctl"))
    }

    pub(crate) fn kubectl_command(&self) -> Command {
        let mut command = Command::new(lab().join("bin/kubectl"));
        command.env("KUBECONFIG", lab().join("admin.kubeconfig")).current_dir(self.folder.path());
        command
    }

    pub(crate) fn kubectl(&self, arguments: &[&str]) -> String {
        let mut command = self.kubectl_command();
        let said = Said::of(&command.args(["-n", &self.namespace]).args(arguments).output().expect("kubectl"));
        assert!(said.status == Some(0), "kubectl {arguments:?}: {said}");
        said.text
    }

    pub(crate) fn json(&self, arguments: &[&str]) -> Value {
        serde_json::from_str(&self.kubectl(&[arguments, &["-o", "json"]].concat())).expect("JSON")
    }

    /// A project whose pods are ready when `open_gate` says so.
    pub(crate) fn gated(&self, timeout: u64) {
        let project = "name: shop\nservice: {health: /healthz, env: {DATABASE_URL: 'postgres://x/y'}}\n\
                       kubernetes: {namespace: NAMESPACE, replicas: 1, timeout: TIMEOUT}\n";
        self.write(
            "crudctl.yaml",
            &project.replace("NAMESPACE", &self.namespace).replace("TIMEOUT", &timeout.to_string()),
        );
        self.template(
            "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: shop, namespace: '{{ kube.namespace }}'}\nspec:\n  selector: {matchLabels: {app: shop}}\n  \
             template:\n    metadata: {labels: {app: shop}}\n    spec:\n      readinessGates: [{conditionType: lab/open}]\n      \
             terminationGracePeriodSeconds: 1\n      containers: [{name: app, image: '{{ image }}'}]\n",
        );
    }

    /// The project's own Deployment, with what else it wants.
    pub(crate) fn template(&self, text: &str) {
        std::fs::create_dir_all(self.folder.path().join("templates/kubernetes")).expect("a folder");
        self.write("templates/kubernetes/deployment.yml", text);
    }

    /// Waits for the pods of `gated` to run.
    pub(crate) fn at_gate(&self) {
        crate::lab::until(Duration::from_secs(30), "no pod runs", || {
            self.kubectl(&["get", "pods", "-o", "jsonpath={..phase}"]).contains("Running")
        });
    }

    pub(crate) fn open_gate(&self) {
        let patch = "{\"status\":{\"conditions\":[{\"type\":\"lab/open\",\"status\":\"True\"}]}}";
        for pod in self.kubectl(&["get", "pods", "-o", "name"]).split_whitespace() {
            self.kubectl(&["patch", pod, "--subresource=status", "--type=strategic", "-p", patch]);
        }
    }

    /// What the namespace holds, and when crudctl wrote what of it.
    pub(crate) fn picture(&self) -> Vec<String> {
        let kinds = "deployment,service,secret,configmap,ingress,poddisruptionbudget,lease,serviceaccount";
        let all = self.json(&["get", kinds, "--show-managed-fields"]);
        let ours = |o: &Value| {
            let fields = o["metadata"]["managedFields"].as_array().cloned().unwrap_or_default();
            fields.into_iter().filter(|f| f["manager"] == "crudctl").collect::<Vec<_>>()
        };
        let line = |o: &Value| format!("{} {} {:?}", o["kind"], o["metadata"]["name"], ours(o));
        all["items"].as_array().expect("items").iter().map(line).collect()
    }

    /// When something is seen in the namespace's pods (asked five times a second), by a thread.
    pub(crate) fn seen(&self, what: fn(&Value) -> bool) -> Instant {
        let end = Instant::now() + Duration::from_mins(1);
        loop {
            let pods = self.json(&["get", "pods"]);
            if pods["items"].as_array().expect("pods").iter().any(what) {
                return Instant::now();
            }
            assert!(Instant::now() < end, "never seen: {pods}");
            std::thread::sleep(Duration::from_millis(200));
        }
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let mut users = USERS.lock().unwrap_or_else(PoisonError::into_inner);
        users.0 -= 1;
        // A test that failed is told about, not its cluster.
        let delete = ["delete", "namespace", &self.namespace, "--ignore-not-found", "--wait=false"];
        let _ = self.kubectl_command().args(delete).output();
        if users.0 > 0 {
            return;
        }
        let used = users.1.take().expect("it was taken");
        used.unlock().expect("unlocked");
        // Where others use the cluster, the last of them ends it.
        if used.try_lock().is_ok() {
            script("kube-down");
        }
    }
}
