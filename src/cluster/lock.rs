//! The lock of a service on a cluster: a Lease, which its holder renews, and which ends by itself where the holder does.

use std::time::Duration;

use anyhow::Context as _;
use hyper::Method;
use serde_json::{Value, json};

use super::client::Cluster;
use super::errors::{code, said};
use super::object::{number, text};

/// Seconds that a lock stays without being renewed.
const LASTS: i64 = 60;
/// How often it is renewed.
const RENEWED: Duration = Duration::from_secs(15);

/// A lock that is held.
pub(crate) struct Lock<'a> {
    cluster: &'a Cluster,
    path: String,
    owner: String,
}

/// Another holds it.
#[derive(Debug)]
pub(crate) struct Held(pub String);

/// This process, as others see it.
fn me(by: &str) -> String {
    format!("{by}/{}", std::process::id())
}

/// Whether the holder is a process of this machine that is gone.
fn is_gone(holder: &str, by: &str) -> bool {
    let Some((who, process)) = holder.rsplit_once('/') else { return false };
    let machine = |who: &str| who.rsplit_once('@').map(|(_, machine)| machine.to_owned());
    machine(who).is_some()
        && machine(who) == machine(by)
        && process.parse::<u32>().is_ok_and(|id| !std::path::Path::new(&format!("/proc/{id}")).exists())
}

fn has_expired(lease: &Value) -> bool {
    let lasts = number(lease, "/spec/leaseDurationSeconds").max(1);
    let renewed = text(lease, "/spec/renewTime").parse::<jiff::Timestamp>();
    renewed.is_ok_and(|at| jiff::Timestamp::now().as_second() - at.as_second() > lasts)
}

fn now() -> String {
    format!("{:.6}", jiff::Timestamp::now())
}

/// Takes the lock, waiting for it up to `wait`.
///
/// # Errors
/// The server refuses; the inner error: another holds it.
pub(crate) async fn take<'a>(
    cluster: &'a Cluster,
    namespace: &str,
    name: &str,
    by: &str,
    wait: Duration,
) -> anyhow::Result<Result<Lock<'a>, Held>> {
    let leases = format!("/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases");
    let path = format!("{leases}/{name}");
    let owner = me(by);
    let until = tokio::time::Instant::now() + wait;
    loop {
        let lease = json!({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
            "metadata": {"name": name, "namespace": namespace, "labels": {"app.kubernetes.io/managed-by": "crudctl"}},
            "spec": {"holderIdentity": owner, "leaseDurationSeconds": LASTS, "acquireTime": now(), "renewTime": now()}});
        match cluster.call(&Method::POST, &leases, Some(("application/json", &lease))).await {
            Ok(_) => return Ok(Ok(Lock { cluster, path, owner })),
            Err(error) if code(&error) == Some(409) => {}
            Err(error) => return Err(said(error)).context("the lock can't be taken"),
        }
        let Some(lease) = cluster.get(&path).await? else { continue };
        let holder = text(&lease, "/spec/holderIdentity");
        if has_expired(&lease) || is_gone(holder, by) {
            // Only the very lease that was judged.
            let own = json!({"preconditions": {"uid": lease["metadata"]["uid"], "resourceVersion": lease["metadata"]["resourceVersion"]}});
            match cluster.call(&Method::DELETE, &path, Some(("application/json", &own))).await {
                Err(error) if !matches!(code(&error), Some(404 | 409)) => return Err(said(error)),
                _ => continue,
            }
        }
        if tokio::time::Instant::now() >= until {
            let since = text(&lease, "/spec/acquireTime");
            return Ok(Err(Held(format!("locked by {holder} since {since} (Lease {namespace}/{name})"))));
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

impl Lock<'_> {
    /// Does work under the lock, renews it meanwhile, and gives it back.
    ///
    /// # Errors
    /// What the work gives; the lock was lost.
    pub(crate) async fn during<T>(self, work: impl Future<Output = anyhow::Result<T>> + Send) -> anyhow::Result<T> {
        let ended = tokio::select! {
            ended = work => ended,
            lost = self.renew() => Err(lost),
        };
        let gone = self.give().await;
        let ended = ended?;
        gone.context("the lock could not be given back")?;
        Ok(ended)
    }

    /// Ends only where it can't go on.
    async fn renew(&self) -> anyhow::Error {
        loop {
            tokio::time::sleep(RENEWED).await;
            match self.cluster.get(&self.path).await {
                Ok(Some(lease)) if text(&lease, "/spec/holderIdentity") == self.owner => {}
                Ok(_) => return anyhow::anyhow!("the lock was lost: another took it"),
                Err(error) => return error.context("the lock can't be renewed"),
            }
            let patch = json!({"spec": {"renewTime": now()}});
            let content = Some(("application/merge-patch+json", &patch));
            if let Err(error) = self.cluster.call(&Method::PATCH, &self.path, content).await {
                return said(error).context("the lock can't be renewed");
            }
        }
    }

    async fn give(&self) -> anyhow::Result<()> {
        let Some(lease) = self.cluster.get(&self.path).await? else { return Ok(()) };
        if text(&lease, "/spec/holderIdentity") == self.owner {
            self.cluster.delete(&self.path, &json!({})).await?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_process_of_this_machine_that_is_gone_is_gone() {
        assert!(is_gone("ann@desk/4294967294", "bob@desk"));
        assert!(!is_gone("ann@other/4294967294", "bob@desk"));
        assert!(!is_gone(&me("ann@desk"), "bob@desk"));
    }

    #[test]
    fn a_lease_ends_by_itself() {
        let lease = |at: &str| json!({"spec": {"leaseDurationSeconds": 60, "renewTime": at}});
        assert!(has_expired(&lease("2020-01-01T00:00:00.000000Z")));
        assert!(!has_expired(&lease(&now())));
    }
}
