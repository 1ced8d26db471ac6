//! `blockinfile`: lines between two markers.

use schemars::JsonSchema;
use serde::Deserialize;

use super::attributes::Mode;
use super::content::Content;
use super::edit::{self, Edited, Target};
use crate::language::template::regex::{self, Flags};
use crate::modules::contract::{Apply, Check, Context, HostModule};

/// Keeps a block of lines in a file, between two marker lines.
///
/// ```yaml
/// - blockinfile:
///     path: /etc/ssh/sshd_config
///     block: |
///       Match User ansible-agent
///       PasswordAuthentication no
/// ```
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[expect(clippy::struct_excessive_bools, reason = "the parameters are Ansible's")]
pub(super) struct BlockInFile {
    /// The file.
    #[serde(alias = "dest", alias = "destfile", alias = "name")]
    path: String,
    /// The lines; an empty block is removed.
    #[serde(default, alias = "content")]
    block: String,
    /// Whether the block is there.
    #[serde(default)]
    state: State,
    /// The marker lines, `{mark}` in it.
    #[serde(default = "marker")]
    marker: String,
    /// What stands for `{mark}` before the block.
    #[serde(default = "begin")]
    marker_begin: String,
    /// What stands for `{mark}` behind it.
    #[serde(default = "end")]
    marker_end: String,
    /// Put a new block behind the last line that this matches; `EOF`: at the end.
    #[serde(default)]
    insertafter: Option<String>,
    /// Put a new block before the last line that this matches; `BOF`: at the beginning.
    #[serde(default)]
    insertbefore: Option<String>,
    /// An empty line at the block's end of the file's part before it.
    #[serde(default)]
    prepend_newline: bool,
    /// An empty line behind it.
    #[serde(default)]
    append_newline: bool,
    /// Make the file where it is missing.
    #[serde(default)]
    create: bool,
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

fn marker() -> String {
    "# {mark} ANSIBLE MANAGED BLOCK".into()
}

fn begin() -> String {
    "BEGIN".into()
}

fn end() -> String {
    "END".into()
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum State {
    Absent,
    #[default]
    Present,
}

impl HostModule for BlockInFile {
    type Drift = Content;

    fn check(&self, cx: &Context) -> anyhow::Result<Check<Content>> {
        let _ = self.unsafe_writes;
        let encoding = self.encoding.as_deref().unwrap_or("utf-8");
        anyhow::ensure!(encoding.eq_ignore_ascii_case("utf-8"), "the encoding `{encoding}` is not supported");
        anyhow::ensure!(
            self.insertafter.is_none() || self.insertbefore.is_none(),
            "parameters are mutually exclusive: insertbefore|insertafter"
        );
        let first = self.marker.replace("{mark}", &self.marker_begin);
        let last = self.marker.replace("{mark}", &self.marker_end);
        let pattern = match (&self.insertbefore, &self.insertafter) {
            (Some(text), _) if text != "BOF" => Some(text.clone()),
            (None, Some(text)) if text != "EOF" && text != "BOF" => Some(text.clone()),
            _ => None,
        };
        let flags = Flags { multiline: pattern.as_ref().is_some_and(|p| p.contains("\\n")), ..Flags::default() };
        let regex =
            pattern.map(|p| regex::compile(&p, flags).map_err(|e| anyhow::anyhow!("`{p}`: {e}"))).transpose()?;
        let before = self.insertbefore.is_some();
        let top = self.insertbefore.as_deref() == Some("BOF") || self.insertafter.as_deref() == Some("BOF");
        let block = if self.state == State::Absent { String::new() } else { self.block.clone() };
        let (prepend, append) = (self.prepend_newline, self.append_newline);
        let target = Target {
            path: self.path.clone(),
            owner: self.owner.clone(),
            group: self.group.clone(),
            mode: self.mode.clone(),
            create: self.create && self.state == State::Present,
            backup: self.backup,
            validate: self.validate.clone(),
        };
        if self.state == State::Absent && !self.create {
            // Nothing to remove from a file that is missing.
            let target = Target { create: true, ..target.clone() };
            let edit = Box::new(move |text: Option<String>| match text {
                None => Ok(Edited { msg: "File not present".into(), ..Edited::same(String::new()) }),
                Some(text) => edited(text, false, &first, &last, "", None, before, top, prepend, append),
            });
            return Ok(edit::check(&target, edit, cx));
        }
        let edit = Box::new(move |text: Option<String>| {
            let missing = text.is_none();
            edited(
                text.unwrap_or_default(),
                missing,
                &first,
                &last,
                &block,
                regex.as_ref(),
                before,
                top,
                prepend,
                append,
            )
        });
        Ok(edit::check(&target, edit, cx))
    }

    fn apply(&self, drift: Content, _: &Context) -> anyhow::Result<Apply> {
        Ok(drift.apply())
    }
}

#[expect(clippy::too_many_arguments, reason = "one call, and each is a parameter of the module")]
fn edited(
    text: String,
    missing: bool,
    first: &str,
    last: &str,
    block: &str,
    regex: Option<&fancy_regex::Regex>,
    before: bool,
    top: bool,
    prepend: bool,
    append: bool,
) -> anyhow::Result<Edited> {
    let mut lines: Vec<String> = text.split_inclusive('\n').map(str::to_owned).collect();
    let bare = |line: &String| line.trim_end_matches(['\n', '\r']).to_owned();
    let start = lines.iter().rposition(|l| bare(l) == first);
    let stop = lines.iter().rposition(|l| bare(l) == last);
    let mut wanted: Vec<String> = vec![];
    if !block.is_empty() {
        wanted.push(format!("{first}\n"));
        let body = if block.ends_with('\n') { block.to_owned() } else { format!("{block}\n") };
        wanted.extend(body.split_inclusive('\n').map(str::to_owned));
        wanted.push(format!("{last}\n"));
    }
    let mut at = match (start, stop) {
        (Some(a), Some(b)) => {
            let (a, b) = (a.min(b), a.max(b));
            lines.drain(a..=b);
            a
        }
        _ if wanted.is_empty() => return Ok(Edited::same(text)),
        _ => match regex {
            None if top => 0,
            None => lines.len(),
            Some(regex) => {
                let mut found = None;
                for (i, line) in lines.iter().enumerate() {
                    if regex.is_match(&bare(line))? {
                        found = Some(i);
                    }
                }
                match found {
                    Some(i) if before => i,
                    Some(i) => i + 1,
                    None => lines.len(),
                }
            }
        },
    };
    if at > 0
        && !wanted.is_empty()
        && let Some(previous) = lines.get_mut(at - 1)
        && !previous.ends_with('\n')
    {
        previous.push('\n');
    }
    if !wanted.is_empty() {
        if prepend && at > 0 && lines.get(at - 1).is_some_and(|l| !bare(l).is_empty()) {
            lines.insert(at, "\n".into());
            at += 1;
        }
        if append && lines.get(at).is_some_and(|l| !bare(l).is_empty()) {
            lines.insert(at, "\n".into());
        }
    }
    let had = start.is_some() && stop.is_some();
    let removed = wanted.is_empty();
    lines.splice(at..at, wanted);
    let new: String = lines.concat();
    if new == text && !missing {
        return Ok(Edited::same(text));
    }
    let msg = if removed {
        "Block removed"
    } else if missing {
        "File created"
    } else if had {
        "Block updated"
    } else {
        "Block inserted"
    };
    Ok(Edited { text: new, changed: true, msg: msg.into(), values: vec![] })
}
