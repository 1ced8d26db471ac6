//! The lock of a service on a cluster: a Lease, which its holder renews, and which ends by itself where the holder does.

use std::time::Duration;

use anyhow::Context as _;
use hyper::Method;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::client::Cluster;
use super::errors::{code, said};
use super::object::{number, text};

/// Seconds that a lock stays without being renewed.
const LASTS: i64 = 60;
/// How often it is renewed.
const RENEWED: Duration = Duration::from_secs(15);
/// How long after a renewal the next may take to succeed: the work ends before another may take the lock.
const TRUSTED: Duration = Duration::from_secs(50);

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

/// Whether a lease seems to have ended. Clocks differ: that is reason enough to watch it, not to take it.
fn seems_over(lease: &Value) -> bool {
    let renewed = text(lease, "/spec/renewTime").parse::<jiff::Timestamp>();
    renewed.is_ok_and(|at| jiff::Timestamp::now().as_second() - at.as_second() > lasts(lease))
}

fn lasts(lease: &Value) -> i64 {
    number(lease, "/spec/leaseDurationSeconds").max(1)
}

/// Another's lease, watched by our own clock.
#[derive(Default)]
struct Watched {
    /// As it was last, and since when it is like that.
    last: Option<(Value, Instant)>,
    /// It was renewed meanwhile: its holder is at work.
    lives: bool,
}

impl Watched {
    /// Whether it was not renewed for as long as it lasts.
    fn is_over(&mut self, lease: &Value, at: Instant) -> bool {
        let now = json!([lease["metadata"]["uid"], lease["spec"]]);
        match &self.last {
            Some((last, since)) if *last == now => {
                at.duration_since(*since) > Duration::from_secs(lasts(lease).unsigned_abs())
            }
            last => {
                self.lives = last.is_some();
                self.last = Some((now, at));
                false
            }
        }
    }
}

/// Whether a lease is the one that was sent: the answer to a request can be lost, and its repetition meets what the first one made.
fn is_same(lease: &Value, sent: &Value) -> bool {
    let acquired = |lease: &Value| text(lease, "/spec/acquireTime").parse::<jiff::Timestamp>().ok();
    text(lease, "/spec/holderIdentity") == text(sent, "/spec/holderIdentity")
        && acquired(sent).is_some_and(|at| acquired(lease) == Some(at))
}

/// Removes the very lease that was looked at; false where it is another by now.
async fn remove(cluster: &Cluster, path: &str, lease: &Value) -> anyhow::Result<bool> {
    let seen = &lease["metadata"];
    let only = json!({"preconditions": {"uid": seen["uid"], "resourceVersion": seen["resourceVersion"]}});
    match cluster.call(&Method::DELETE, path, Some(("application/json", &only))).await {
        Ok(_) => Ok(true),
        Err(error) => match code(&error) {
            Some(404) => Ok(true),
            Some(409) => Ok(false),
            _ => Err(said(error)),
        },
    }
}

fn now() -> String {
    format!("{:.6}", jiff::Timestamp::now())
}

/// Takes the lock, waiting for it up to `wait`; one whose holder seems to be gone is watched for as long as it lasts.
///
/// # Errors
/// The server refuses; the inner error: another holds it.
pub(crate) async fn take<'a>(
    cluster: &'a Cluster,
    namespace: &str,
    name: &str,
    by: &str,
    wait: Duration,
    progress: &(dyn Fn(&str) + Sync),
) -> anyhow::Result<Result<Lock<'a>, Held>> {
    let leases = format!("/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases");
    let path = format!("{leases}/{name}");
    let owner = me(by);
    let until = Instant::now() + wait;
    let mut watched = Watched::default();
    loop {
        let sent = json!({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
            "metadata": {"name": name, "namespace": namespace, "labels": {"app.kubernetes.io/managed-by": "crudctl"}},
            "spec": {"holderIdentity": owner, "leaseDurationSeconds": LASTS, "acquireTime": now(), "renewTime": now()}});
        match cluster.call(&Method::POST, &leases, Some(("application/json", &sent))).await {
            Ok(_) => return Ok(Ok(Lock { cluster, path, owner })),
            Err(error) if code(&error) == Some(409) => {}
            Err(error) => return Err(said(error)).context("the lock can't be taken"),
        }
        let Some(lease) = cluster.get(&path).await? else { continue };
        if is_same(&lease, &sent) {
            return Ok(Ok(Lock { cluster, path, owner }));
        }
        let holder = text(&lease, "/spec/holderIdentity");
        let first = watched.last.is_none();
        if watched.is_over(&lease, Instant::now()) || is_gone(holder, by) {
            remove(cluster, &path, &lease).await?;
            watched = Watched::default();
            continue;
        }
        let may_be_over = seems_over(&lease) && !watched.lives;
        if may_be_over && first {
            let seconds = lasts(&lease);
            progress(&format!(
                "{holder} seems to be gone: its lock is taken over if it is not renewed for {seconds} s"
            ));
        }
        if !may_be_over && Instant::now() >= until {
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
            let renewed = Instant::now();
            tokio::time::sleep(RENEWED).await;
            match tokio::time::timeout_at(renewed + TRUSTED, self.renew_once()).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => return error,
                Err(_) => {
                    let silent = TRUSTED.as_secs();
                    return anyhow::anyhow!("the lock can't be renewed: the API server gave no answer for {silent} s");
                }
            }
        }
    }

    async fn renew_once(&self) -> anyhow::Result<()> {
        loop {
            let lease = self.cluster.get(&self.path).await.context("the lock can't be renewed")?.unwrap_or_default();
            anyhow::ensure!(text(&lease, "/spec/holderIdentity") == self.owner, "the lock was lost: another took it");
            // Refused where somebody wrote to it meanwhile.
            let version = &lease["metadata"]["resourceVersion"];
            let patch = json!({"metadata": {"resourceVersion": version}, "spec": {"renewTime": now()}});
            let content = Some(("application/merge-patch+json", &patch));
            match self.cluster.call(&Method::PATCH, &self.path, content).await {
                Ok(_) => return Ok(()),
                Err(error) if code(&error) == Some(409) => {}
                Err(error) => return Err(said(error)).context("the lock can't be renewed"),
            }
        }
    }

    async fn give(&self) -> anyhow::Result<()> {
        loop {
            let Some(lease) = self.cluster.get(&self.path).await? else { return Ok(()) };
            let own = text(&lease, "/spec/holderIdentity") == self.owner;
            if !own || remove(self.cluster, &self.path, &lease).await? {
                return Ok(());
            }
        }
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

    /// An API server of one lease. It keeps the first that it is sent and says that it is busy, as one does that ends at that moment.
    async fn serve(listener: tokio::net::TcpListener, seen: std::sync::Arc<std::sync::Mutex<Vec<(String, Value)>>>) {
        use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
        let mut kept: Option<Value> = None;
        while let Ok((stream, _)) = listener.accept().await {
            let mut stream = BufReader::new(stream);
            let (mut head, mut length) = (String::new(), 0);
            loop {
                let mut line = String::new();
                stream.read_line(&mut line).await.expect("a line");
                if let Some(bytes) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                    length = bytes.trim().parse().expect("a number");
                }
                if line.trim().is_empty() {
                    break;
                }
                head.push_str(&line);
            }
            let mut body = vec![0; length];
            stream.read_exact(&mut body).await.expect("a body");
            let body: Value = serde_json::from_slice(&body).unwrap_or_default();
            let method = head.split(' ').next().unwrap_or_default().to_owned();
            let (status, answer) = match (&*method, &kept) {
                ("POST", None) => {
                    let mut lease = body.clone();
                    lease["metadata"]["uid"] = "u1".into();
                    lease["metadata"]["resourceVersion"] = "7".into();
                    kept = Some(lease);
                    (503, json!({"kind": "Status", "status": "Failure", "code": 503, "message": "busy", "reason": ""}))
                }
                ("POST", Some(_)) => (
                    409,
                    json!({"kind": "Status", "status": "Failure", "code": 409, "message": "there", "reason": "AlreadyExists"}),
                ),
                (_, Some(lease)) => (200, lease.clone()),
                (_, None) => {
                    (404, json!({"kind": "Status", "status": "Failure", "code": 404, "message": "", "reason": ""}))
                }
            };
            seen.lock().expect("seen").push((method, body));
            let text = answer.to_string();
            let head = format!("HTTP/1.1 {status} x\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", text.len());
            stream.write_all(format!("{head}{text}").as_bytes()).await.expect("sent");
            stream.shutdown().await.expect("closed");
        }
    }

    #[tokio::test]
    async fn an_answer_that_is_lost_is_no_other_holder() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let at = listener.local_addr().expect("an address");
        let seen = std::sync::Arc::default();
        let server = tokio::spawn(serve(listener, std::sync::Arc::clone(&seen)));
        let folder = tempfile::tempdir().expect("a folder");
        let kubeconfig = folder.path().join("config");
        let text = json!({"apiVersion": "v1", "kind": "Config", "current-context": "c",
            "clusters": [{"name": "c", "cluster": {"server": format!("http://{at}")}}],
            "users": [{"name": "u", "user": {}}], "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}]});
        std::fs::write(&kubeconfig, text.to_string()).expect("written");
        let place = super::super::client::Place { kubeconfig: Some(kubeconfig), ..Default::default() };
        let cluster = Cluster::connect(&place).await.expect("a client");
        let lock = take(&cluster, "shop", "web", "ann@desk", Duration::ZERO, &|_| {}).await.expect("it answers");
        let lock = lock.map_err(|held| held.0).expect("ours");
        lock.renew_once().await.expect("renewed");
        lock.give().await.expect("given back");
        let seen: Vec<(String, Value)> = seen.lock().expect("seen").clone();
        let methods: Vec<&str> = seen.iter().map(|(method, _)| &**method).collect();
        assert_eq!(methods, ["POST", "POST", "GET", "GET", "PATCH", "GET", "DELETE"]);
        assert_eq!(seen[4].1["metadata"]["resourceVersion"], "7");
        assert_eq!(seen[6].1["preconditions"], json!({"uid": "u1", "resourceVersion": "7"}));
        server.abort();
    }

    #[test]
    fn only_our_own_clock_ends_a_lease() {
        let lease = |at: &str| json!({"metadata": {"uid": "u"}, "spec": {"leaseDurationSeconds": 60, "renewTime": at}});
        let (past, future) = (lease("2020-01-01T00:00:00.000000Z"), lease("2100-01-01T00:00:00.000000Z"));
        assert!(seems_over(&past) && !seems_over(&future));
        let (mut watched, now) = (Watched::default(), Instant::now());
        let after = |seconds: u64| now + Duration::from_secs(seconds);
        assert!(!watched.is_over(&past, now));
        assert!(!watched.is_over(&past, after(59)) && !watched.lives);
        // It is renewed, by a clock that is ahead.
        assert!(!watched.is_over(&future, after(60)) && watched.lives);
        assert!(!watched.is_over(&future, after(120)));
        assert!(watched.is_over(&future, after(121)));
    }
}
