//! `wait_for`: until a port, a file or a text is there (or gone).

use std::time::{Duration, Instant};

use fancy_regex::Regex;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tokio::io::AsyncReadExt as _;

use super::sockets;
use crate::host::Script;
use crate::host::script::{quote, quote_path};
use crate::modules::{Access, Context, ControllerModule, Outcome, Verdict};

/// Waits until a port can be connected to, a file exists, or a text appears in either; or until they are gone.
///
/// All of it as the host sees it. Without port and path it waits for `timeout`.
///
/// ```yaml
/// - wait_for:
///     port: 8080
///     delay: 1
///     timeout: 60
/// ```
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct WaitFor {
    /// The address that is connected to.
    #[serde(default = "localhost")]
    host: String,
    /// The port.
    #[serde(default)]
    port: Option<u16>,
    /// A file on the host.
    #[serde(default)]
    path: Option<String>,
    /// `present`, `started`: there; `absent`, `stopped`: gone; `drained`: no connection to the port is left.
    #[serde(default)]
    state: State,
    /// What the file, or what the port sends, has to match.
    #[serde(default)]
    search_regex: Option<String>,
    /// Seconds until it fails.
    #[serde(default = "three_hundred")]
    timeout: u64,
    /// Seconds before the first attempt.
    #[serde(default)]
    delay: u64,
    /// Seconds between attempts.
    #[serde(default = "one")]
    sleep: u64,
    /// Seconds that one attempt to connect may take.
    #[serde(default = "five")]
    connect_timeout: u64,
    /// The message of the failure.
    #[serde(default)]
    msg: Option<String>,
    /// Addresses whose connections don't count for `drained`.
    #[serde(default)]
    exclude_hosts: Vec<String>,
    /// The states of connections that count for `drained`.
    #[serde(default = "active")]
    active_connection_states: Vec<String>,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum State {
    Absent,
    Drained,
    Present,
    #[default]
    Started,
    Stopped,
}

impl State {
    fn word(self) -> &'static str {
        match self {
            Self::Absent => "absent",
            Self::Drained => "drained",
            Self::Present => "present",
            Self::Started => "started",
            Self::Stopped => "stopped",
        }
    }

    fn gone(self) -> bool {
        matches!(self, Self::Absent | Self::Stopped)
    }
}

fn localhost() -> String {
    "127.0.0.1".to_owned()
}
fn three_hundred() -> u64 {
    300
}
fn one() -> u64 {
    1
}
fn five() -> u64 {
    5
}
fn active() -> Vec<String> {
    ["ESTABLISHED", "FIN_WAIT1", "FIN_WAIT2", "SYN_RECV", "SYN_SENT", "TIME_WAIT"].map(str::to_owned).to_vec()
}

/// The status of a host that has no means to connect.
const NO_MEANS: i32 = 99;

/// `t`: connects to `$h`, port `$p`, for up to `$c` seconds. Debian always has bash and perl.
const TEST_PORT: &str = r#"if command -v bash >/dev/null 2>&1 && command -v timeout >/dev/null 2>&1; then t() { timeout "$c" bash -c 'exec 3<>"/dev/tcp/$1/$2"' _ "$h" "$p" 2>/dev/null; }
elif command -v nc >/dev/null 2>&1; then t() { nc -z -w "$c" "$h" "$p" </dev/null >/dev/null 2>&1; }
elif command -v perl >/dev/null 2>&1; then t() { perl -MIO::Socket::INET -e 'exit(IO::Socket::INET->new(PeerAddr=>$ARGV[0],PeerPort=>$ARGV[1],Timeout=>$ARGV[2])?0:1)' "$h" "$p" "$c"; }
else exit 99; fi"#;

/// What an attempt found: whether it is as wanted, and what matched.
struct Found {
    there: bool,
    groups: Value,
    named: Value,
}

impl Found {
    fn of(there: bool) -> Self {
        Self { there, groups: json!([]), named: json!({}) }
    }
}

impl ControllerModule for WaitFor {
    type Drift = ();

    async fn check<'a>(&'a self, cx: &'a Context, host: &'a dyn Access) -> anyhow::Result<Verdict<()>> {
        let regex = self.validate()?;
        if cx.check_mode {
            return Ok(Verdict::Converged(Outcome { skipped: true, ..Outcome::ok() }));
        }
        let start = Instant::now();
        let limit = Duration::from_secs(self.timeout);
        tokio::time::sleep(Duration::from_secs(self.delay)).await;
        if self.port.is_none() && self.path.is_none() && self.state != State::Drained {
            tokio::time::sleep(limit).await;
            return Ok(Verdict::Converged(self.outcome(start, Found::of(true))));
        }
        loop {
            let left = limit.saturating_sub(start.elapsed());
            let found = if self.state == State::Drained {
                Found::of(self.connections(host).await? == 0)
            } else if let Some(path) = &self.path {
                self.file(path, regex.as_ref(), left, host).await?
            } else {
                self.port(regex.as_ref(), left, host).await?
            };
            if found.there != self.state.gone() {
                return Ok(Verdict::Converged(self.outcome(start, found)));
            }
            if start.elapsed() >= limit {
                let failed = Some(self.msg.clone().unwrap_or_else(|| self.timed_out()));
                let outcome = Outcome { failed, ..Outcome::ok() };
                return Ok(Verdict::Failed(outcome.with("elapsed", start.elapsed().as_secs())));
            }
            let pause = Duration::from_secs(self.sleep).min(limit.saturating_sub(start.elapsed()));
            tokio::time::sleep(pause.max(Duration::from_millis(50))).await;
        }
    }

    async fn apply<'a>(&'a self, (): (), _: &'a Context, _: &'a dyn Access) -> anyhow::Result<Outcome> {
        anyhow::bail!("wait_for changes nothing")
    }
}

impl WaitFor {
    fn validate(&self) -> anyhow::Result<Option<Regex>> {
        anyhow::ensure!(
            self.port.is_none() || self.path.is_none(),
            "port and path parameter can not both be passed to wait_for"
        );
        anyhow::ensure!(
            self.path.is_none() || self.state != State::Stopped,
            "state=stopped should only be used for checking a port in the wait_for module"
        );
        anyhow::ensure!(
            self.path.is_none() || self.state != State::Drained,
            "state=drained should only be used for checking a port in the wait_for module"
        );
        anyhow::ensure!(
            self.exclude_hosts.is_empty() || self.state == State::Drained,
            "exclude_hosts should only be with state=drained"
        );
        anyhow::ensure!(self.state != State::Drained || self.port.is_some(), "state=drained needs `port`");
        for state in &self.active_connection_states {
            anyhow::ensure!(
                sockets::state(state).is_some(),
                "unknown active_connection_state ({state}) defined: known are {}",
                sockets::names()
            );
        }
        // Python's MULTILINE, as the module's own search is.
        self.search_regex.as_ref().map(|text| Ok(Regex::new(&format!("(?m){text}"))?)).transpose()
    }

    fn outcome(&self, start: Instant, found: Found) -> Outcome {
        Outcome::ok()
            .with("state", self.state.word())
            .with("port", self.port)
            .with("search_regex", self.search_regex.clone())
            .with("match_groups", found.groups)
            .with("match_groupdict", found.named)
            .with("path", self.path.clone())
            .with("elapsed", start.elapsed().as_secs())
    }

    fn timed_out(&self) -> String {
        let at = match (&self.path, self.port) {
            (Some(path), _) => path.clone(),
            (None, port) => format!("{}:{}", self.host, port.unwrap_or_default()),
        };
        match (&self.search_regex, self.state) {
            (_, State::Drained) => format!("Timeout when waiting for {at} to drain"),
            (_, State::Absent | State::Stopped) if self.path.is_some() => {
                format!("Timeout when waiting for {at} to be absent.")
            }
            (_, State::Absent | State::Stopped) => format!("Timeout when waiting for {at} to stop."),
            (Some(regex), _) => format!("Timeout when waiting for search string {regex} in {at}"),
            (None, _) if self.path.is_some() => format!("Timeout when waiting for file {at}"),
            (None, _) => format!("Timeout when waiting for {at}"),
        }
    }

    /// The file: without a pattern the host itself looks again and again.
    async fn file(
        &self,
        path: &str,
        regex: Option<&Regex>,
        left: Duration,
        host: &dyn Access,
    ) -> anyhow::Result<Found> {
        let word = quote_path(path);
        let Some(regex) = regex else {
            let text = self.turns(&format!("f={word}\nt() {{ [ -e \"$f\" ]; }}"), left);
            return Ok(Found::of(host.run(Script::new(text)).await?.status == 0));
        };
        let reply = host.run(Script::new(format!("cat {word}"))).await?;
        if reply.status != 0 {
            return Ok(Found::of(false));
        }
        Ok(matched(regex, &reply.out())?.unwrap_or_else(|| Found::of(false)))
    }

    /// The port. A forwarded connection is open before the far end answers, so that the host's own means are asked where it has any.
    async fn port(&self, regex: Option<&Regex>, left: Duration, host: &dyn Access) -> anyhow::Result<Found> {
        if regex.is_some() || host.is_local() {
            return Ok(self.connect(regex, left, host).await);
        }
        let words = format!(
            "h={} p={} c={}\n{TEST_PORT}",
            quote(&self.host),
            self.port.unwrap_or_default(),
            self.connect_timeout.max(1)
        );
        let reply = host.run(Script::new(self.turns(&words, left))).await?;
        Ok(match reply.status {
            0 => Found::of(true),
            NO_MEANS => self.connect(regex, left, host).await,
            _ => Found::of(false),
        })
    }

    /// A script that runs the test `t` until it is as wanted, for up to 20 seconds; its status says whether it is there.
    fn turns(&self, test: &str, left: Duration) -> String {
        let turns = (left.as_secs().min(20) / self.sleep.max(1)).max(1);
        let (stop, other) = if self.state.gone() { (1, 0) } else { (0, 1) };
        let not = if self.state.gone() { "! " } else { "" };
        format!(
            "{test}\ni=0; while :; do if {not}t; then exit {stop}; fi; i=$((i+1)); [ $i -lt {turns} ] || exit {other}; sleep {}; done",
            self.sleep.max(1)
        )
    }

    async fn connect(&self, regex: Option<&Regex>, left: Duration, host: &dyn Access) -> Found {
        let limit = Duration::from_secs(self.connect_timeout.max(1)).min(left.max(Duration::from_secs(1)));
        let connection = host.connect(self.host.clone(), self.port.unwrap_or_default());
        let Ok(Ok(mut stream)) = tokio::time::timeout(limit, connection).await else { return Found::of(false) };
        let mut seen = Vec::new();
        let mut block = [0; 1024];
        let end = Instant::now()
            + if regex.is_some() { left } else { Duration::from_millis(if host.is_local() { 0 } else { 500 }) };
        // A forwarded connection opens before the far end is known to listen: that it isn't closed soon tells.
        loop {
            let wait = end.saturating_duration_since(Instant::now());
            match tokio::time::timeout(wait, stream.read(&mut block)).await {
                Err(_) => return Found::of(regex.is_none()),
                Ok(Err(_)) => return Found::of(false),
                Ok(Ok(0)) => return Found::of(regex.is_none() && host.is_local()),
                Ok(Ok(n)) => {
                    seen.extend_from_slice(&block[..n]);
                    match regex {
                        None => return Found::of(true),
                        Some(regex) => {
                            if let Ok(Some(found)) = matched(regex, &String::from_utf8_lossy(&seen)) {
                                return found;
                            }
                        }
                    }
                }
            }
        }
    }

    /// Connections to the port that count.
    async fn connections(&self, host: &dyn Access) -> anyhow::Result<usize> {
        let reply = host.run(Script::new("cat /proc/net/tcp /proc/net/tcp6 2>/dev/null; exit 0")).await?;
        let all = sockets::parse(&reply.out());
        let local: Option<std::net::IpAddr> = match self.host.as_str() {
            "localhost" => Some([127, 0, 0, 1].into()),
            "0.0.0.0" | "::" => None,
            text => text.parse().ok(),
        };
        let counts = |socket: &&sockets::Socket| {
            Some(socket.local.port()) == self.port
                && local.is_none_or(|ip| socket.local.ip() == ip || socket.local.ip().is_unspecified())
                && self.active_connection_states.iter().any(|name| sockets::state(name) == Some(socket.state))
                && !self.exclude_hosts.iter().any(|host| host.parse() == Ok(socket.remote.ip()))
        };
        Ok(all.iter().filter(counts).count())
    }
}

fn matched(regex: &Regex, text: &str) -> anyhow::Result<Option<Found>> {
    let Some(captures) = regex.captures(text)? else { return Ok(None) };
    let text_of = |found: Option<fancy_regex::Match<'_>>| found.map_or(Value::Null, |m| Value::from(m.as_str()));
    let groups: Vec<Value> = (1..captures.len()).map(|at| text_of(captures.get(at))).collect();
    let named: Map<String, Value> =
        regex.capture_names().flatten().map(|name| (name.to_owned(), text_of(captures.name(name)))).collect();
    Ok(Some(Found { there: true, groups: groups.into(), named: named.into() }))
}
