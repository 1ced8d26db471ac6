//! `get_url`: a download to the host.

use std::time::{Duration, Instant};

use anyhow::Context as _;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};
use sha1::Digest as _;

use super::http::{Follow, Request, send};
use super::place::{Place, file_name};
use super::uri::{agent, read_file, trust};
use super::uri_body::text;
use crate::host::Script;
use crate::host::script::{hex, quote, quote_path};
use crate::modules::guarded::{refuse, yes};
use crate::modules::{Access, Context, ControllerModule, Outcome, Verdict};

/// Downloads a file over HTTP to the host.
///
/// A file that is there already is asked for anew with its time (`If-Modified-Since`), or not at all where its `checksum` is as
/// given. The connection is made by the host; nothing has to be installed on it.
///
/// ```yaml
/// - get_url:
///     url: https://example.org/tool.tar.gz
///     dest: /opt/tool.tar.gz
///     checksum: sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
///     mode: "0644"
/// ```
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[expect(clippy::struct_excessive_bools, reason = "the parameters are Ansible's")]
pub(super) struct GetUrl {
    /// What to download.
    url: String,
    /// Where to: a file, or a directory.
    dest: String,
    /// `ALGORITHM:HEX`, or `ALGORITHM:URL` of a file with sums.
    #[serde(default)]
    checksum: Option<String>,
    /// Download even where `dest` is there, and ask no cache.
    #[serde(default)]
    force: bool,
    /// Keep a copy of the old file.
    #[serde(default)]
    backup: bool,
    /// Headers.
    #[serde(default)]
    headers: Map<String, Value>,
    /// Seconds for connecting and for the whole answer.
    #[serde(default = "ten")]
    timeout: u64,
    /// The user's name at the server.
    #[serde(default, alias = "username")]
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
    /// The client's certificate (PEM, its key may follow in it), a file on the host.
    #[serde(default)]
    client_cert: Option<String>,
    /// Its key, a file on the host.
    #[serde(default)]
    client_key: Option<String>,
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
    /// Accepted: the new file is written beside `dest`, so that it can take its place in one step.
    #[serde(default)]
    #[expect(dead_code, reason = "documented as not needed")]
    tmp_dest: Option<String>,
    /// The owner.
    #[serde(default)]
    owner: Option<String>,
    /// The group.
    #[serde(default)]
    group: Option<String>,
    /// The mode.
    #[serde(default)]
    mode: Option<String>,
}

fn ten() -> u64 {
    10
}

/// What is known before the download.
pub(super) struct Before {
    /// `dest`, or the file in it where the name is known.
    exists: bool,
    /// For `If-Modified-Since`, in HTTP's form.
    since: Option<String>,
    /// The sum that the file must have.
    wanted: Option<(String, String)>,
    /// The file is there and has the sum.
    same: bool,
}

impl ControllerModule for GetUrl {
    type Drift = Before;

    async fn check<'a>(&'a self, cx: &'a Context, host: &'a dyn Access) -> anyhow::Result<Verdict<Before>> {
        refuse(
            "get_url",
            &[("use_gssapi", self.use_gssapi), ("ciphers", !self.ciphers.is_empty())],
            "the TLS library has neither",
        )?;
        let wanted = self.wanted(cx, host).await?;
        let before = self.before(wanted, host).await?;
        let base = self.base();
        if cx.check_mode {
            // Whether the server has something newer is known by asking; only headers are asked for.
            if before.same {
                return Ok(Verdict::Converged(base.message("file already exists")));
            }
            if before.exists && !self.force && before.wanted.is_none() {
                let mut request = self.request(&before, cx, host).await?;
                request.method = "HEAD".into();
                if send(&request, host).await?.status == 304 {
                    return Ok(Verdict::Converged(base.with("status_code", 304)));
                }
            }
        }
        Ok(Verdict::Drift { drift: before, outcome: Outcome { changed: true, ..base } })
    }

    async fn apply<'a>(&'a self, before: Before, cx: &'a Context, host: &'a dyn Access) -> anyhow::Result<Outcome> {
        let start = Instant::now();
        let mut base = self.base();
        let guess = file_name(&self.url, None);
        let mut place = Place {
            dest: &self.dest,
            name: &guess,
            owner: self.owner.as_deref(),
            group: self.group.as_deref(),
            mode: self.mode.as_deref(),
            backup: self.backup,
        };
        if before.same {
            return merged(base.message("file already exists"), place.call(None).run(host).await?);
        }
        let request = self.request(&before, cx, host).await?;
        let response = match send(&request, host).await {
            Ok(response) => response,
            Err(error) => {
                return Ok(Outcome { failed: Some(format!("Request failed: {error:#}")), ..base }
                    .with("status_code", -1)
                    .with("elapsed", start.elapsed().as_secs()));
            }
        };
        base = base.with("elapsed", start.elapsed().as_secs()).with("status_code", response.status);
        if response.status == 304 {
            return merged(base, place.call(None).run(host).await?);
        }
        if response.status != 200 {
            let reason = format!("Request failed: HTTP Error {}: {}", response.status, response.reason);
            return Ok(Outcome { failed: Some(reason.clone()), ..base }.with("response", reason));
        }
        if let Some((algorithm, sum)) = &before.wanted {
            let got = digest(algorithm, &response.body)?;
            if !got.eq_ignore_ascii_case(sum) {
                let reason = format!("The checksum for {} did not match {sum}; it was {got}.", self.dest);
                return Ok(Outcome { failed: Some(reason), ..base });
            }
        }
        let name = file_name(&response.url, response.header("content-disposition"));
        place.name = &name;
        let sha1 = hex(&sha1::Sha1::digest(&response.body));
        let md5 = hex(&md5::Md5::digest(&response.body));
        base = base.with("checksum_src", sha1.as_str()).with("checksum_dest", sha1).with("md5sum", md5);
        base = base.message(format!("OK ({} bytes)", response.header("content-length").unwrap_or("unknown")));
        merged(base, place.call(Some(&response.body)).run(host).await?)
    }
}

/// The result of the download with what was said about the file.
fn merged(mut base: Outcome, placed: Outcome) -> anyhow::Result<Outcome> {
    base.changed = placed.changed;
    base.failed = placed.failed;
    for (name, value) in placed.values {
        base.values.insert(name, value);
    }
    Ok(base)
}

impl GetUrl {
    fn base(&self) -> Outcome {
        Outcome::ok().with("url", self.url.as_str()).with("dest", self.dest.as_str())
    }

    /// The wanted sum, read from a file of sums where a URL is given.
    async fn wanted(&self, cx: &Context, host: &dyn Access) -> anyhow::Result<Option<(String, String)>> {
        let Some(checksum) = self.checksum.as_deref().filter(|text| !text.is_empty()) else { return Ok(None) };
        let (algorithm, sum) =
            checksum.split_once(':').context("The checksum parameter has to be in format <algorithm>:<checksum>")?;
        let (algorithm, sum) = (algorithm.trim().to_ascii_lowercase(), sum.trim());
        digest(&algorithm, b"")?;
        if !sum.contains("://") {
            let plain: String = sum.chars().filter(|c| !c.is_whitespace()).collect();
            anyhow::ensure!(
                !plain.is_empty() && plain.chars().all(|c| c.is_ascii_hexdigit()),
                "The checksum format is invalid"
            );
            return Ok(Some((algorithm, plain.to_ascii_lowercase())));
        }
        let listing = if let Some(path) = sum.strip_prefix("file://") {
            read_file(path, host).await?
        } else {
            let mut request = self.request(&Before::none(), cx, host).await?;
            request.url = sum.to_owned();
            let response = send(&request, host).await.with_context(|| format!("the sums at {sum}"))?;
            anyhow::ensure!(response.status == 200, "the sums at {sum}: HTTP status {}", response.status);
            response.body
        };
        let listing = String::from_utf8_lossy(&listing).into_owned();
        let name = file_name(&self.url, None);
        let length = digest(&algorithm, b"")?.len();
        let found = sum_of(&listing, &name, length)
            .with_context(|| format!("Unable to find a checksum for file '{name}' in '{sum}'"))?;
        Ok(Some((algorithm, found)))
    }

    async fn before(&self, wanted: Option<(String, String)>, host: &dyn Access) -> anyhow::Result<Before> {
        let tool = wanted.as_ref().map_or("", |(algorithm, _)| match algorithm.as_str() {
            "md5" => "md5sum",
            "sha1" => "sha1sum",
            "sha224" => "sha224sum",
            "sha384" => "sha384sum",
            "sha512" => "sha512sum",
            _ => "sha256sum",
        });
        let text = format!(
            "f={}; [ ! -d \"$f\" ] || f=${{f%/}}/{}; [ -e \"$f\" ] || exit 0; echo yes\n\
             LC_ALL=C date -u -d \"@$(stat -c %Y -- \"$f\")\" '+%a, %d %b %Y %H:%M:%S GMT'\n{}",
            quote_path(&self.dest),
            quote(&file_name(&self.url, None)),
            if tool.is_empty() { String::new() } else { format!("{tool} <\"$f\"") }
        );
        let reply = host.run(Script::new(text)).await?;
        let out = reply.out();
        let mut lines = out.lines();
        let exists = lines.next() == Some("yes");
        let since = lines.next().map(str::to_owned);
        let sum = lines.next().and_then(|line| line.split(' ').next()).unwrap_or_default();
        let same = exists && !self.force && wanted.as_ref().is_some_and(|(_, want)| want == sum);
        Ok(Before { exists, since, wanted, same })
    }

    async fn request(&self, before: &Before, cx: &Context, host: &dyn Access) -> anyhow::Result<Request> {
        let mut headers: Vec<(String, String)> =
            self.headers.iter().map(|(name, value)| (name.clone(), text(value))).collect();
        if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("user-agent")) {
            headers.push(("User-Agent".into(), self.http_agent.clone()));
        }
        if self.force {
            headers.push(("Cache-Control".into(), "no-cache".into()));
        } else if let Some(since) = before.since.as_ref().filter(|_| before.exists && before.wanted.is_none()) {
            headers.push(("If-Modified-Since".into(), since.clone()));
        }
        let client = (self.client_cert.as_deref(), self.client_key.as_deref());
        Ok(Request {
            headers,
            unredirected: self.unredirected_headers.iter().map(|name| name.to_ascii_lowercase()).collect(),
            follow: Follow::All,
            trust: trust(self.validate_certs, None, client, host).await?,
            login: self.url_username.clone().map(|user| (user, self.url_password.clone().unwrap_or_default())),
            login_at_once: self.force_basic_auth,
            decompress: self.decompress,
            proxy: if self.use_proxy { Request::proxy_of(&self.url, &cx.environment) } else { None },

            ..Request::get(&self.url, Duration::from_secs(self.timeout))
        })
    }
}

impl Before {
    fn none() -> Self {
        Self { exists: false, since: None, wanted: None, same: false }
    }
}

fn digest(algorithm: &str, bytes: &[u8]) -> anyhow::Result<String> {
    Ok(match algorithm {
        "md5" => hex(&md5::Md5::digest(bytes)),
        "sha1" => hex(&sha1::Sha1::digest(bytes)),
        "sha224" => hex(&sha2::Sha224::digest(bytes)),
        "sha256" => hex(&sha2::Sha256::digest(bytes)),
        "sha384" => hex(&sha2::Sha384::digest(bytes)),
        "sha512" => hex(&sha2::Sha512::digest(bytes)),
        other => anyhow::bail!("`{other}` is no known algorithm: md5, sha1, sha224, sha256, sha384, sha512"),
    })
}

/// The sum of a file in a listing: lines `SUM  NAME`, `SUM *NAME`, `ALGORITHM (NAME) = SUM`, or a sum alone.
fn sum_of(listing: &str, name: &str, length: usize) -> Option<String> {
    let is_sum = |word: &str| word.len() == length && word.chars().all(|c| c.is_ascii_hexdigit());
    let mut alone = None;
    for line in listing.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        let Some(sum) = words.iter().find(|word| is_sum(word)) else { continue };
        let names = |word: &&str| {
            let word = word.trim_start_matches(['*', '(']).trim_end_matches(')');
            word.rsplit('/').next() == Some(name)
        };
        if words.iter().any(names) {
            return Some(sum.to_ascii_lowercase());
        }
        if words.len() == 1 {
            alone.get_or_insert_with(|| sum.to_ascii_lowercase());
        }
    }
    alone
}
