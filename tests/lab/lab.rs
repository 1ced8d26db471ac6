//! The lab, for tests.

use std::process::Command;
use std::time::{Duration, Instant};

/// Runs a command of the lab.
pub(crate) fn lab(arguments: &[&str]) -> String {
    let output = Command::new("tests/lab/lab").args(arguments).output().expect("tests/lab/lab");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "lab {arguments:?}: {}{}", text(&output.stdout), text(&output.stderr));
    text(&output.stdout)
}

/// Whether there is no lab; says so.
pub(crate) fn without_lab(test: &str) -> bool {
    let skip = std::env::var_os("CRUDCTL_NO_LAB").is_some();
    if skip {
        use std::io::Write as _;
        let _ = writeln!(std::io::stderr(), "SKIPPED {test}: no lab");
    }
    skip
}

/// Waits until something holds; fails, with `what` was the matter, where that takes longer than `limit`.
pub(crate) fn until(limit: Duration, what: &str, mut holds: impl FnMut() -> bool) {
    let since = Instant::now();
    while !holds() {
        assert!(since.elapsed() < limit, "{what}");
        std::thread::sleep(Duration::from_millis(100));
    }
}
