//! `lineinfile`: one line of a file.

use schemars::JsonSchema;
use serde::Deserialize;

use super::attributes::{Mode, PUT};
use super::content::Content;
use super::edit::{self, Edited, Target};
use crate::host::ShellFunction;
use crate::host::script::Script;
use crate::language::template::regex::{self, Flags};
use crate::modules::contract::{Applied, Apply, Check, Context, HostModule, Outcome, Verdict};
use crate::modules::guarded::{Said, failed_reply, variables};

/// Keeps a line in a file, or lines out of it.
///
/// With `regexp` the last line that matches is replaced by `line`; where none does, the line is added.
///
/// ```yaml
/// - lineinfile:
///     path: /etc/selinux/config
///     regexp: '^SELINUX='
///     line: SELINUX=enforcing
/// ```
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[expect(clippy::struct_excessive_bools, reason = "the parameters are Ansible's")]
pub(super) struct LineInFile {
    /// The file.
    #[serde(alias = "dest", alias = "destfile", alias = "name")]
    path: String,
    /// The line.
    #[serde(default, alias = "value")]
    line: Option<String>,
    /// A (Python) regular expression for the line that is replaced or removed.
    #[serde(default, alias = "regex")]
    regexp: Option<String>,
    /// Text that the line holds, in place of `regexp`.
    #[serde(default)]
    search_string: Option<String>,
    /// Whether the line is there.
    #[serde(default)]
    state: State,
    /// Replace groups of `regexp` in `line`; where nothing matches, nothing is added.
    #[serde(default)]
    backrefs: bool,
    /// Add it behind the last line that this matches; `EOF`: at the end.
    #[serde(default)]
    insertafter: Option<String>,
    /// Add it before the last line that this matches; `BOF`: at the beginning.
    #[serde(default)]
    insertbefore: Option<String>,
    /// The first match counts, not the last.
    #[serde(default)]
    firstmatch: bool,
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

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum State {
    Absent,
    #[default]
    Present,
}

/// What differs.
pub(super) enum Drift {
    /// The host decides, by the guarded script.
    Here,
    /// The content was edited on this side.
    Content(Box<Content>),
}

/// `p=PATH l=LINE re=ERE … crud_line`: what `awk` can decide. Only where it finds something to change is there a second run, into a file.
static LINE: ShellFunction = ShellFunction {
    name: "crud_line",
    text: r#"crud_line_awk='
function hit(s) { if (RE!="") return s ~ RE; if (SS!="") return index(s,SS)>0; return s==LN }
BEGIN { LN=ENVIRON["l"]; RE=ENVIRON["re"]; SS=ENVIRON["ss"]; IN=ENVIRON["ins"]; POS=ENVIRON["pos"]; FM=ENVIRON["fm"] }
{ L[NR]=$0 }
END {
if (ENVIRON["st"]=="absent") { for(i=1;i<=NR;i++) if (hit(L[i])) n++; else print L[i]; if (!n) exit 3; print n " line(s) removed" >"/dev/stderr"; exit 0 }
for(i=1;i<=NR;i++) if (hit(L[i])) { if (!(FM!="" && h)) h=i } else if (IN!="" && L[i] ~ IN) { if (!(FM!="" && at)) at=i }
if (h) { if (L[h]==LN) exit 3; L[h]=LN; m="line replaced" }
else if (POS=="BOF") { print LN; m="line added" }
else if (POS=="EOF" || !at) { L[++NR]=LN; m="line added" }
else m="line added"
for(i=1;i<=NR;i++) { if (!h && at==i && POS=="before") print LN; print L[i]; if (!h && at==i && POS=="after") print LN }
print m >"/dev/stderr"; exit 0 }'
crud_line() {
[ ! -d "$p" ] || crud_fail "Path $p is a directory !"
cl_i=$p; cl_n=
if [ ! -e "$p" ]; then
[ "$st" != absent ] || { crud_say msg 'file not present'; return 0; }
[ -n "$cr" ] || { crud_num rc 257; crud_fail "Destination $p does not exist !"; }
cl_n=1; cl_i=/dev/null; fi
export l re ss ins pos fm st
awk "$crud_line_awk" "$cl_i" >/dev/null 2>&1; [ $? != 3 ] || { crud_say msg ''; crud_attrs "$p" "$o" "$g" "$m"; return 0; }
cl_t=$(mktemp -d /tmp/crudctl.XXXXXX) || exit 1; trap 'rm -rf "$cl_t"' 0
awk "$crud_line_awk" "$cl_i" >"$cl_t/new" 2>"$cl_t/msg"; cl_s=$?
case $cl_s in
0) crud_say msg "$(cat "$cl_t/msg")"; c=$cl_t/new; fol=1
if [ -n "$cl_n" ] && [ "$do" = 1 ]; then case $p in */*) [ -d "${p%/*}" ] || mkdir -p -- "${p%/*}";; esac; fi
h=$(sha1sum <"$c"); h=${h%% *}; crud_put ;;
*) crud_fail "$(cat "$cl_t/msg")" ;;
esac; }"#,
    needs: &[&PUT],
};

impl LineInFile {
    fn validated(&self) -> anyhow::Result<()> {
        let _ = self.unsafe_writes;
        let encoding = self.encoding.as_deref().unwrap_or("utf-8");
        anyhow::ensure!(encoding.eq_ignore_ascii_case("utf-8"), "the encoding `{encoding}` is not supported");
        let exclusive = |a: bool, b: bool, names: &str| {
            anyhow::ensure!(!(a && b), "parameters are mutually exclusive: {names}");
            Ok(())
        };
        exclusive(self.insertafter.is_some(), self.insertbefore.is_some(), "insertbefore|insertafter")?;
        exclusive(self.regexp.is_some(), self.search_string.is_some(), "regexp|search_string")?;
        exclusive(self.backrefs, self.search_string.is_some(), "backrefs|search_string")?;
        if self.state == State::Present {
            anyhow::ensure!(!self.backrefs || self.regexp.is_some(), "regexp is required with backrefs=true");
            anyhow::ensure!(self.line.is_some(), "line is required with state=present");
        } else {
            anyhow::ensure!(
                self.regexp.is_some() || self.line.is_some() || self.search_string.is_some(),
                "one of line, search_string, or regexp is required with state=absent"
            );
        }
        Ok(())
    }

    /// Where a new line goes: `EOF`, `BOF`, or `before`/`after` a pattern.
    fn position(&self) -> (&'static str, Option<&str>) {
        match (self.insertbefore.as_deref(), self.insertafter.as_deref()) {
            (Some("BOF"), _) | (None, Some("BOF")) => ("BOF", None),
            (Some(pattern), _) => ("before", Some(pattern)),
            (None, Some("EOF") | None) => ("EOF", None),
            (None, Some(pattern)) => ("after", Some(pattern)),
        }
    }

    /// The script, where `awk` understands the patterns.
    fn script(&self, mode: &str) -> Option<Script> {
        if self.backrefs {
            return None;
        }
        let plain = |text: &str| !text.contains('\n') && !text.contains('\r');
        let line = self.line.as_deref().unwrap_or_default();
        let pattern = self.regexp.as_deref().filter(|r| !r.is_empty());
        let regexp = match pattern {
            Some(text) => Some(extended(text)?),
            None => None,
        };
        let (position, insert) = self.position();
        let insert = match insert {
            Some(text) => Some(extended(text)?),
            None => None,
        };
        let search = self.search_string.as_deref();
        if !plain(line) || search.is_some_and(|s| !plain(s)) || self.regexp.as_deref() == Some("") {
            return None;
        }
        let flag = |on: bool| on.then_some("1");
        let variables = variables(&[
            ("p", Some(&self.path)),
            ("l", self.line.as_deref()),
            ("re", regexp.as_deref()),
            ("ss", search),
            ("ins", insert.as_deref()),
            ("pos", Some(position).filter(|p| *p != "EOF")),
            ("fm", flag(self.firstmatch)),
            ("st", (self.state == State::Absent).then_some("absent")),
            ("cr", flag(self.create)),
            ("o", self.owner.as_deref()),
            ("g", self.group.as_deref()),
            ("m", self.mode.as_ref().map(Mode::as_str)),
            ("bk", flag(self.backup)),
            ("va", self.validate.as_deref()),
        ]);
        Some(Script::new(format!("{mode}{variables}\ncrud_line\ncrud_end\n")).function(&LINE))
    }

    fn target(&self) -> Target {
        Target {
            path: self.path.clone(),
            owner: self.owner.clone(),
            group: self.group.clone(),
            mode: self.mode.clone(),
            // Nothing is to be removed from a file that is missing.
            create: self.create || self.state == State::Absent,
            backup: self.backup,
            validate: self.validate.clone(),
        }
    }

    fn edit(&self) -> anyhow::Result<edit::Edit> {
        let compile = |text: &str| regex::compile(text, Flags::default()).map_err(|e| anyhow::anyhow!("`{text}`: {e}"));
        let wanted = self.regexp.as_deref().map(compile).transpose()?;
        let (position, insert) = self.position();
        let insert = insert.map(compile).transpose()?;
        let (search, line) = (self.search_string.clone(), self.line.clone());
        let (absent, backrefs, first) = (self.state == State::Absent, self.backrefs, self.firstmatch);
        Ok(Box::new(move |text| {
            let missing = text.is_none();
            let text = text.unwrap_or_default();
            if missing && absent {
                return Ok(Edited { msg: "file not present".into(), ..Edited::same(text) });
            }
            let mut lines: Vec<String> = text.split_inclusive('\n').map(str::to_owned).collect();
            let bare = |l: &str| l.trim_end_matches(['\n', '\r']).to_owned();
            let hit = |l: &str| -> anyhow::Result<bool> {
                Ok(match (&wanted, &search, &line) {
                    (Some(regex), ..) => regex.is_match(&bare(l))?,
                    (None, Some(search), _) => l.contains(search.as_str()),
                    (None, None, line) => line.as_deref().is_some_and(|line| bare(l) == line),
                })
            };
            if absent {
                let before = lines.len();
                let mut kept = vec![];
                for l in lines {
                    if !hit(&l)? {
                        kept.push(l);
                    }
                }
                let removed = before - kept.len();
                if removed == 0 {
                    return Ok(Edited::same(text));
                }
                return Ok(Edited {
                    text: kept.concat(),
                    changed: true,
                    msg: format!("{removed} line(s) removed"),
                    values: vec![("found", removed.into())],
                });
            }
            let (mut found, mut at) = (None, None);
            for (i, l) in lines.iter().enumerate() {
                if hit(l)? {
                    if !(first && found.is_some()) {
                        found = Some(i);
                    }
                } else if let Some(insert) = &insert
                    && insert.is_match(&bare(l))?
                    && !(first && at.is_some())
                {
                    at = Some(i);
                }
            }
            let line = line.unwrap_or_default();
            let msg = if let Some(i) = found {
                let new = match (&wanted, backrefs) {
                    (Some(regex), true) => {
                        let bare = bare(&lines[i]);
                        let captures = regex.captures(bare.as_str())?;
                        captures
                            .map(|c| regex::expand(&line, &c))
                            .transpose()
                            .map_err(anyhow::Error::msg)?
                            .unwrap_or_default()
                    }
                    _ => line.clone(),
                };
                let new = if new.ends_with('\n') { new } else { format!("{new}\n") };
                if lines[i] == new || (i + 1 == lines.len() && format!("{}\n", lines[i]) == new) {
                    return Ok(Edited::same(text));
                }
                lines[i] = new;
                "line replaced"
            } else if backrefs {
                return Ok(Edited::same(text));
            } else {
                let new = format!("{line}\n");
                let index = match (position, at) {
                    ("BOF", _) => 0,
                    ("before", Some(i)) => i,
                    ("after", Some(i)) => i + 1,
                    _ => lines.len(),
                };
                if index > 0
                    && let Some(previous) = lines.get_mut(index - 1)
                    && !previous.ends_with('\n')
                {
                    previous.push('\n');
                }
                lines.insert(index, new);
                "line added"
            };
            Ok(Edited { text: lines.concat(), changed: true, msg: msg.into(), values: vec![] })
        }))
    }
}

impl HostModule for LineInFile {
    type Drift = Drift;

    fn check(&self, cx: &Context) -> anyhow::Result<Check<Drift>> {
        self.validated()?;
        let on_host = !cx.diff && self.script("").is_some();
        if on_host && !cx.check_mode && !cx.ahead {
            return Ok(Check::Known(Verdict::Drift { drift: Drift::Here, outcome: Outcome::default() }));
        }
        if on_host && let Some(script) = self.script(if cx.check_mode { "do=c\n" } else { "" }) {
            return Ok(Check::ask(script, |reply| {
                let said = Said::of(reply, false);
                Ok(match reply.status {
                    0 => Verdict::Converged(outcome(&said)),
                    10 => Verdict::Drift { drift: Drift::Here, outcome: outcome(&said) },
                    _ => Verdict::Failed(failed_reply(reply, &said)),
                })
            }));
        }
        Ok(match edit::check(&self.target(), self.edit()?, cx) {
            Check::Ask { script, parse, .. } => Check::ask(script, move |reply| {
                Ok(match parse(reply)? {
                    Verdict::Converged(outcome) => Verdict::Converged(outcome),
                    Verdict::Drift { drift, outcome } => {
                        Verdict::Drift { drift: Drift::Content(Box::new(drift)), outcome }
                    }
                    Verdict::Failed(outcome) => Verdict::Failed(outcome),
                })
            }),
            Check::Known(_) => anyhow::bail!("an edit always asks"),
        })
    }

    fn apply(&self, drift: Drift, _: &Context) -> anyhow::Result<Apply> {
        match drift {
            Drift::Content(content) => Ok(content.apply()),
            Drift::Here => {
                let script = self.script("do=1\n").ok_or_else(|| anyhow::anyhow!("the host can't decide this"))?;
                Ok(Apply::new(script, |reply| {
                    let said = Said::of(reply, true);
                    Ok(Applied::Done(if reply.status == 0 { outcome(&said) } else { failed_reply(reply, &said) }))
                }))
            }
        }
    }
}

fn outcome(said: &Said) -> Outcome {
    let mut outcome = Outcome { values: said.values.clone(), ..Outcome::default() };
    outcome.changed = outcome.values.shift_remove("changed").is_some_and(|c| c == true);
    outcome.msg = outcome.values.shift_remove("msg").and_then(|m| m.as_str().map(str::to_owned));
    for key in ["dest", "checksum"] {
        outcome.values.shift_remove(key);
    }
    outcome
}

/// A Python expression as a POSIX extended one for any `awk`, where it means the same.
fn extended(pattern: &str) -> Option<String> {
    let mut out = String::new();
    let mut chars = pattern.chars().peekable();
    let mut previous_repeats = false;
    let mut start = true;
    while let Some(c) = chars.next() {
        let mut repeats = false;
        match c {
            '\\' => match chars.next()? {
                's' => out.push_str("[ \t\r\u{b}\u{c}]"),
                'S' => out.push_str("[^ \t\r\u{b}\u{c}]"),
                'd' => out.push_str("[0-9]"),
                'D' => out.push_str("[^0-9]"),
                'w' => out.push_str("[A-Za-z0-9_]"),
                'W' => out.push_str("[^A-Za-z0-9_]"),
                'A' if start => out.push('^'),
                'Z' if chars.peek().is_none() => out.push('$'),
                't' => out.push('\t'),
                p if p.is_ascii_punctuation() => {
                    if ".[]()*+?{}|^$\\/".contains(p) {
                        out.push('[');
                        if p == '^' || p == '\\' {
                            // Neither stands for itself within brackets everywhere.
                            out.pop();
                            out.push('\\');
                            out.push(p);
                        } else {
                            out.push(p);
                            out.push(']');
                        }
                    } else {
                        out.push(p);
                    }
                }
                _ => return None,
            },
            '(' => {
                if chars.peek() == Some(&'?') {
                    chars.next();
                    if chars.next() != Some(':') {
                        return None;
                    }
                }
                out.push('(');
            }
            '[' => {
                out.push('[');
                if chars.peek() == Some(&'^') {
                    out.push(chars.next()?);
                }
                if chars.peek() == Some(&']') {
                    out.push(chars.next()?);
                }
                loop {
                    match chars.next()? {
                        ']' => break,
                        '[' => return None,
                        '\\' => match chars.next()? {
                            's' => out.push_str(" \t\r"),
                            'd' => out.push_str("0-9"),
                            'w' => out.push_str("A-Za-z0-9_"),
                            p @ ('.' | '/' | '-' | '"' | '\'') if p != '-' => out.push(p),
                            _ => return None,
                        },
                        other => out.push(other),
                    }
                }
                out.push(']');
            }
            '{' | '}' => return None,
            '*' | '+' | '?' => {
                // Lazy and possessive repetitions have no counterpart.
                if previous_repeats || start {
                    return None;
                }
                repeats = true;
                out.push(c);
            }
            c if !c.is_ascii() => return None,
            '/' => out.push('/'),
            c => out.push(c),
        }
        previous_repeats = repeats;
        start = false;
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_that_mean_the_same_are_decided_on_the_host() {
        assert_eq!(extended("^SELINUX=").as_deref(), Some("^SELINUX="));
        assert_eq!(
            extended(r"^#?\s*Port\s+\d+$").as_deref(),
            Some("^#?[ \t\r\u{b}\u{c}]*Port[ \t\r\u{b}\u{c}]+[0-9]+$")
        );
        assert_eq!(extended(r"a\.b").as_deref(), Some("a[.]b"));
        for other in [r"a(?=b)", r"a*?", r"\bword", r"a{2}", r"(?i)x", r"(a)\1", "ä"] {
            assert_eq!(extended(other), None, "{other}");
        }
    }
}
