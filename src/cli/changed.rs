//! Which images a change is about.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context as _;

/// Files below `folder` that differ from a revision, committed or not, new ones included; relative to `folder`.
///
/// # Errors
/// It is in no git repository, or the revision is not known.
pub(super) fn files(folder: &Path, revision: &str) -> anyhow::Result<Vec<PathBuf>> {
    let differ = git(folder, &["diff", "--name-only", "--relative", "-z", "--end-of-options", revision, "--"])?;
    let new = git(folder, &["ls-files", "--others", "--exclude-standard", "-z"])?;
    Ok(differ.split('\0').chain(new.split('\0')).filter(|path| !path.is_empty()).map(PathBuf::from).collect())
}

/// Whether one of `files` is one of `paths`, or below it.
pub(super) fn concerns(files: &[PathBuf], paths: &[PathBuf]) -> bool {
    files.iter().any(|file| paths.iter().any(|path| file.starts_with(path.strip_prefix(".").unwrap_or(path))))
}

fn git(folder: &Path, arguments: &[&str]) -> anyhow::Result<String> {
    let output = Command::new("git").arg("-C").arg(folder).args(arguments).env("LC_ALL", "C").output();
    let output = output.context("cannot run git")?;
    let said = String::from_utf8_lossy(&output.stderr);
    anyhow::ensure!(output.status.success(), "git can't tell what changed: {}", said.trim());
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_for_all_below_it() {
        let files = [PathBuf::from("server/src/main.rs")];
        for (path, concerned) in
            [("server", true), (".", true), ("./server/src", true), ("serv", false), ("web", false)]
        {
            assert_eq!(concerns(&files, &[path.into()]), concerned, "{path}");
        }
    }
}
