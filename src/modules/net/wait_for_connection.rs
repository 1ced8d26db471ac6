//! `wait_for_connection`: until the host can be reached.

use std::sync::Arc;
use std::time::{Duration, Instant};

use schemars::JsonSchema;
use serde::Deserialize;

use crate::host::Script;
use crate::modules::{Access, Context, ControllerModule, Outcome, Prepared, Verdict};
use crate::text::{Diagnostic, Node, typed};

/// Waits until the host can be logged in to and runs a script.
///
/// ```yaml
/// - wait_for_connection:
///     delay: 5
///     timeout: 300
/// ```
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct WaitForConnection {
    /// Seconds that one attempt may take.
    #[serde(default = "five")]
    connect_timeout: u64,
    /// Seconds before the first attempt.
    #[serde(default)]
    delay: u64,
    /// Seconds between attempts.
    #[serde(default = "one")]
    sleep: u64,
    /// Seconds until it fails.
    #[serde(default = "six_hundred")]
    timeout: u64,
}

fn one() -> u64 {
    1
}
fn five() -> u64 {
    5
}
fn six_hundred() -> u64 {
    600
}

/// Types the arguments; unknown ones are named in the words that tests of playbooks look for.
pub(super) fn prepare(args: &Node) -> Result<Prepared, Diagnostic> {
    const KNOWN: [&str; 4] = ["connect_timeout", "delay", "sleep", "timeout"];
    let unknown = args.entries().iter().find(|(key, _)| key.as_str().is_none_or(|key| !KNOWN.contains(&key)));
    if let Some((key, _)) = unknown {
        let text = format!("Invalid options for wait_for_connection: {}", key.key_text());
        return Err(Diagnostic::error(text, &key.place));
    }
    Ok(Prepared::Controller(Arc::new(typed::<WaitForConnection>(args)?)))
}

impl ControllerModule for WaitForConnection {
    type Drift = ();

    async fn check<'a>(&'a self, cx: &'a Context, host: &'a dyn Access) -> anyhow::Result<Verdict<()>> {
        if cx.check_mode {
            return Ok(Verdict::Converged(Outcome { skipped: true, ..Outcome::ok() }));
        }
        let start = Instant::now();
        tokio::time::sleep(Duration::from_secs(self.delay)).await;
        let limit = Duration::from_secs(self.timeout);
        let elapsed = |start: Instant| start.elapsed().as_secs();
        loop {
            let left = limit.saturating_sub(start.elapsed()).max(Duration::from_secs(1));
            let attempt = async {
                host.reconnect(left).await?;
                let reply =
                    tokio::time::timeout(Duration::from_secs(self.connect_timeout.max(1)), host.run(Script::new(":")))
                        .await
                        .map_err(|_| anyhow::anyhow!("no answer within {} s", self.connect_timeout))??;
                anyhow::ensure!(reply.status == 0, reply.failure("the test script"));
                anyhow::Ok(())
            };
            match attempt.await {
                Ok(()) => return Ok(Verdict::Converged(Outcome::ok().with("elapsed", elapsed(start)))),
                Err(error) if start.elapsed() >= limit => {
                    let reason = format!("timed out waiting for ping module test: {error:#}");
                    return Ok(Verdict::Failed(Outcome::failed(reason).with("elapsed", elapsed(start))));
                }
                Err(error) => {
                    host.progress(&format!("not reachable yet: {error:#}"));
                    tokio::time::sleep(Duration::from_secs(self.sleep.max(1))).await;
                }
            }
        }
    }

    async fn apply<'a>(&'a self, (): (), _: &'a Context, _: &'a dyn Access) -> anyhow::Result<Outcome> {
        anyhow::bail!("wait_for_connection changes nothing")
    }
}
