//! `.dockerignore`, by the rules of Docker's reference: the last line that fits decides, and one that fits a folder is for all within.

use std::path::Path;

use anyhow::{Context as _, Result};
use regex::Regex;

/// The lines of a `.dockerignore`.
#[derive(Debug, Default)]
pub(super) struct Ignore(Vec<Rule>);

#[derive(Debug)]
struct Rule {
    fits: Regex,
    again: bool,
}

impl Ignore {
    /// Reads the text.
    ///
    /// # Errors
    /// A line is no pattern.
    pub(super) fn parse(text: &str) -> Result<Self> {
        let lines = text.trim_start_matches('\u{feff}').lines().filter(|line| !line.starts_with('#')).map(str::trim);
        let rules = lines.filter(|line| !line.is_empty()).map(|line| {
            let (again, pattern) = line.strip_prefix('!').map_or((false, line), |rest| (true, rest.trim()));
            let pattern = clean(pattern);
            let fits = Regex::new(&expression(&pattern)?)
                .with_context(|| format!("`{line}` of .dockerignore is no pattern"))?;
            Ok(Rule { fits, again })
        });
        rules.collect::<Result<_>>().map(Self)
    }

    /// Whether a path, relative to the folder of the build, stays out.
    pub(super) fn covers(&self, path: &Path) -> bool {
        let parts: Vec<_> = path.ancestors().map(|part| part.to_string_lossy().into_owned()).collect();
        let fits = |rule: &&Rule| parts.iter().any(|part| !part.is_empty() && rule.fits.is_match(part));
        self.0.iter().rev().find(fits).is_some_and(|rule| !rule.again)
    }

    /// Whether a folder that stays out may hold files that do not.
    pub(super) fn takes_in_again(&self) -> bool {
        self.0.iter().any(|rule| rule.again)
    }
}

/// Without `.`, `..` and empty parts, as far as they can go, and without a slash at either end.
fn clean(pattern: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in pattern.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    parts.join("/")
}

/// `*` and `?` stop at slashes, `**` does not, `[a-z]` and `\x` are those of Go's `filepath.Match`.
fn expression(pattern: &str) -> Result<String> {
    let mut text = String::from("(?s)^");
    let mut rest = pattern.chars().peekable();
    while let Some(character) = rest.next() {
        match character {
            '*' if rest.next_if_eq(&'*').is_some() => {
                if rest.next_if_eq(&'/').is_some() {
                    text.push_str("(.*/)?");
                } else {
                    text.push_str(".*");
                }
            }
            '*' => text.push_str("[^/]*"),
            '?' => text.push_str("[^/]"),
            '[' => {
                text.push('[');
                if rest.next_if_eq(&'^').is_some() {
                    text.push('^');
                }
                loop {
                    match rest.next().context("a `[` is never closed")? {
                        ']' => break,
                        '-' => text.push('-'),
                        '\\' => text.push_str(&regex::escape(&rest.next().context("a `\\` ends it")?.to_string())),
                        other => text.push_str(&regex::escape(&other.to_string())),
                    }
                }
                text.push(']');
            }
            '\\' => text.push_str(&regex::escape(&rest.next().context("a `\\` ends it")?.to_string())),
            other => text.push_str(&regex::escape(&other.to_string())),
        }
    }
    text.push('$');
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn held(text: &str, out: &[&str], within: &[&str]) {
        let ignore = Ignore::parse(text).unwrap();
        for path in out {
            assert!(ignore.covers(Path::new(path)), "`{path}` is not covered by {text:?}");
        }
        for path in within {
            assert!(!ignore.covers(Path::new(path)), "`{path}` is covered by {text:?}");
        }
    }

    #[test]
    fn the_examples_of_the_reference() {
        held("# comment\n*/temp*\n", &["somedir/temporary.txt", "somedir/temp"], &["temp", "a/b/temp"]);
        held("*/*/temp*", &["somedir/subdir/temporary.txt"], &["somedir/temp"]);
        held("temp?", &["tempa", "tempb", "tempa/x"], &["temp", "tempab"]);
        held("**/*.go", &["a.go", "x/y/z.go"], &["a.gox"]);
        held("*.md\n!README.md", &["a.md"], &["README.md", "x/a.md"]);
        held("*.md\n!README*.md\nREADME-secret.md", &["README-secret.md", "a.md"], &["README-x.md"]);
        held("*.md\nREADME-secret.md\n!README*.md", &["a.md"], &["README-secret.md"]);
    }

    #[test]
    fn details() {
        held("/target\n./web/../node_modules/", &["target/a/b", "node_modules/x"], &["src/target"]);
        held("target\n!target/keep", &["target/a"], &["target/keep", "target/keep/x"]);
        held("  # no comment", &["# no comment"], &[]);
        held("[a-c]x\n\\*", &["bx", "*"], &["dx", "y"]);
        held("[^a]x\n**/.git", &["bx", ".git/config", "sub/.git/config"], &["ax", ".gitignore"]);
        held("**", &["a", "a/b"], &[]);
        held("**\n!src/**", &["a"], &["src/a/b"]);
        held("a.b", &["a.b"], &["acb"]);
        assert!(Ignore::parse("[a").is_err());
    }
}
