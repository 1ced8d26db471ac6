//! The folder of a build as a tar, without what `.dockerignore` names.

use std::path::Path;

use anyhow::Context as _;

/// A pattern of `.dockerignore`, and whether it takes files in again.
struct Rule {
    pattern: glob::Pattern,
    again: bool,
}

/// Packs a folder.
///
/// # Errors
/// What can't be read.
pub(super) fn pack(folder: &Path) -> anyhow::Result<Vec<u8>> {
    let rules = rules(&std::fs::read_to_string(folder.join(".dockerignore")).unwrap_or_default())?;
    let mut tar = tar::Builder::new(Vec::new());
    tar.follow_symlinks(false);
    add(&mut tar, folder, Path::new(""), &rules)?;
    Ok(tar.into_inner()?)
}

fn rules(text: &str) -> anyhow::Result<Vec<Rule>> {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines
        .map(|line| {
            let (again, line) = line.strip_prefix('!').map_or((false, line), |rest| (true, rest));
            let line = line.trim_start_matches("./").trim_matches('/');
            let pattern =
                glob::Pattern::new(line).with_context(|| format!("`{line}` of .dockerignore is no pattern"))?;
            Ok(Rule { pattern, again })
        })
        .collect()
}

/// The last rule that fits decides; a folder's rule is for all within.
fn ignored(path: &Path, rules: &[Rule]) -> bool {
    // The engine itself needs these two.
    if path == Path::new("Dockerfile") || path == Path::new(".dockerignore") {
        return false;
    }
    let options = glob::MatchOptions {
        case_sensitive: true,
        require_literal_separator: true,
        require_literal_leading_dot: false,
    };
    let fits = |rule: &&Rule| path.ancestors().any(|part| rule.pattern.matches_path_with(part, options));
    rules.iter().rev().find(fits).is_some_and(|rule| !rule.again)
}

fn add(tar: &mut tar::Builder<Vec<u8>>, root: &Path, inside: &Path, rules: &[Rule]) -> anyhow::Result<()> {
    let folder = root.join(inside);
    let mut entries: Vec<_> = std::fs::read_dir(&folder)
        .with_context(|| format!("cannot read {}", folder.display()))?
        .collect::<Result<_, _>>()?;
    entries.sort_by_key(std::fs::DirEntry::file_name);
    for entry in entries {
        let path = inside.join(entry.file_name());
        let kind = entry.file_type()?;
        let out = ignored(&path, rules);
        if kind.is_dir() {
            // An ignored folder may hold files that a later rule takes in again.
            if !out || rules.iter().any(|rule| rule.again) {
                add(tar, root, &path, rules)?;
            }
        } else if !out && (kind.is_file() || kind.is_symlink()) {
            tar.append_path_with_name(root.join(&path), &path)
                .with_context(|| format!("cannot pack {}", path.display()))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ignored_files_stay_out() {
        let rules = rules("# c\ntarget\n*.log\n!keep.log\nsub/**/x\n").unwrap();
        let out = |path: &str| ignored(Path::new(path), &rules);
        assert!(out("target/a/b") && out("a.log") && out("sub/a/x"));
        assert!(!out("keep.log") && !out("src/main.rs") && !out("Dockerfile"));
    }
}
