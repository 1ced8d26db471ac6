//! `command`: a program, without a shell.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use super::common::{Run, fed};
use crate::host::script::{Script, quote};
use crate::modules::{Apply, Check, Context, HostModule};

/// Runs a program, without a shell.
///
/// Pipes, redirections and `&&` mean nothing here: that is what `shell` is for. `~` and `$NAME` in arguments are expanded on the host.
///
/// ```yaml
/// - command: /usr/bin/make_database.sh db_user db_name
///   args:
///     creates: /path/to/database
/// ```
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Command {
    /// The program and its arguments in one line, quoted as for a shell.
    #[serde(default, alias = "_raw_params", alias = "free_form")]
    cmd: Option<String>,
    /// The program and its arguments as a list.
    #[serde(default)]
    argv: Option<Vec<String>>,
    /// The directory that it runs in.
    #[serde(default)]
    chdir: Option<String>,
    /// Not run where this file (a pattern) exists.
    #[serde(default)]
    creates: Option<String>,
    /// Not run where this file (a pattern) does not exist.
    #[serde(default)]
    removes: Option<String>,
    /// Its standard input.
    #[serde(default)]
    stdin: Option<String>,
    /// Whether a line end is added to `stdin`.
    #[serde(default = "yes")]
    stdin_add_newline: bool,
    /// Whether line ends at the end of its output are dropped.
    #[serde(default = "yes")]
    strip_empty_ends: bool,
    /// Whether `~` and `$NAME` in arguments are expanded.
    #[serde(default = "yes")]
    expand_argument_vars: bool,
}

pub(super) fn yes() -> bool {
    true
}

impl Command {
    fn run(&self) -> anyhow::Result<Run> {
        let words = match (&self.cmd, &self.argv) {
            (Some(_), Some(_)) => anyhow::bail!("only command or argv can be given, not both"),
            (None, Some(words)) => words.clone(),
            (Some(line), None) => {
                shlex::split(line).ok_or_else(|| anyhow::anyhow!("the command `{line}` has unbalanced quotes"))?
            }
            (None, None) => vec![],
        };
        anyhow::ensure!(words.first().is_some_and(|word| !word.is_empty()), "no command given");
        let expand = |word: &String| if self.expand_argument_vars { expanded(word) } else { quote(word) };
        let program: Vec<String> = words.iter().map(expand).collect();
        let mut script = Script::default();
        // `exec` takes programs only: what a shell has built in is no program.
        let line = format!("exec {}", program.join(" "));
        script.text = fed(&mut script, self.stdin.as_deref(), self.stdin_add_newline, &line);
        Ok(Run {
            cmd: Some(Value::from(words)),
            chdir: self.chdir.clone(),
            creates: self.creates.clone(),
            removes: self.removes.clone(),
            strip: self.strip_empty_ends,
            ..Run::new(script)
        })
    }
}

/// A word in which the host's shell expands `~` at the beginning and `$NAME`, `${NAME}`; unknown names stay as they are.
fn expanded(word: &str) -> String {
    let name_end = |text: &str| text.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(text.len());
    let mut out = String::new();
    let mut rest = word;
    if let Some(tail) = word.strip_prefix('~') {
        let end = tail.find('/').unwrap_or(tail.len());
        if tail[..end].chars().all(|c| c.is_ascii_alphanumeric() || "_-.".contains(c)) {
            out.push_str(&word[..=end]);
            rest = &tail[end..];
        }
    }
    let mut plain = String::new();
    let flush = |plain: &mut String, out: &mut String| {
        if !plain.is_empty() {
            out.push_str(&quote(&std::mem::take(plain)));
        }
    };
    while let Some(at) = rest.find('$') {
        plain.push_str(&rest[..at]);
        let after = &rest[at + 1..];
        let (name, length) = match after.strip_prefix('{') {
            Some(inner) => inner.find('}').map_or(("", 0), |end| (&inner[..end], end + 2)),
            None => (&after[..name_end(after)], name_end(after)),
        };
        if name.is_empty() || name_end(name) != name.len() || name.starts_with(|c: char| c.is_ascii_digit()) {
            plain.push('$');
            rest = after;
            continue;
        }
        flush(&mut plain, &mut out);
        let written = &rest[at..=at + length];
        out.push_str(&format!("\"${{{name}-\\{written}}}\"", written = written.replace('}', "\\}")));
        rest = &after[length..];
    }
    plain.push_str(rest);
    if out.is_empty() || !plain.is_empty() {
        out.push_str(&quote(&plain));
    }
    out
}

impl HostModule for Command {
    type Drift = ();

    fn check(&self, cx: &Context) -> anyhow::Result<Check<()>> {
        Ok(self.run()?.check(cx))
    }

    fn apply(&self, (): (), _: &Context) -> anyhow::Result<Apply> {
        Ok(self.run()?.apply())
    }
}
