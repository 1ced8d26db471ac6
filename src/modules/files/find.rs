//! `find`: paths by name, age, size, content.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::host::script::{Script, quote, quote_path};
use crate::language::template::regex::{self, Flags};
use crate::modules::contract::{Apply, Check, Context, HostModule, Outcome, Verdict};

/// Lists paths of the host.
///
/// ```yaml
/// - find:
///     paths: /var/log
///     patterns: '*.old,*.log.gz'
///     age: 2d
/// ```
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[expect(clippy::struct_excessive_bools, reason = "the parameters are Ansible's")]
pub(super) struct Find {
    /// Where to look.
    #[serde(alias = "name", alias = "path")]
    paths: Vec<String>,
    /// Globs (or regular expressions) for names.
    #[serde(default, alias = "pattern")]
    patterns: Vec<String>,
    /// Globs (or regular expressions) for names that are left out.
    #[serde(default, alias = "exclude")]
    excludes: Vec<String>,
    /// A regular expression that a line of the file matches.
    #[serde(default)]
    contains: Option<String>,
    /// The whole content is matched, not line by line.
    #[serde(default)]
    read_whole_file: bool,
    /// What is looked for.
    #[serde(default)]
    file_type: Type,
    /// Go into directories.
    #[serde(default)]
    recurse: bool,
    /// How deep.
    #[serde(default)]
    depth: Option<u32>,
    /// At least this old (`2d`); negative: at most.
    #[serde(default)]
    age: Option<String>,
    /// Which time counts.
    #[serde(default)]
    age_stamp: Stamp,
    /// At least this large (`1m`); negative: at most.
    #[serde(default)]
    size: Option<String>,
    /// Hidden files, too.
    #[serde(default)]
    hidden: bool,
    /// Follow links.
    #[serde(default)]
    follow: bool,
    /// Hash each file's content (SHA-1).
    #[serde(default)]
    get_checksum: bool,
    /// `patterns` are regular expressions.
    #[serde(default)]
    use_regex: bool,
    /// End behind so many.
    #[serde(default)]
    limit: Option<usize>,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Type {
    Any,
    Directory,
    #[default]
    File,
    Link,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Stamp {
    Atime,
    Ctime,
    #[default]
    Mtime,
}

/// `2d`, `-1w`, `10`: seconds.
fn seconds(text: &str) -> anyhow::Result<i64> {
    scaled(text, &[('s', 1), ('m', 60), ('h', 3600), ('d', 86_400), ('w', 604_800)])
        .ok_or_else(|| anyhow::anyhow!("failed to process age: {text}"))
}

/// `1m`, `-10k`: bytes.
fn bytes(text: &str) -> anyhow::Result<i64> {
    let units = [('b', 1), ('k', 1 << 10), ('m', 1 << 20), ('g', 1 << 30), ('t', 1 << 40)];
    scaled(text, &units).ok_or_else(|| anyhow::anyhow!("failed to process size: {text}"))
}

fn scaled(text: &str, units: &[(char, i64)]) -> Option<i64> {
    let text = text.trim().to_lowercase();
    match text.chars().next_back().and_then(|c| units.iter().find(|(u, _)| *u == c)) {
        Some((_, factor)) => text[..text.len() - 1].parse::<i64>().ok().map(|n| n * factor),
        None => text.parse().ok(),
    }
}

impl HostModule for Find {
    type Drift = std::convert::Infallible;

    fn check(&self, _: &Context) -> anyhow::Result<Check<Self::Drift>> {
        let follow = if self.follow { "-L " } else { "" };
        let depth = match (self.recurse, self.depth) {
            (false, _) => "-maxdepth 1 ".to_owned(),
            (true, Some(depth)) => format!("-maxdepth {depth} "),
            (true, None) => String::new(),
        };
        let kind = match self.file_type {
            Type::Any => "",
            Type::Directory => "-type d ",
            Type::File => "-type f ",
            Type::Link => "-type l ",
        };
        let mut script = Script::default();
        for path in &self.paths {
            let word = quote_path(path);
            script.line(format!("if [ -d {word} ]; then printf '@@p %s\\n' {word}; find {follow}{word} -mindepth 1 {depth}{kind}-exec stat -c '%a %u %g %U %G %s %X %Y %Z %i %h %d %f %n' {{}} +; else printf '@@m %s\\n' {word}; fi"));
        }
        if let Some(text) = &self.contains {
            // Which files match is asked beside: `grep` knows most expressions.
            for path in &self.paths {
                let word = quote_path(path);
                let whole = if self.read_whole_file { "-z " } else { "" };
                script.line(format!("[ ! -d {word} ] || find {follow}{word} -mindepth 1 {depth}-type f -exec grep -lE {whole}-- {} {{}} + | sed 's/^/@@c /'", quote(text)));
            }
        }
        if self.get_checksum {
            for path in &self.paths {
                let word = quote_path(path);
                script.line(format!("[ ! -d {word} ] || find {follow}{word} -mindepth 1 {depth}-type f -exec sha1sum {{}} + | sed 's/^/@@s /'"));
            }
        }
        script.line("date '+@@now %s'; exit 0");
        let filter = Filter::of(self)?;
        Ok(Check::ask(script, move |reply| {
            anyhow::ensure!(reply.status == 0, reply.failure("could not look"));
            Ok(Verdict::Converged(filter.outcome(&reply.out(), &reply.err())))
        }))
    }

    fn apply(&self, drift: Self::Drift, _: &Context) -> anyhow::Result<Apply> {
        match drift {}
    }
}

enum Name {
    Glob(glob::Pattern),
    Regex(fancy_regex::Regex),
}

impl Name {
    fn matches(&self, name: &str) -> bool {
        match self {
            Self::Glob(glob) => glob.matches(name),
            Self::Regex(regex) => regex.is_match(name).unwrap_or(false),
        }
    }
}

struct Filter {
    patterns: Vec<Name>,
    excludes: Vec<Name>,
    age: Option<i64>,
    stamp: Stamp,
    size: Option<i64>,
    hidden: bool,
    contains: bool,
    limit: Option<usize>,
}

impl Filter {
    fn of(find: &Find) -> anyhow::Result<Self> {
        let names = |texts: &[String]| -> anyhow::Result<Vec<Name>> {
            texts
                .iter()
                .map(|text| {
                    Ok(if find.use_regex {
                        let anchored = format!("\\A(?:{text})");
                        Name::Regex(
                            regex::compile(&anchored, Flags::default())
                                .map_err(|e| anyhow::anyhow!("`{text}`: {e}"))?,
                        )
                    } else {
                        Name::Glob(glob::Pattern::new(text)?)
                    })
                })
                .collect()
        };
        Ok(Self {
            patterns: names(&find.patterns)?,
            excludes: names(&find.excludes)?,
            age: find.age.as_deref().map(seconds).transpose()?,
            stamp: find.age_stamp,
            size: find.size.as_deref().map(bytes).transpose()?,
            hidden: find.hidden,
            contains: find.contains.is_some(),
            limit: find.limit,
        })
    }

    fn outcome(&self, text: &str, stderr: &str) -> Outcome {
        let mut skipped = Map::new();
        let (mut examined, mut now) = (0usize, 0i64);
        let mut rows: Vec<(Vec<&str>, &str)> = vec![];
        let mut holding = std::collections::HashSet::new();
        let mut sums = std::collections::HashMap::new();
        for line in text.lines() {
            if let Some(path) = line.strip_prefix("@@m ") {
                skipped.insert(path.to_owned(), "'{path}' is not a directory".replace("{path}", path).into());
            } else if let Some(path) = line.strip_prefix("@@c ") {
                holding.insert(path);
            } else if let Some(rest) = line.strip_prefix("@@s ") {
                if let Some((sum, path)) = rest.split_once("  ") {
                    sums.insert(path, sum);
                }
            } else if let Some(rest) = line.strip_prefix("@@now ") {
                now = rest.parse().unwrap_or(0);
            } else if !line.starts_with("@@p ") {
                let parts: Vec<&str> = line.splitn(14, ' ').collect();
                if let [fields @ .., path] = &parts[..]
                    && fields.len() == 13
                {
                    rows.push((fields.to_vec(), path));
                    examined += 1;
                }
            }
        }
        let mut files = vec![];
        for (fields, path) in rows {
            let name = path.rsplit('/').next().unwrap_or(path);
            let number = |at: usize| fields[at].parse::<i64>().unwrap_or(0);
            if (!self.hidden && name.starts_with('.'))
                || (!self.patterns.is_empty() && !self.patterns.iter().any(|p| p.matches(name)))
                || self.excludes.iter().any(|p| p.matches(name))
                || (self.contains && !holding.contains(path))
            {
                continue;
            }
            let time = number(match self.stamp {
                Stamp::Atime => 6,
                Stamp::Mtime => 7,
                Stamp::Ctime => 8,
            });
            let old = self.age.is_none_or(|age| if age >= 0 { now - time >= age } else { now - time <= -age });
            let large = self.size.is_none_or(|size| if size >= 0 { number(5) >= size } else { number(5) <= -size });
            if !old || !large {
                continue;
            }
            let mode = u32::from_str_radix(fields[0], 8).unwrap_or(0);
            let kind = u32::from_str_radix(fields[12], 16).unwrap_or(0) & 0o170_000;
            let mut file = Map::new();
            let mut put = |key: &str, value: Value| file.insert(key.to_owned(), value);
            put("path", path.into());
            put("mode", format!("{mode:04o}").into());
            put("isdir", (kind == 0o040_000).into());
            put("isreg", (kind == 0o100_000).into());
            put("islnk", (kind == 0o120_000).into());
            put("uid", number(1).into());
            put("gid", number(2).into());
            put("pw_name", fields[3].into());
            put("gr_name", fields[4].into());
            put("size", number(5).into());
            put("atime", json!(crate::language::template::call::widen(number(6))));
            put("mtime", json!(crate::language::template::call::widen(number(7))));
            put("ctime", json!(crate::language::template::call::widen(number(8))));
            put("inode", number(9).into());
            put("nlink", number(10).into());
            put("dev", number(11).into());
            for (key, bit) in [
                ("rusr", 0o400),
                ("wusr", 0o200),
                ("xusr", 0o100),
                ("rgrp", 0o040),
                ("wgrp", 0o020),
                ("xgrp", 0o010),
                ("roth", 0o004),
                ("woth", 0o002),
                ("xoth", 0o001),
                ("isuid", 0o4000),
                ("isgid", 0o2000),
            ] {
                put(key, (mode & bit != 0).into());
            }
            if let Some(sum) = sums.get(path) {
                put("checksum", (*sum).into());
            }
            files.push(Value::Object(file));
            if self.limit.is_some_and(|limit| files.len() >= limit) {
                break;
            }
        }
        let msg = if skipped.is_empty() && stderr.trim().is_empty() {
            "All paths examined"
        } else {
            "Not all paths examined, check warnings for details"
        };
        Outcome::ok()
            .with("matched", files.len())
            .with("files", files)
            .with("examined", examined)
            .with("skipped_paths", Value::Object(skipped))
            .message(msg)
    }
}
