//! `shell`: text for a shell.

use schemars::JsonSchema;
use serde::Deserialize;

use super::command::yes;
use super::common::{Run, fed};
use crate::host::script::{Script, quote, quote_path};
use crate::modules::{Apply, Check, Context, HostModule};

/// Runs text in a shell on the host.
///
/// ```yaml
/// - shell: ls /etc | wc -l
///   args:
///     chdir: /tmp
/// ```
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Shell {
    /// The text.
    #[serde(alias = "_raw_params", alias = "free_form")]
    cmd: String,
    /// The shell.
    #[serde(default)]
    executable: Option<String>,
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
}

impl Shell {
    fn run(&self) -> anyhow::Result<Run> {
        anyhow::ensure!(!self.cmd.trim().is_empty(), "no command given");
        let shell = self.executable.as_deref().filter(|shell| !shell.is_empty()).unwrap_or("/bin/sh");
        let mut script = Script::default();
        let line = format!("exec {} -c {}", quote_path(shell), quote(&self.cmd));
        script.text = fed(&mut script, self.stdin.as_deref(), self.stdin_add_newline, &line);
        Ok(Run {
            cmd: Some(self.cmd.as_str().into()),
            chdir: self.chdir.clone(),
            creates: self.creates.clone(),
            removes: self.removes.clone(),
            strip: self.strip_empty_ends,
            ..Run::new(script)
        })
    }
}

impl HostModule for Shell {
    type Drift = ();

    fn check(&self, cx: &Context) -> anyhow::Result<Check<()>> {
        Ok(self.run()?.check(cx))
    }

    fn apply(&self, (): (), _: &Context) -> anyhow::Result<Apply> {
        Ok(self.run()?.apply())
    }
}
