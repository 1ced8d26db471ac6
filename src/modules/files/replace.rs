//! `replace`: all places of a file that a regular expression finds.

use schemars::JsonSchema;
use serde::Deserialize;

use super::attributes::Mode;
use super::content::Content;
use super::edit::{self, Edited, Target};
use crate::language::template::regex::{self, Flags};
use crate::modules::contract::{Apply, Check, Context, HostModule};

/// Replaces every match of a (Python) regular expression in a file.
///
/// ```yaml
/// - replace:
///     path: /etc/hosts
///     regexp: '(\s+)old\.host\.name(\s+.*)?$'
///     replace: '\1new.host.name\2'
/// ```
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Replace {
    /// The file.
    #[serde(alias = "dest", alias = "destfile", alias = "name")]
    path: String,
    /// What is replaced; `^` and `$` are the ends of lines.
    regexp: String,
    /// By what; nothing where it is left out.
    #[serde(default)]
    replace: String,
    /// Only behind what this matches.
    #[serde(default)]
    after: Option<String>,
    /// Only before what this matches.
    #[serde(default)]
    before: Option<String>,
    /// Keep a copy of the file.
    #[serde(default)]
    backup: bool,
    /// A command that must accept the new file, `%s` in it.
    #[serde(default)]
    validate: Option<String>,
    /// Encoding; only `utf-8` is supported.
    #[serde(default)]
    encoding: Option<String>,
    /// Owner.
    #[serde(default)]
    owner: Option<String>,
    /// Group.
    #[serde(default)]
    group: Option<String>,
    /// Mode.
    #[serde(default)]
    mode: Option<Mode>,
    /// Not needed: files are replaced atomically.
    #[serde(default)]
    unsafe_writes: bool,
}

impl HostModule for Replace {
    type Drift = Content;

    fn check(&self, cx: &Context) -> anyhow::Result<Check<Content>> {
        let _ = self.unsafe_writes;
        let encoding = self.encoding.as_deref().unwrap_or("utf-8");
        anyhow::ensure!(encoding.eq_ignore_ascii_case("utf-8"), "the encoding `{encoding}` is not supported");
        let compile = |text: &str, flags| regex::compile(text, flags).map_err(|e| anyhow::anyhow!("`{text}`: {e}"));
        let lines = Flags { multiline: true, ..Flags::default() };
        let whole = Flags { dot_all: true, ..Flags::default() };
        let wanted = compile(&self.regexp, lines)?;
        let section = match (&self.after, &self.before) {
            (None, None) => None,
            (Some(after), None) => Some(compile(&format!("{after}(?P<subsection>.*)"), whole)?),
            (None, Some(before)) => Some(compile(&format!("(?P<subsection>.*){before}"), whole)?),
            (Some(after), Some(before)) => Some(compile(&format!("{after}(?P<subsection>.*?){before}"), whole)?),
        };
        let replacement = self.replace.clone();
        let target = Target {
            path: self.path.clone(),
            owner: self.owner.clone(),
            group: self.group.clone(),
            mode: self.mode.clone(),
            create: false,
            backup: self.backup,
            validate: self.validate.clone(),
        };
        let edit = Box::new(move |text: Option<String>| {
            let text = text.unwrap_or_default();
            let (start, end) = match &section {
                None => (0, text.len()),
                Some(section) => {
                    match section.captures(&text)?.and_then(|c| c.name("subsection").map(|m| (m.start(), m.end()))) {
                        Some(range) => range,
                        None => {
                            return Ok(Edited {
                                msg: "Pattern for before/after params did not match the given file".into(),
                                ..Edited::same(text)
                            });
                        }
                    }
                }
            };
            let (middle, count) =
                regex::replace(&wanted, &text[start..end], &replacement, 0).map_err(anyhow::Error::msg)?;
            let new = format!("{}{middle}{}", &text[..start], &text[end..]);
            if count == 0 || new == text {
                return Ok(Edited::same(text));
            }
            Ok(Edited { text: new, changed: true, msg: format!("{count} replacements made"), values: vec![] })
        });
        Ok(edit::check(&target, edit, cx))
    }

    fn apply(&self, drift: Content, _: &Context) -> anyhow::Result<Apply> {
        Ok(drift.apply())
    }
}
