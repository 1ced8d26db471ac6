//! `uri`: a request to a web service.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

use super::http::{Follow, Request, Response, send};
use super::place::{Place, file_name};
use super::tls::Trust;
use super::uri_body::{Format, body, text};
use crate::host::Script;
use crate::host::script::quote_path;
use crate::modules::guarded::{refuse, yes};
use crate::modules::{Access, Context, ControllerModule, Outcome, Verdict};

/// Sends a request over HTTP and judges the answer by its status.
///
/// The connection is made by the host, so addresses mean what they mean there; nothing has to be installed on it.
/// Servers are trusted by the usual public roots, or by the host's own bundle of certificates. In check mode nothing is sent.
///
/// ```yaml
/// - uri:
///     url: http://127.0.0.1:8080/employees
///     method: POST
///     body_format: json
///     body: { name: Ada }
///     status_code: [200, 201]
/// ```
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[expect(clippy::struct_excessive_bools, reason = "the parameters are Ansible's")]
pub(super) struct Uri {
    /// Where to.
    url: String,
    /// The method.
    #[serde(default = "get")]
    method: String,
    /// What to send.
    #[serde(default)]
    body: Option<Value>,
    /// How it is written.
    #[serde(default)]
    body_format: Format,
    /// A file that is sent instead: on the host where `remote_src` is set, else on this machine.
    #[serde(default)]
    src: Option<String>,
    /// `src` is on the host.
    #[serde(default)]
    remote_src: bool,
    /// Headers.
    #[serde(default)]
    headers: Map<String, Value>,
    /// Statuses that are a success.
    #[serde(default = "two_hundred")]
    status_code: Vec<u16>,
    /// Return the answer's body as `content`.
    #[serde(default)]
    return_content: bool,
    /// Which redirects are followed: `all`, `none`, `safe`.
    #[serde(default, deserialize_with = "follow")]
    #[schemars(with = "Option<String>")]
    follow_redirects: Follow,
    /// The user's name at the service.
    #[serde(default, alias = "user")]
    url_username: Option<String>,
    /// The password there.
    #[serde(default, alias = "password")]
    url_password: Option<String>,
    /// Send them at once, without being asked.
    #[serde(default)]
    force_basic_auth: bool,
    /// Check the server's certificate.
    #[serde(default = "yes")]
    validate_certs: bool,
    /// Trusted certificates (PEM), a file on the host.
    #[serde(default)]
    ca_path: Option<String>,
    /// The client's certificate (PEM, its key may follow in it), a file on the host.
    #[serde(default)]
    client_cert: Option<String>,
    /// Its key, a file on the host.
    #[serde(default)]
    client_key: Option<String>,
    /// Seconds for connecting and for the answer.
    #[serde(default = "thirty")]
    timeout: u64,
    /// Where the answer's body is written to on the host.
    #[serde(default)]
    dest: Option<String>,
    /// A file whose presence makes the task do nothing.
    #[serde(default)]
    creates: Option<String>,
    /// A file whose absence makes the task do nothing.
    #[serde(default)]
    removes: Option<String>,
    /// A socket of the host in place of the URL's address.
    #[serde(default)]
    unix_socket: Option<String>,
    /// Ask caches on the way for a new answer.
    #[serde(default)]
    force: bool,
    /// The name of the client.
    #[serde(default = "agent")]
    http_agent: String,
    /// Decode answers that are compressed by gzip.
    #[serde(default = "yes")]
    decompress: bool,
    /// Use the proxy that the task's `environment` names.
    #[serde(default = "yes")]
    use_proxy: bool,
    /// Headers that a redirect does not get.
    #[serde(default)]
    unredirected_headers: Vec<String>,
    /// Accepted: `~/.netrc` of the host is not read, name the user instead.
    #[serde(default = "yes")]
    #[expect(dead_code, reason = "documented as not read")]
    use_netrc: bool,
    /// Not supported.
    #[serde(default)]
    use_gssapi: bool,
    /// Not supported: the TLS library's own choice is used.
    #[serde(default)]
    ciphers: Vec<String>,
    /// The owner of `dest`.
    #[serde(default)]
    owner: Option<String>,
    /// The group of `dest`.
    #[serde(default)]
    group: Option<String>,
    /// The mode of `dest`.
    #[serde(default)]
    mode: Option<String>,
}

fn get() -> String {
    "GET".to_owned()
}
fn two_hundred() -> Vec<u16> {
    vec![200]
}
fn thirty() -> u64 {
    30
}
pub(super) fn agent() -> String {
    "ansible-httpget".to_owned()
}

fn follow<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Follow, D::Error> {
    let word = String::deserialize(deserializer)?;
    Ok(match word.to_ascii_lowercase().as_str() {
        "all" | "yes" | "true" => Follow::All,
        "none" | "no" | "false" => Follow::No,
        "safe" | "urllib2" => Follow::Safe,
        word if word.contains("{{") => Follow::Safe,
        _ => return Err(serde::de::Error::custom(format!("`{word}` is none of the choices: all, none, safe"))),
    })
}

/// A file of the host.
pub(super) async fn read_file(path: &str, host: &dyn Access) -> anyhow::Result<Vec<u8>> {
    let reply = host.run(Script::new(format!("cat {}", quote_path(path)))).await?;
    if reply.status == 0 { Ok(reply.stdout) } else { Err(reply.failure(&format!("reading {path} on the host"))) }
}

/// Whom a task trusts, with files that are on the host.
pub(super) async fn trust(
    validate: bool,
    roots: Option<&str>,
    client: (Option<&str>, Option<&str>),
    host: &dyn Access,
) -> anyhow::Result<Trust> {
    let mut trust = Trust { anyone: !validate, ..Trust::default() };
    if let Some(path) = roots {
        trust.roots = Some(read_file(path, host).await?);
    }
    if let Some(path) = client.0 {
        let certificate = read_file(path, host).await?;
        let key = match client.1 {
            Some(path) => read_file(path, host).await?,
            None => certificate.clone(),
        };
        trust.client = Some((certificate, key));
    }
    Ok(trust)
}

impl ControllerModule for Uri {
    type Drift = ();

    async fn check<'a>(&'a self, cx: &'a Context, host: &'a dyn Access) -> anyhow::Result<Verdict<()>> {
        self.validate()?;
        if let Some(reason) = self.left_out(host).await? {
            return Ok(Verdict::Converged(Outcome::ok().with("stdout", reason.as_str()).message(reason)));
        }
        if cx.check_mode {
            let outcome = Outcome { skipped: true, ..Outcome::ok() };
            return Ok(Verdict::Converged(outcome.message("uri sends nothing in check mode")));
        }
        Ok(Verdict::Drift { drift: (), outcome: Outcome::ok() })
    }

    async fn apply<'a>(&'a self, (): (), cx: &'a Context, host: &'a dyn Access) -> anyhow::Result<Outcome> {
        let request = self.request(cx, host).await?;
        let start = Instant::now();
        let answer = send(&request, host).await;
        let elapsed = start.elapsed().as_secs();
        let response = match answer {
            Ok(response) => response,
            Err(error) => {
                let reason = format!("Status code was -1 and not {:?}: Request failed: {error:#}", self.status_code);
                return Ok(Outcome::failed(reason)
                    .with("status", -1)
                    .with("url", self.url.as_str())
                    .with("elapsed", elapsed)
                    .with("redirected", false));
            }
        };
        let good = self.status_code.contains(&response.status);
        let mut outcome = result(&response, self.return_content).with("elapsed", elapsed);
        if let Some(dest) = self.dest.as_deref().filter(|_| good) {
            let name = file_name(&response.url, response.header("content-disposition"));
            let place = Place {
                dest,
                name: &name,
                owner: self.owner.as_deref(),
                group: self.group.as_deref(),
                mode: self.mode.as_deref(),
                backup: false,
            };
            let placed = place.call(Some(&response.body)).run(host).await?;
            if placed.failed.is_some() {
                return Ok(placed);
            }
            outcome.changed = placed.changed;
            outcome.values.insert("path".into(), placed.values.get("dest").cloned().unwrap_or_default());
            for (name, value) in placed.values {
                outcome.values.entry(name).or_insert(value);
            }
        }
        if good {
            let size = response.header("content-length").unwrap_or("unknown");
            return Ok(outcome.message(format!("OK ({size} bytes)")));
        }
        let reason = if response.status < 400 {
            format!("OK ({} bytes)", response.header("content-length").unwrap_or("unknown"))
        } else {
            format!("HTTP Error {}: {}", response.status, response.reason)
        };
        outcome.failed = Some(format!("Status code was {} and not {:?}: {reason}", response.status, self.status_code));
        Ok(outcome)
    }
}

impl Uri {
    fn validate(&self) -> anyhow::Result<()> {
        refuse(
            "uri",
            &[("use_gssapi", self.use_gssapi), ("ciphers", !self.ciphers.is_empty())],
            "the TLS library has neither",
        )?;
        anyhow::ensure!(self.body.is_none() || self.src.is_none(), "parameters are mutually exclusive: body|src");
        anyhow::ensure!(self.client_key.is_none() || self.client_cert.is_some(), "`client_key` needs `client_cert`");
        Ok(())
    }

    /// Why nothing has to be done, where `creates` or `removes` say so.
    async fn left_out(&self, host: &dyn Access) -> anyhow::Result<Option<String>> {
        let exists = async |path: &str| -> anyhow::Result<bool> {
            let text = format!("set -- {}; [ -e \"$1\" ]", quote_path(path).replace('*', "\\*"));
            Ok(host.run(Script::new(text)).await?.status == 0)
        };
        if let Some(path) = &self.creates
            && exists(path).await?
        {
            return Ok(Some(format!("skipped, since '{path}' exists")));
        }
        if let Some(path) = &self.removes
            && !exists(path).await?
        {
            return Ok(Some(format!("skipped, since '{path}' does not exist")));
        }
        Ok(None)
    }

    async fn request(&self, cx: &Context, host: &dyn Access) -> anyhow::Result<Request> {
        let (bytes, kind) = match (&self.body, &self.src) {
            (Some(value), _) => body(self.body_format, value, cx)?,
            (None, Some(src)) if self.remote_src => (read_file(src, host).await?, None),
            (None, Some(src)) => (std::fs::read(cx.find_file("files", src)?)?, None),
            (None, None) => (Vec::new(), None),
        };
        let mut headers: Vec<(String, String)> =
            self.headers.iter().map(|(name, value)| (name.clone(), text(value))).collect();
        let has = |headers: &[(String, String)], name: &str| headers.iter().any(|(n, _)| n.eq_ignore_ascii_case(name));
        if let Some(kind) = kind.filter(|_| !has(&headers, "content-type")) {
            headers.push(("Content-Type".into(), kind));
        }
        if !has(&headers, "user-agent") {
            headers.push(("User-Agent".into(), self.http_agent.clone()));
        }
        if self.force {
            headers.push(("Cache-Control".into(), "no-cache".into()));
        }
        let login = self.url_username.clone().map(|user| (user, self.url_password.clone().unwrap_or_default()));
        let client = (self.client_cert.as_deref(), self.client_key.as_deref());
        Ok(Request {
            method: self.method.to_ascii_uppercase(),
            headers,
            unredirected: self.unredirected_headers.iter().map(|name| name.to_ascii_lowercase()).collect(),
            body: bytes,
            follow: self.follow_redirects,
            trust: trust(self.validate_certs, self.ca_path.as_deref(), client, host).await?,
            login,
            login_at_once: self.force_basic_auth,
            decompress: self.decompress,
            unix_socket: self.unix_socket.clone(),
            proxy: if self.use_proxy { Request::proxy_of(&self.url, &cx.environment) } else { None },
            ..Request::get(&self.url, Duration::from_secs(self.timeout))
        })
    }
}

/// The answer's values: its headers under names with underscores, `json` where it is JSON.
fn result(response: &Response, with_content: bool) -> Outcome {
    let mut outcome = Outcome::ok();
    let mut headers: BTreeMap<String, String> = BTreeMap::new();
    for (name, value) in &response.headers {
        headers
            .entry(name.replace('-', "_"))
            .and_modify(|all| *all = format!("{all}, {value}"))
            .or_insert_with(|| value.clone());
    }
    for (name, value) in headers {
        outcome.values.insert(name, value.into());
    }
    let cookies: Map<String, Value> =
        response.cookies.iter().map(|(name, value)| (name.clone(), value.as_str().into())).collect();
    let line: Vec<String> = response.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
    outcome = outcome
        .with("status", response.status)
        .with("url", response.url.as_str())
        .with("redirected", response.redirected)
        .with("cookies", cookies)
        .with("cookies_string", line.join("; "));
    let kind = response.header("content-type").unwrap_or_default().split(';').next().unwrap_or_default().trim();
    let subtype = kind.split_once('/').map_or("", |(_, subtype)| subtype);
    let is_json = subtype == "json" || subtype.ends_with("+json") || subtype == "javascript";
    if let Some(json) = Some(&response.body).filter(|_| is_json).and_then(|body| serde_json::from_slice(body).ok()) {
        outcome.values.insert("json".into(), json);
    }
    if with_content {
        outcome = outcome.with("content", String::from_utf8_lossy(&response.body).into_owned());
    }
    outcome
}
