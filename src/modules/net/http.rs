//! HTTP over the host's own network: the connection is made by the host ([`Access::connect`]), the requests are made here.
//!
//! So a fresh host needs neither curl nor wget nor Python, and a name or address means what it means on the host.
//! A server is trusted by the roots that are built in, or else by the host's own bundle, which is read when it is needed.

use std::time::Duration;

use anyhow::{Context as _, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Bytes;
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use hyper::{Method, Uri};
use hyper_util::rt::TokioIo;
use tokio_rustls::TlsConnector;
use url::Url;

use super::tls::Trust;
use crate::host::Script;
use crate::modules::Access;
use crate::modules::contract::ByteStream;

/// Redirects that are followed at most.
const MAX_REDIRECTS: usize = 10;

/// Which redirects are followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(in crate::modules) enum Follow {
    /// All; other methods than GET and HEAD become GET where the status asks for it.
    All,
    /// None.
    No,
    /// Those of GET and HEAD.
    #[default]
    Safe,
}

/// A request.
#[derive(Debug, Clone)]
pub(in crate::modules) struct Request {
    pub(in crate::modules) method: String,
    pub(in crate::modules) url: String,
    pub(in crate::modules) headers: Vec<(String, String)>,
    /// Names (lower case) of headers that a redirect does not get.
    pub(in crate::modules) unredirected: Vec<String>,
    pub(in crate::modules) body: Vec<u8>,
    pub(in crate::modules) follow: Follow,
    /// For each step: the connection, the answer's head, each part of its body.
    pub(in crate::modules) timeout: Duration,
    pub(in crate::modules) trust: Trust,
    /// User and password, sent when the server asks (or at once).
    pub(in crate::modules) login: Option<(String, String)>,
    pub(in crate::modules) login_at_once: bool,
    /// Decode `Content-Encoding: gzip`.
    pub(in crate::modules) decompress: bool,
    /// A socket of the host in place of the URL's address.
    pub(in crate::modules) unix_socket: Option<String>,
    /// The proxy's URL.
    pub(in crate::modules) proxy: Option<String>,
}

impl Request {
    /// A GET.
    pub(in crate::modules) fn get(url: &str, timeout: Duration) -> Self {
        Self {
            method: "GET".into(),
            url: url.into(),
            headers: Vec::new(),
            unredirected: Vec::new(),
            body: Vec::new(),
            follow: Follow::Safe,
            timeout,
            trust: Trust::default(),
            login: None,
            login_at_once: false,
            decompress: true,
            unix_socket: None,
            proxy: None,
        }
    }

    /// The proxy that the task's environment names for this URL.
    pub(in crate::modules) fn proxy_of(
        url: &str,
        environment: &std::collections::BTreeMap<String, String>,
    ) -> Option<String> {
        let url = Url::parse(url).ok()?;
        let get = |name: &str| environment.get(name).or_else(|| environment.get(&name.to_uppercase()));
        let host = url.host_str()?;
        let direct = get("no_proxy").is_some_and(|list| {
            list.split(',').map(str::trim).filter(|item| !item.is_empty()).any(|item| {
                item == "*" || host == item || host.ends_with(&format!(".{}", item.trim_start_matches('.')))
            })
        });
        if direct { None } else { get(&format!("{}_proxy", url.scheme())).filter(|proxy| !proxy.is_empty()).cloned() }
    }
}

/// An answer.
#[derive(Debug, Clone)]
pub(in crate::modules) struct Response {
    pub(in crate::modules) status: u16,
    pub(in crate::modules) reason: String,
    /// Names in lower case, in the order in which they came.
    pub(in crate::modules) headers: Vec<(String, String)>,
    pub(in crate::modules) body: Vec<u8>,
    /// The URL that answered at last.
    pub(in crate::modules) url: String,
    pub(in crate::modules) redirected: bool,
    /// Cookies that were set on the way, by name.
    pub(in crate::modules) cookies: Vec<(String, String)>,
}

impl Response {
    /// A header's value.
    pub(in crate::modules) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    fn is_redirect(&self) -> bool {
        matches!(self.status, 301 | 302 | 303 | 307 | 308) && self.header("location").is_some()
    }
}

/// Sends a request from the host and follows redirects.
///
/// # Errors
/// No connection, no trust, no HTTP, or too many redirects. A status such as 404 is no error here.
pub(in crate::modules) async fn send(request: &Request, host: &dyn Access) -> anyhow::Result<Response> {
    let mut now = request.clone();
    let mut cookies: Vec<(String, String)> = Vec::new();
    let mut login_sent = now.login_at_once;
    let mut redirected = false;
    for _ in 0..=MAX_REDIRECTS {
        let mut response = once(&now, login_sent, host).await?;
        for (name, value) in response.headers.iter().filter(|(name, _)| name == "set-cookie") {
            debug_assert_eq!(name, "set-cookie");
            if let Some((name, value)) = value.split(';').next().and_then(|pair| pair.split_once('=')) {
                cookies.retain(|(n, _)| n != name.trim());
                cookies.push((name.trim().to_owned(), value.trim().to_owned()));
            }
        }
        if response.status == 401 && now.login.is_some() && !login_sent {
            let basic = |(name, value): &(String, String)| {
                name == "www-authenticate" && value.trim_start().to_ascii_lowercase().starts_with("basic")
            };
            if response.headers.iter().any(basic) {
                login_sent = true;
                continue;
            }
        }
        let follows = match now.follow {
            Follow::All => true,
            Follow::No => false,
            Follow::Safe => matches!(now.method.as_str(), "GET" | "HEAD"),
        };
        if !(follows && response.is_redirect()) {
            response.redirected = redirected;
            response.cookies = cookies;
            return Ok(response);
        }
        redirect(&mut now, &response)?;
        redirected = true;
    }
    bail!("more than {MAX_REDIRECTS} redirects, the last to {}", now.url)
}

/// Makes the request that a redirect asks for.
fn redirect(request: &mut Request, response: &Response) -> anyhow::Result<()> {
    let old = Url::parse(&response.url)?;
    let location = response.header("location").unwrap_or_default();
    let new = old.join(location).with_context(|| format!("the redirect to `{location}` is no URL"))?;
    // RFC 9110 15.4: 303 always becomes GET; 301 and 302 of a POST do in practice.
    let becomes_get = response.status == 303 || (matches!(response.status, 301 | 302) && request.method == "POST");
    if becomes_get && request.method != "HEAD" {
        request.method = "GET".into();
        request.body.clear();
        request.headers.retain(|(name, _)| !name.eq_ignore_ascii_case("content-type"));
    }
    request.headers.retain(|(name, _)| !request.unredirected.contains(&name.to_ascii_lowercase()));
    if (new.host_str(), new.port_or_known_default()) != (old.host_str(), old.port_or_known_default()) {
        // Another server gets no credentials.
        request.headers.retain(|(name, _)| !["authorization", "cookie"].contains(&name.to_ascii_lowercase().as_str()));
        request.login = None;
        request.login_at_once = false;
    }
    request.url = new.into();
    Ok(())
}

/// One request and its answer. The host's own roots are tried where the built-in ones don't know the server.
async fn once(request: &Request, login: bool, host: &dyn Access) -> anyhow::Result<Response> {
    match attempt(request, login, host).await {
        Err(error)
            if request.trust.roots.is_none()
                && !request.trust.anyone
                && format!("{error:#}").contains("invalid peer certificate") =>
        {
            let Some(roots) = host_roots(host).await? else { return Err(error) };
            let mut again = request.clone();
            again.trust.roots = Some(roots);
            attempt(&again, login, host).await
        }
        other => other,
    }
}

/// The host's bundle of certificates, where it has one.
async fn host_roots(host: &dyn Access) -> anyhow::Result<Option<Vec<u8>>> {
    let reply = host
        .run(Script::new(
            "for f in /etc/ssl/certs/ca-certificates.crt /etc/pki/tls/certs/ca-bundle.crt /etc/ssl/cert.pem; do \
             [ -r \"$f\" ] && exec cat \"$f\"; done; exit 0",
        ))
        .await?;
    Ok(Some(reply.stdout).filter(|pem| !pem.is_empty()))
}

async fn attempt(request: &Request, login: bool, host: &dyn Access) -> anyhow::Result<Response> {
    let url = Url::parse(&request.url).with_context(|| format!("`{}` is no URL", request.url))?;
    anyhow::ensure!(matches!(url.scheme(), "http" | "https"), "`{}` is neither http nor https", request.url);
    let name = url.host_str().context("the URL names no host")?.to_owned();
    let port = url.port_or_known_default().unwrap_or(80);
    let secure = url.scheme() == "https";
    let limit = request.timeout;
    let stream = within(limit, open(request, &name, port, secure, host)).await?;
    if !secure {
        return exchange(request, login, &url, stream).await;
    }
    let bare = name.trim_start_matches('[').trim_end_matches(']').to_owned();
    let server = rustls::pki_types::ServerName::try_from(bare)?;
    let connector = TlsConnector::from(request.trust.config()?);
    let stream = within(limit, async { Ok(connector.connect(server, stream).await?) }).await?;
    exchange(request, login, &url, Box::new(stream)).await
}

/// As a socket's timeout: for one step, not for the whole.
async fn within<T>(limit: Duration, step: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    match tokio::time::timeout(limit, step).await {
        Ok(result) => result,
        Err(_) => bail!("timed out after {} s", limit.as_secs_f64()),
    }
}

/// The connection to the server, or through the proxy or socket.
async fn open(
    request: &Request,
    name: &str,
    port: u16,
    secure: bool,
    host: &dyn Access,
) -> anyhow::Result<Box<dyn ByteStream>> {
    if let Some(socket) = &request.unix_socket {
        let script =
            "if command -v socat >/dev/null 2>&1; then exec socat - \"UNIX-CONNECT:$1\"; else exec nc -U \"$1\"; fi";
        return host.open(["sh", "-c", script, "sh", socket].map(str::to_owned).to_vec()).await;
    }
    let Some(proxy) = &request.proxy else {
        return host.connect(name.trim_start_matches('[').trim_end_matches(']').to_owned(), port).await;
    };
    let proxy = if proxy.contains("://") { Url::parse(proxy) } else { Url::parse(&format!("http://{proxy}")) }
        .context("the proxy is no URL")?;
    let at = proxy.host_str().context("the proxy's URL names no host")?.to_owned();
    let stream = host.connect(at, proxy.port_or_known_default().unwrap_or(80)).await?;
    if secure { tunnel(stream, name, port).await } else { Ok(stream) }
}

/// A tunnel through an HTTP proxy (RFC 9110 9.3.6).
async fn tunnel(mut stream: Box<dyn ByteStream>, name: &str, port: u16) -> anyhow::Result<Box<dyn ByteStream>> {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    stream.write_all(format!("CONNECT {name}:{port} HTTP/1.1\r\nHost: {name}:{port}\r\n\r\n").as_bytes()).await?;
    stream.flush().await?;
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        anyhow::ensure!(head.len() < 16 * 1024, "the proxy's answer has no end");
        head.push(stream.read_u8().await.context("the proxy closed the connection")?);
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let status = head.split(' ').nth(1).unwrap_or_default();
    anyhow::ensure!(status.starts_with('2'), "the proxy refused: {}", head.lines().next().unwrap_or_default());
    Ok(stream)
}

async fn exchange(request: &Request, login: bool, url: &Url, stream: Box<dyn ByteStream>) -> anyhow::Result<Response> {
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let driver = tokio::spawn(connection);
    let message = message(request, login, url)?;
    let result = async {
        let answer = async {
            sender.send_request(message).await.with_context(|| {
                let port = url.port_or_known_default().unwrap_or_default();
                format!("no answer from {}:{port}", url.host_str().unwrap_or_default())
            })
        };
        let (head, mut incoming) = within(request.timeout, answer).await?.into_parts();
        let mut body = Vec::new();
        loop {
            let frame = within(request.timeout, async { Ok(incoming.frame().await) }).await?;
            let Some(frame) = frame else { break };
            if let Ok(data) = frame.context("the answer broke off")?.into_data() {
                body.extend_from_slice(&data);
            }
        }
        let headers = fields(&head.headers);
        let gzip = headers.iter().any(|(n, v)| n == "content-encoding" && v.contains("gzip"));
        if gzip && request.decompress && !body.is_empty() {
            use std::io::Read as _;
            let mut plain = Vec::new();
            flate2::read::MultiGzDecoder::new(&body[..]).read_to_end(&mut plain).context("the answer is no gzip")?;
            body = plain;
        }
        let reason = head
            .extensions
            .get::<hyper::ext::ReasonPhrase>()
            .map(|reason| String::from_utf8_lossy(reason.as_bytes()).into_owned())
            .or_else(|| head.status.canonical_reason().map(str::to_owned))
            .unwrap_or_default();
        let status = head.status.as_u16();
        anyhow::Ok(Response {
            status,
            reason,
            headers,
            body,
            url: url.to_string(),
            redirected: false,
            cookies: Vec::new(),
        })
    }
    .await;
    driver.abort();
    result
}

fn fields(headers: &HeaderMap) -> Vec<(String, String)> {
    headers
        .iter()
        .map(|(name, value)| (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
        .collect()
}

fn message(request: &Request, login: bool, url: &Url) -> anyhow::Result<hyper::Request<Full<Bytes>>> {
    let method = Method::from_bytes(request.method.as_bytes())
        .with_context(|| format!("`{}` is no method of HTTP", request.method))?;
    let mut target = url.clone();
    let _ = target.set_username("");
    let _ = target.set_password(None);
    target.set_fragment(None);
    let target: Uri = if request.proxy.is_some() && url.scheme() == "http" {
        target.as_str().parse()?
    } else {
        target[url::Position::BeforePath..].parse().or_else(|_| "/".parse())?
    };
    let mut headers = HeaderMap::new();
    let authority = match (url.host_str().unwrap_or_default(), url.port()) {
        (name, Some(port)) => format!("{name}:{port}"),
        (name, None) => name.to_owned(),
    };
    headers.insert(header::HOST, HeaderValue::from_str(&authority)?);
    headers.insert(header::USER_AGENT, HeaderValue::from_static("ansible-httpget"));
    headers.insert(
        header::ACCEPT_ENCODING,
        HeaderValue::from_static(if request.decompress { "gzip" } else { "identity" }),
    );
    headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    if !request.body.is_empty() || matches!(request.method.as_str(), "POST" | "PUT" | "PATCH") {
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from(request.body.len()));
    }
    for (name, value) in &request.headers {
        let key =
            HeaderName::from_bytes(name.as_bytes()).with_context(|| format!("`{name}` is no name of a header"))?;
        headers.insert(key, HeaderValue::from_str(value).with_context(|| format!("the value of header `{name}`"))?);
    }
    let in_url = (!url.username().is_empty()).then(|| {
        let plain = |text: &str| percent_decode(text);
        (plain(url.username()), plain(url.password().unwrap_or_default()))
    });
    if let Some((user, password)) = request.login.as_ref().filter(|_| login).or(in_url.as_ref()) {
        let mut value = HeaderValue::from_str(&format!("Basic {}", STANDARD.encode(format!("{user}:{password}"))))?;
        value.set_sensitive(true);
        headers.entry(header::AUTHORIZATION).or_insert(value);
    }
    let mut message =
        hyper::Request::builder().method(method).uri(target).body(Full::new(Bytes::from(request.body.clone())))?;
    *message.headers_mut() = headers;
    Ok(message)
}

fn percent_decode(text: &str) -> String {
    // `url` keeps user and password encoded.
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let hex = tail.get(..2).and_then(|h| std::str::from_utf8(h).ok()).and_then(|h| u8::from_str_radix(h, 16).ok());
        if let (b'%', Some(byte)) = (first, hex) {
            bytes.push(byte);
            rest = &tail[2..];
        } else {
            bytes.push(*first);
            rest = tail;
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
