//! What a source tree calls itself: the commit, its time, and the tag `BRANCH-SHA` that images of it get.

use std::path::Path;
use std::process::Stdio;

use anyhow::{Context, Result, bail};
use tokio::process::Command;

/// Digits of the commit in a tag.
const SHORT: usize = 7;

/// The state of a git work tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revision {
    /// The commit, 40 digits.
    pub commit: String,
    /// Its committer's time, in seconds since the epoch.
    pub time: i64,
    /// The branch; on a detached head, as CI checks out, the one that CI names, else none.
    pub branch: Option<String>,
    /// Whether the tree differs from the commit: a tracked file anywhere, or a new one below the folder that was asked about.
    pub dirty: bool,
    /// Where `origin` is, without credentials; none for a folder of this machine, which would make the same commit another image elsewhere.
    pub source: Option<String>,
}

impl Revision {
    /// Asks git about the work tree that `folder` is in. `None` where it is in none, or in one without a commit.
    pub async fn of(folder: &Path) -> Result<Option<Self>> {
        let Some(log) = git(folder, &["log", "-1", "--format=%H %ct"]).await? else { return Ok(None) };
        let (commit, time) = log.split_once(' ').context("`git log` answered in an unknown form")?;
        let status = git(folder, &["status", "--porcelain", "--untracked-files=no"]).await?.unwrap_or_default();
        let untracked =
            git(folder, &["ls-files", "--others", "--exclude-standard", "--", "."]).await?.unwrap_or_default();
        let branch = git(folder, &["symbolic-ref", "--quiet", "--short", "HEAD"]).await?;
        let source = git(folder, &["config", "--get", "remote.origin.url"]).await?;
        Ok(Some(Self {
            commit: commit.to_owned(),
            time: time.parse().context("`git log` answered in an unknown form")?,
            branch: branch.or_else(|| branch_of_ci(|name| std::env::var(name).ok())),
            dirty: !(status.is_empty() && untracked.is_empty()),
            source: source.filter(|url| is_remote(url)).map(|url| without_credentials(&url)),
        }))
    }

    /// `BRANCH-SHA`, and `-dirty` where the tree differs from the commit; only the commit where no branch is known.
    pub fn tag(&self) -> String {
        let short = &self.commit[..SHORT.min(self.commit.len())];
        let dirty = if self.dirty { "-dirty" } else { "" };
        let branch = slug(self.branch.as_deref().unwrap_or_default());
        // A tag has at most 128 characters, and the commit is the part that must not be cut.
        let room = 128 - short.len() - dirty.len() - 1;
        let branch = branch[..branch.len().min(room)].trim_end_matches(['-', '.', '_']);
        if branch.is_empty() { format!("{short}{dirty}") } else { format!("{branch}-{short}{dirty}") }
    }
}

/// Lower case, `[a-z0-9._-]` only, each run of other characters one `-`, no separator at either end.
pub fn slug(text: &str) -> String {
    let mut slug = String::new();
    for character in text.chars().flat_map(char::to_lowercase) {
        if character.is_ascii_alphanumeric() || matches!(character, '.' | '_') {
            slug.push(character);
        } else if !slug.ends_with('-') {
            slug.push('-');
        }
    }
    slug.trim_matches(['-', '.', '_']).to_owned()
}

/// CI systems check out a commit, not a branch, and say the branch in the environment.
fn branch_of_ci(variable: impl Fn(&str) -> Option<String>) -> Option<String> {
    const NAMES: [&str; 5] =
        ["GITHUB_HEAD_REF", "GITHUB_REF_NAME", "CI_COMMIT_REF_NAME", "BITBUCKET_BRANCH", "BRANCH_NAME"];
    NAMES.iter().filter_map(|name| variable(name)).find(|branch| !branch.is_empty())
}

/// As git tells an address from a folder: by a scheme, or by a colon before the first slash.
fn is_remote(url: &str) -> bool {
    match url.split_once("://") {
        Some((scheme, _)) => scheme != "file",
        None => url.split('/').next().is_some_and(|first| first.contains(':')),
    }
}

/// `https://user:token@host/path` may hold a token, which must not end in a label.
fn without_credentials(url: &str) -> String {
    match url.split_once("://") {
        Some((scheme, rest)) => {
            let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
            let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
            format!("{scheme}://{host}/{path}").trim_end_matches('/').to_owned()
        }
        None => url.to_owned(),
    }
}

/// Runs git in `folder`. `None` when git is missing, refuses, or prints nothing that matters (exit status not 0).
/// A repository owned by somebody else makes git refuse; that is told, since a wrong tag would be the result.
async fn git(folder: &Path, arguments: &[&str]) -> Result<Option<String>> {
    let output = Command::new("git")
        .arg("-C")
        .arg(folder)
        .args(arguments)
        .env("LC_ALL", "C")
        .env("GIT_OPTIONAL_LOCKS", "0")
        .stdin(Stdio::null())
        .output()
        .await;
    let output = match output {
        Ok(output) => output,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error).context("cannot run git"),
    };
    let errors = String::from_utf8_lossy(&output.stderr);
    if errors.contains("dubious ownership") {
        bail!("git refuses to read {}: it belongs to another user\n{}", folder.display(), errors.trim());
    }
    Ok(output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim_end().to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(folder: &Path, arguments: &[&str]) {
        let status = std::process::Command::new("git")
            .arg("-C")
            .arg(folder)
            .args(["-c", "user.name=t", "-c", "user.email=t@example.org"])
            .args(arguments)
            .env("GIT_COMMITTER_DATE", "1700000000 +0000")
            .stdout(Stdio::null())
            .status()
            .unwrap();
        assert!(status.success(), "{arguments:?}");
    }

    #[tokio::test]
    async fn a_work_tree_is_described_from_commit_to_dirt() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        assert_eq!(Revision::of(path).await.unwrap(), None);
        run(path, &["init", "-q", "-b", "feature/Über-Nice"]);
        assert_eq!(Revision::of(path).await.unwrap(), None, "no commit yet");
        std::fs::write(path.join("a"), "1").unwrap();
        run(path, &["add", "a"]);
        run(path, &["commit", "-q", "-m", "a"]);
        run(path, &["remote", "add", "origin", "https://me:secret@example.org/a.git"]);
        let clean = Revision::of(path).await.unwrap().unwrap();
        assert_eq!((clean.time, clean.dirty), (1_700_000_000, false));
        assert_eq!(clean.source.as_deref(), Some("https://example.org/a.git"));
        assert_eq!(clean.tag(), format!("feature-ber-nice-{}", &clean.commit[..7]));
        std::fs::write(path.join("b"), "new").unwrap();
        assert!(Revision::of(path).await.unwrap().unwrap().tag().ends_with("-dirty"));
        std::fs::remove_file(path.join("b")).unwrap();
        std::fs::write(path.join("a"), "2").unwrap();
        assert!(Revision::of(path).await.unwrap().unwrap().dirty);
    }

    #[test]
    fn a_folder_is_no_source() {
        for (url, remote) in [
            ("https://example.org/a.git", true),
            ("git@example.org:team/a.git", true),
            ("/srv/a", false),
            ("../a:b", false),
            ("file:///srv/a", false),
        ] {
            assert_eq!(is_remote(url), remote, "{url}");
        }
    }

    #[test]
    fn slugs_are_valid_tags() {
        for (text, expected) in [("main", "main"), ("a//b__c", "a-b__c"), ("-.x.-", "x"), ("Ünï", "n"), ("", "")] {
            assert_eq!(slug(text), expected, "{text}");
        }
    }

    #[test]
    fn a_long_branch_is_cut_and_the_commit_kept() {
        let commit = "0123456789".repeat(4);
        let branch = Some("b".repeat(300));
        let revision = Revision { commit, time: 0, branch, dirty: true, source: None };
        assert_eq!(revision.tag().len(), 128);
        assert!(revision.tag().ends_with("-0123456-dirty"));
    }

    #[test]
    fn ci_names_the_branch_of_a_detached_head() {
        let github = |name: &str| (name == "GITHUB_REF_NAME").then(|| "main".to_owned());
        assert_eq!(branch_of_ci(github).as_deref(), Some("main"));
        assert_eq!(branch_of_ci(|_| None), None);
    }
}
