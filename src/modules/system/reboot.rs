//! `reboot`: the host starts anew.

use std::time::{Duration, Instant};

use schemars::JsonSchema;
use serde::Deserialize;

use crate::host::Script;
use crate::host::script::quote;
use crate::modules::{Access, Context, ControllerModule, Outcome, Verdict};

/// Reboots the host and waits until it has started, which its boot id tells, and answers a test command.
///
/// ```yaml
/// - reboot:
///     reboot_timeout: 300
/// ```
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[expect(clippy::struct_field_names, reason = "the parameters are Ansible's")]
pub(super) struct Reboot {
    /// Seconds before the reboot; shutdown counts whole minutes, so that fewer mean at once.
    #[serde(default)]
    pre_reboot_delay: u64,
    /// Seconds after the host can be reached again.
    #[serde(default)]
    post_reboot_delay: u64,
    /// Seconds until it fails, for the reboot and for the test command each.
    #[serde(default = "six_hundred")]
    reboot_timeout: u64,
    /// Seconds that one attempt to connect may take.
    #[serde(default)]
    connect_timeout: Option<u64>,
    /// The command that shows that the host is up.
    #[serde(default = "whoami")]
    test_command: String,
    /// What logged-in users are told.
    #[serde(default = "msg")]
    msg: String,
    /// Where `shutdown` is looked for.
    #[serde(default = "paths")]
    search_paths: Vec<String>,
    /// The command whose output is another after a boot.
    #[serde(default = "boot_id")]
    boot_time_command: String,
    /// The command that reboots, in place of `shutdown`.
    #[serde(default)]
    reboot_command: Option<String>,
}

fn six_hundred() -> u64 {
    600
}
fn whoami() -> String {
    "whoami".to_owned()
}
fn msg() -> String {
    "Reboot initiated by Ansible".to_owned()
}
fn paths() -> Vec<String> {
    ["/sbin", "/bin", "/usr/sbin", "/usr/bin", "/usr/local/sbin"].map(str::to_owned).to_vec()
}
fn boot_id() -> String {
    "cat /proc/sys/kernel/random/boot_id".to_owned()
}

impl ControllerModule for Reboot {
    type Drift = ();

    async fn check<'a>(&'a self, _: &'a Context, host: &'a dyn Access) -> anyhow::Result<Verdict<()>> {
        if host.is_local() {
            return Ok(Verdict::failed("Running reboot with local connection would reboot the control node."));
        }
        let outcome = Outcome::changed().with("rebooted", true).with("elapsed", 0);
        Ok(Verdict::Drift { drift: (), outcome })
    }

    async fn apply<'a>(&'a self, (): (), _: &'a Context, host: &'a dyn Access) -> anyhow::Result<Outcome> {
        let before = self.boot_id(host).await?;
        let start = Instant::now();
        // The command comes back before the connection goes: a child of its own does the work.
        let text = format!("( sleep 1; {} ) </dev/null >/dev/null 2>&1 &", self.command());
        let reply = host.run(Script::new(format!("{}\n{text}", self.needs()))).await;
        if let Ok(reply) = reply {
            anyhow::ensure!(reply.status == 0, reply.failure("the reboot"));
        }
        let limit = Duration::from_secs(self.reboot_timeout);
        let elapsed = || start.elapsed().as_secs();
        tokio::time::sleep(Duration::from_secs(self.pre_reboot_delay / 60 * 60 + 2)).await;
        loop {
            let left = limit.saturating_sub(start.elapsed());
            if left.is_zero() {
                let reason = "Timed out waiting for last boot time check: the host has not been rebooted";
                return Ok(Outcome::failed(reason).with("rebooted", false).with("elapsed", elapsed()));
            }
            let attempt = self.connect_timeout.map_or(left, Duration::from_secs).min(left);
            let now = match host.reconnect(attempt).await {
                Ok(()) => self.boot_id(host).await,
                Err(error) => Err(error),
            };
            match now {
                Ok(now) if now != before => break,
                Ok(_) => host.progress("still up: waiting for the reboot"),
                Err(error) => host.progress(&format!("not reachable yet: {error:#}")),
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        tokio::time::sleep(Duration::from_secs(self.post_reboot_delay)).await;
        let end = Instant::now() + limit;
        loop {
            let reply = host.run(Script::new(format!("sh -c {}", quote(&self.test_command)))).await;
            match reply {
                Ok(reply) if reply.status == 0 => {
                    return Ok(Outcome::changed().with("rebooted", true).with("elapsed", elapsed()));
                }
                Ok(reply) if Instant::now() >= end => {
                    let reason = format!("{:#}", reply.failure("Timed out waiting for post-reboot test command"));
                    return Ok(Outcome::failed(reason).with("rebooted", true).with("elapsed", elapsed()));
                }
                Err(error) if Instant::now() >= end => return Err(error),
                _ => tokio::time::sleep(Duration::from_secs(1)).await,
            }
        }
    }
}

impl Reboot {
    async fn boot_id(&self, host: &dyn Access) -> anyhow::Result<String> {
        let reply = host.run(Script::new(format!("sh -c {}", quote(&self.boot_time_command)))).await?;
        anyhow::ensure!(reply.status == 0, reply.failure("reading the host's boot id"));
        Ok(reply.out().trim().to_owned())
    }

    /// A check that the command is there.
    fn needs(&self) -> String {
        if self.reboot_command.is_some() {
            return String::new();
        }
        let paths = self.search_paths.join(":");
        format!(
            "PATH={}:$PATH; command -v shutdown >/dev/null 2>&1 || {{ echo 'Unable to find command shutdown in search paths' >&2; exit 1; }}",
            quote(&paths)
        )
    }

    fn command(&self) -> String {
        if let Some(command) = &self.reboot_command {
            return format!("sh -c {}", quote(command));
        }
        let minutes = self.pre_reboot_delay / 60;
        let when = if minutes == 0 { "now".to_owned() } else { format!("+{minutes}") };
        format!("shutdown -r {when} {}", quote(&self.msg))
    }
}
