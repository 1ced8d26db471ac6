//! The lab, for tests.

use std::process::Command;

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
