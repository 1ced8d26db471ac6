//! The lab's cluster: started by the first test that needs it, ended by the last.

use std::path::PathBuf;
use std::process::{Command, Output};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

/// How many tests use the cluster.
static USERS: Mutex<usize> = Mutex::new(0);
/// Where its images are.
pub(crate) const REGISTRY: &str = "127.0.0.1:5000";

/// The cluster, and a folder and a namespace of the test's own.
pub(crate) struct Cluster {
    folder: TempDir,
    pub(crate) namespace: String,
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

fn lab() -> PathBuf {
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
        let mut users = USERS.lock().unwrap_or_else(PoisonError::into_inner);
        if *users == 0 {
            script("kube-up");
            for (tag, arguments) in [("1", "serve"), ("2", "serve 2"), ("crash", "crash"), ("eat", "eat")] {
                image(tag, arguments);
            }
        }
        *users += 1;
        Self { folder: tempfile::tempdir().expect("a folder"), namespace: namespace.into() }
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        std::fs::write(self.folder.path().join(name), text).expect("written");
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_crudctl"));
        command.current_dir(self.folder.path()).args(arguments).args(["--output", "plain"]);
        command.env("KUBECONFIG", lab().join("admin.kubeconfig")).env("DB_PASSWORD", "never-shown-7f3a");
        command
    }

    pub(crate) fn crudctl(&self, arguments: &[&str]) -> Said {
        Said::of(&self.command(arguments).output().expect("crudctl"))
    }

    pub(crate) fn kubectl(&self, arguments: &[&str]) -> String {
        let mut command = Command::new(lab().join("bin/kubectl"));
        command.env("KUBECONFIG", lab().join("admin.kubeconfig")).current_dir(self.folder.path());
        let said = Said::of(&command.args(["-n", &self.namespace]).args(arguments).output().expect("kubectl"));
        assert!(said.status == Some(0), "kubectl {arguments:?}: {said}");
        said.text
    }

    pub(crate) fn json(&self, arguments: &[&str]) -> Value {
        serde_json::from_str(&self.kubectl(&[arguments, &["-o", "json"]].concat())).expect("JSON")
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
        *users -= 1;
        if *users == 0 {
            script("kube-down");
        } else {
            self.kubectl(&["delete", "namespace", &self.namespace, "--ignore-not-found", "--wait=false"]);
        }
    }
}
