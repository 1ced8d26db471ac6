//! `slurp`: a file's content, in base64.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::host::script::{Script, quote_path};
use crate::modules::contract::{Apply, Check, Context, HostModule, Outcome, Verdict};

/// Reads a file of the host.
///
/// ```yaml
/// - slurp:
///     src: /proc/mounts
///   register: mounts
/// - debug:
///     msg: "{{ mounts.content | b64decode }}"
/// ```
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Slurp {
    /// The file.
    #[serde(alias = "path")]
    src: String,
}

impl HostModule for Slurp {
    type Drift = std::convert::Infallible;

    fn check(&self, _: &Context) -> anyhow::Result<Check<Self::Drift>> {
        let path = quote_path(&self.src);
        let mut script = Script::default();
        script.line(format!("p={path}; [ -e \"$p\" ] || {{ echo \"file not found: $p\" >&2; exit 1; }}"));
        script.line("[ ! -d \"$p\" ] || { echo \"source is a directory and must be a file: $p\" >&2; exit 1; }");
        script.line("[ -r \"$p\" ] || { echo \"file is not readable: $p\" >&2; exit 1; }");
        script.line("cat -- \"$p\"");
        let source = self.src.clone();
        Ok(Check::ask(script, move |reply| {
            if reply.status != 0 {
                return Ok(Verdict::failed(reply.err().trim().to_owned()));
            }
            use base64::Engine as _;
            let content = base64::engine::general_purpose::STANDARD.encode(&reply.stdout);
            Ok(Verdict::Converged(
                Outcome::ok().with("content", content).with("source", source).with("encoding", "base64"),
            ))
        }))
    }

    fn apply(&self, drift: Self::Drift, _: &Context) -> anyhow::Result<Apply> {
        match drift {}
    }
}
