//! `ping`: whether scripts run on the host.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::host::Script;
use crate::modules::{Apply, Check, Context, HostModule, Outcome, Verdict};

/// Answers `pong` where a script can be run on the host as the task's user.
///
/// ```yaml
/// - ping:
/// ```
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Ping {
    /// The answer; `crash` makes the task fail.
    #[serde(default = "pong")]
    data: String,
}

fn pong() -> String {
    "pong".to_owned()
}

impl HostModule for Ping {
    type Drift = ();

    fn check(&self, _: &Context) -> anyhow::Result<Check<()>> {
        let data = self.data.clone();
        Ok(Check::ask(Script::new(if data == "crash" { "exit 1" } else { ":" }), move |reply| {
            Ok(match reply.status {
                0 => Verdict::Converged(Outcome::ok().with("ping", data)),
                _ if data == "crash" => Verdict::failed("boom"),
                _ => return Err(reply.failure("ping")),
            })
        }))
    }

    fn apply(&self, (): (), _: &Context) -> anyhow::Result<Apply> {
        anyhow::bail!("ping changes nothing")
    }
}
