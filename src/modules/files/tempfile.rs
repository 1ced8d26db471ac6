//! `tempfile`: a new file or directory with a name of its own.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::host::script::{Script, quote};
use crate::modules::contract::{Applied, Apply, Check, Context, HostModule, Outcome, Verdict};

/// Makes a temporary file or directory.
///
/// ```yaml
/// - tempfile:
///     state: directory
///     suffix: build
///   register: build
/// ```
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct TempFile {
    /// What to make.
    #[serde(default)]
    state: State,
    /// The directory that it is made in.
    #[serde(default)]
    path: Option<String>,
    /// What its name begins with.
    #[serde(default = "prefix")]
    prefix: String,
    /// What its name ends with.
    #[serde(default)]
    suffix: String,
}

fn prefix() -> String {
    "ansible.".into()
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum State {
    #[default]
    File,
    Directory,
}

impl HostModule for TempFile {
    type Drift = ();

    fn check(&self, cx: &Context) -> anyhow::Result<Check<()>> {
        anyhow::ensure!(
            !self.prefix.contains('/') && !self.suffix.contains('/'),
            "`prefix` and `suffix` are parts of a name"
        );
        let outcome = if cx.check_mode { Outcome { skipped: true, ..Outcome::default() } } else { Outcome::default() };
        Ok(Check::Known(Verdict::Drift { drift: (), outcome }))
    }

    fn apply(&self, (): (), _: &Context) -> anyhow::Result<Apply> {
        let directory = self.state == State::Directory;
        let base = self.path.as_deref().map_or_else(|| "\"${TMPDIR:-/tmp}\"".to_owned(), quote);
        let (flag, make) = if directory { ("-d ", "mkdir -m 700") } else { ("", "") };
        // A name by `mktemp` in which only the end is missing.
        let mut script = Script::new(format!(
            "umask 077; b={base}; n=$(mktemp {flag}\"$b\"/{}XXXXXXXX) || exit 1\n",
            quote(&self.prefix)
        ));
        if !self.suffix.is_empty() {
            let suffix = quote(&self.suffix);
            script.line(if directory {
                format!("{make} \"$n\"{suffix} && rmdir \"$n\" && n=$n{suffix} || exit 1")
            } else {
                format!("(set -C; : >\"$n\"{suffix}) && rm -f \"$n\" && n=$n{suffix} || exit 1")
            });
        }
        script.line("printf '%s\\n' \"$n\"; stat -c '%a %u %g %U %G %s' -- \"$n\"");
        Ok(Apply::new(script, move |reply| {
            if reply.status != 0 {
                return Ok(Applied::Done(Outcome::failed(reply.failure("could not make it").to_string())));
            }
            let text = reply.out();
            let mut lines = text.lines();
            let mut outcome = Outcome::changed()
                .with("path", lines.next().unwrap_or_default())
                .with("state", if directory { "directory" } else { "file" });
            if let [mode, uid, gid, user, group, size] =
                lines.next().unwrap_or_default().split(' ').collect::<Vec<_>>()[..]
            {
                let number = |t: &str| t.parse::<i64>().unwrap_or(-1);
                outcome = outcome
                    .with("mode", format!("{mode:0>4}"))
                    .with("uid", number(uid))
                    .with("gid", number(gid))
                    .with("owner", user)
                    .with("group", group)
                    .with("size", number(size));
            }
            Ok(Applied::Done(outcome))
        }))
    }
}
