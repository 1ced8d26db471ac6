//! `script`: a script of this machine, run on the host.

use schemars::JsonSchema;
use serde::Deserialize;

use super::common::Run;
use crate::host::script::{Script, quote};
use crate::modules::{Apply, Check, Context, HostModule};

/// Runs a script of this machine on the host.
///
/// It needs no shell in particular: its first line says by what it is run.
///
/// ```yaml
/// - script: /some/local/script.py 1234
///   args:
///     creates: /the/created/file.txt
/// ```
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ScriptModule {
    /// The script's path on this machine, and arguments behind it, quoted as for a shell.
    #[serde(alias = "_raw_params", alias = "free_form")]
    cmd: String,
    /// The program that runs it (with arguments), in place of its first line's.
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
}

impl ScriptModule {
    fn run(&self, cx: &Context) -> anyhow::Result<Run> {
        let words = shlex::split(&self.cmd)
            .filter(|words| !words.is_empty())
            .ok_or_else(|| anyhow::anyhow!("no script given, or unbalanced quotes: `{}`", self.cmd))?;
        let path = cx.find_file("files", &words[0])?;
        let bytes =
            std::fs::read(&path).map_err(|error| anyhow::anyhow!("can't read `{}`: {error}", path.display()))?;
        anyhow::ensure!(
            !crate::language::Vault::is_vaulted(&bytes),
            "`{}` is encrypted: scripts are not decrypted",
            path.display()
        );
        let mut script = Script::default();
        let file = script.upload(bytes);
        let arguments = words[1..].iter().fold(String::new(), |all, word| all + " " + &quote(word));
        script.text = match &self.executable {
            Some(program) => {
                let program = shlex::split(program)
                    .filter(|words| !words.is_empty())
                    .ok_or_else(|| anyhow::anyhow!("`executable` has unbalanced quotes"))?;
                let program: Vec<String> = program.iter().map(|word| quote(word)).collect();
                format!("exec {} {file}{arguments}", program.join(" "))
            }
            None => format!("chmod u+rx {file} && exec {file}{arguments}"),
        };
        Ok(Run {
            chdir: self.chdir.clone(),
            creates: self.creates.clone(),
            removes: self.removes.clone(),
            strip: false,
            skips: true,
            ..Run::new(script)
        })
    }
}

impl HostModule for ScriptModule {
    type Drift = ();

    fn check(&self, cx: &Context) -> anyhow::Result<Check<()>> {
        Ok(self.run(cx)?.check(cx))
    }

    fn apply(&self, (): (), cx: &Context) -> anyhow::Result<Apply> {
        Ok(self.run(cx)?.apply())
    }
}
