//! A dockerd with a containerd of its own, one for each test: behind a socket and, with TLS, a port of the loopback. All of it goes with the test.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;

use crate::lab::until;
use crate::server::run;

/// An engine that runs.
pub(crate) struct Engine {
    dockerd: Child,
    containerd: Child,
    bridge: String,
    pub(crate) port: u16,
    folder: TempDir,
}

impl Engine {
    pub(crate) fn start() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let at = |name: &str| folder.path().join(name).display().to_string();
        certificates(folder.path());
        let config = format!(
            "version = 2\nroot = \"{}\"\nstate = \"{}\"\ndisabled_plugins = [\"io.containerd.grpc.v1.cri\"]\n[grpc]\naddress = \"{}\"\n",
            at("c/root"),
            at("c/state"),
            at("containerd.sock")
        );
        std::fs::write(at("containerd.toml"), config).expect("written");
        let log = |name: &str| std::fs::File::create(folder.path().join(name)).expect("a log");
        let mut containerd = Command::new("containerd");
        containerd.args(["--config", &at("containerd.toml")]).stdout(Stdio::null()).stderr(log("containerd.log"));
        let containerd = containerd.spawn().expect("containerd (tests/run installs it)");
        let port = TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a port").port();
        // An engine of its own has a bridge of its own.
        let bridge = format!("crud{port}");
        run(Command::new("ip").args(["link", "add", &bridge, "type", "bridge"]));
        run(Command::new("ip").args(["addr", "add", &format!("10.78.{}.1/24", port % 256), "dev", &bridge]));
        run(Command::new("ip").args(["link", "set", &bridge, "up"]));
        until(Duration::from_secs(20), "containerd does not listen", || Path::new(&at("containerd.sock")).exists());
        let mut dockerd = Command::new("dockerd");
        dockerd
            .args(["--containerd", &at("containerd.sock"), "--data-root", &at("data"), "--exec-root", &at("exec")])
            .args(["--pidfile", &at("pid"), "--bridge", &bridge, "--iptables=false", "--ip-masq=false"])
            .args(["--host", &format!("unix://{}", at("docker.sock"))])
            .args(["--host", &format!("tcp://127.0.0.1:{port}"), "--tlsverify"])
            .args(["--tlscacert", &at("tls/ca.pem"), "--tlscert", &at("server.pem"), "--tlskey", &at("server.key")])
            .stdout(Stdio::null())
            .stderr(log("dockerd.log"));
        let dockerd = dockerd.spawn().expect("dockerd (tests/run installs it)");
        let engine = Self { dockerd, containerd, bridge, port, folder };
        let answers = || engine.command(&["version"]).output().is_ok_and(|output| output.status.success());
        until(
            Duration::from_mins(1),
            &format!("dockerd does not answer: {}", engine.path("dockerd.log").display()),
            answers,
        );
        engine
    }

    /// A file in its folder.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// `unix://…`.
    pub(crate) fn address(&self) -> String {
        format!("unix://{}", self.path("docker.sock").display())
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("/usr/bin/docker");
        command.args(["--host", &self.address()]).args(arguments).env_remove("DOCKER_CONTEXT");
        command
    }

    /// What Docker's own client says.
    pub(crate) fn docker(&self, arguments: &[&str]) -> String {
        run(&mut self.command(arguments))
    }

    /// What containerd's own client says.
    pub(crate) fn ctr(&self, arguments: &[&str]) -> String {
        let socket = self.path("containerd.sock");
        run(Command::new("ctr").arg("--address").arg(socket).args(arguments))
    }

    /// A small image with busybox under a name; `scripts` are programs in its `/usr/bin`.
    pub(crate) fn base(&self, name: &str, scripts: &[(&str, &str)]) {
        let tar = standin(scripts);
        self.docker(&["import", &tar.path().display().to_string(), name]);
    }
}

/// The files of a small image as a tar, in place of a base image from elsewhere.
pub(crate) fn standin(scripts: &[(&str, &str)]) -> tempfile::NamedTempFile {
    let root = tempfile::tempdir().expect("a folder");
    for folder in ["bin", "usr/bin", "etc", "tmp", "proc", "dev", "sys"] {
        std::fs::create_dir_all(root.path().join(folder)).expect("a folder");
    }
    std::fs::copy("/bin/busybox", root.path().join("bin/busybox")).expect("busybox (tests/run installs it)");
    for applet in ["sh", "cat", "echo", "find", "sleep", "test", "true"] {
        std::os::unix::fs::symlink("busybox", root.path().join("bin").join(applet)).expect("a link");
    }
    for (program, text) in scripts {
        let path = root.path().join("usr/bin").join(program);
        std::fs::write(&path, format!("#!/bin/sh\n{text}\n")).expect("written");
        run(Command::new("chmod").arg("755").arg(&path));
    }
    let tar = tempfile::NamedTempFile::with_suffix(".tar").expect("a file");
    run(Command::new("tar").arg("-C").arg(root.path()).arg("-cf").arg(tar.path()).arg("."));
    tar
}

impl Drop for Engine {
    fn drop(&mut self) {
        for process in [&mut self.dockerd, &mut self.containerd] {
            let _ = Command::new("kill").arg(process.id().to_string()).status();
            let _ = process.wait();
        }
        let _ = Command::new("ip").args(["link", "del", &self.bridge]).status();
    }
}

/// `tls/{ca,cert,key}.pem` for clients, `server.{pem,key}` for the engine.
fn certificates(folder: &Path) {
    std::fs::create_dir(folder.join("tls")).expect("a folder");
    let openssl = |arguments: &str| {
        run(Command::new("openssl").current_dir(folder).args(arguments.split(' ')));
    };
    let key = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes";
    openssl(&format!("req -x509 {key} -days 2 -subj /CN=ca -keyout ca.key -out tls/ca.pem"));
    std::fs::write(folder.join("server.ext"), "subjectAltName=IP:127.0.0.1\n").expect("written");
    std::fs::write(folder.join("client.ext"), "extendedKeyUsage=clientAuth\n").expect("written");
    for (who, key_out, out) in [("server", "server.key", "server.pem"), ("client", "tls/key.pem", "tls/cert.pem")] {
        openssl(&format!("req {key} -subj /CN={who} -keyout {key_out} -out {who}.csr"));
        openssl(&format!(
            "x509 -req -in {who}.csr -CA tls/ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile {who}.ext -out {out}"
        ));
    }
}
