//! The bundled server as its image holds it: how large, how soon ready, how much memory while nobody asks.
//!
//! Builds the image for real, which takes minutes the first time; `tests/up` builds it anyway. With `CRUDCTL_NO_LAB` set it says that it
//! was skipped.

#[path = "lab/lab.rs"]
#[expect(dead_code, reason = "only whether there is a lab matters here")]
mod lab;

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

#[test]
fn small_soon_ready_and_modest() {
    if lab::without_lab("small_soon_ready_and_modest") {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let project = format!("name: shipped\nimage: {{build: {{cargo: {}/server}}}}\n", env!("CARGO_MANIFEST_DIR"));
    std::fs::write(folder.path().join("crudctl.yaml"), project).expect("written");
    let mut build = Command::new(env!("CARGO_BIN_EXE_crudctl"));
    build.current_dir(folder.path()).args(["build-push", "--no-push", "--to", "layout", "--output", "plain"]);
    let built = build.output().expect("crudctl");
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));

    let (root, size) = unpack(&folder.path().join("layout"), &folder.path().join("root"));
    assert!(size <= 15_000_000, "the image takes {size} bytes, unpacked");

    let program = root.join("usr/local/bin/crud-server");
    // The best of several: other work on the machine can make a start slow, but none quick.
    let mut soonest = Duration::MAX;
    for n in 0..20 {
        let server = Server::start(&program, &folder.path().join(format!("{n}.db")));
        soonest = soonest.min(server.ready_after);
        let memory = server.memory();
        assert!(memory <= 20_000_000, "{memory} bytes of memory while idle");
        if soonest <= Duration::from_millis(100) {
            return;
        }
    }
    panic!("ready after {soonest:?} at the soonest");
}

/// Unpacks the one image of an OCI layout; answers the folder and the bytes of its files.
fn unpack(layout: &Path, root: &Path) -> (PathBuf, u64) {
    let blob = |descriptor: &Value| {
        let digest = descriptor["digest"].as_str().expect("a digest").replace(':', "/");
        std::fs::read(layout.join("blobs").join(digest)).expect("a blob")
    };
    let json = |bytes: &[u8]| serde_json::from_slice::<Value>(bytes).expect("JSON");
    let index = json(&std::fs::read(layout.join("index.json")).expect("an index"));
    let manifest = json(&blob(&index["manifests"][0]));
    std::fs::create_dir(root).expect("a folder");
    let mut size = 0;
    for layer in manifest["layers"].as_array().expect("layers") {
        let bytes = blob(layer);
        let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(bytes.as_slice()));
        for entry in archive.entries().expect("a tar") {
            let mut entry = entry.expect("an entry");
            size += entry.size();
            entry.unpack_in(root).expect("unpacked");
        }
    }
    (root.to_owned(), size)
}

/// A started server. Killed when dropped.
struct Server {
    child: Child,
    /// From its start to its line "ready".
    ready_after: Duration,
}

impl Server {
    fn start(program: &Path, database: &Path) -> Self {
        let mut command = Command::new(program);
        command.env_clear().env("BIND", "127.0.0.1").env("PORT", "0");
        command.env("DATABASE_URL", format!("sqlite://{}", database.display()));
        let started = Instant::now();
        let mut child = command.stderr(Stdio::piped()).spawn().expect("it starts");
        let mut lines = BufReader::new(child.stderr.take().expect("piped")).lines();
        let ready = lines.any(|line| line.expect("a line").contains("\"ready\""));
        let ready_after = started.elapsed();
        assert!(ready, "it ended before it was ready");
        Self { child, ready_after }
    }

    /// Resident bytes.
    fn memory(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("it runs");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("VmRSS");
        let kilobytes: u64 = line.trim().trim_end_matches(" kB").parse().expect("a number");
        kilobytes * 1024
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.child.kill().expect("it runs");
        self.child.wait().expect("waited");
    }
}
