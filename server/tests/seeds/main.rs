//! The services of the seeds, each as its seed documents it, against the real binary on the seed's own kind of database.

#[path = "../common/mod.rs"]
mod common;
mod employees;
mod hardware;
mod passengers;
mod reversed;

use std::process::Command;

use common::Server;

/// Runs `curl` as the seeds' readers do: the status and the body.
fn curl(server: &Server, arguments: &[&str], path: &str) -> (u16, String) {
    let output = Command::new("curl")
        .args(["--silent", "--show-error", "--write-out", "\n%{http_code}"])
        .args(arguments)
        .arg(format!("http://{}{path}", server.at))
        .output()
        .expect("curl is missing: install the Debian package `curl`");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    let (body, status) = text.rsplit_once('\n').expect("a status");
    (status.parse().expect("a status"), body.to_owned())
}
