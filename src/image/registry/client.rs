//! A registry: requests to it, with login, pauses and refusals.

use std::path::PathBuf;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::{Certificate, Method, Response, StatusCode};
use tokio::sync::Mutex;
use url::Url;

use super::auth::{self, Challenge, Session};
use super::credentials::{self, Login};
use super::refusal::{Refusal, said};
use super::retry::{Backoff, Patience, asked_pause, may_pass};
use crate::image::reference::DEFAULT_REGISTRY;

/// Seconds for an answer, besides the time that its body takes.
const ANSWER: u64 = 60;
/// Bytes a second below which a connection counts as dead.
const SLOWEST: u64 = 16 * 1024;

/// How a registry is spoken to.
#[derive(Debug, Clone)]
pub struct Options {
    /// Take any certificate, and plain HTTP where there is no TLS.
    pub insecure: bool,
    /// A file of certificates (PEM) that are trusted besides the system's and those of Docker's `certs.d`.
    pub ca: Option<PathBuf>,
    /// How often something is tried again.
    pub patience: Patience,
    /// Bytes of a blob that travel in one request.
    pub chunk: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self { insecure: false, ca: None, patience: Patience::default(), chunk: 8 * 1024 * 1024 }
    }
}

/// A registry. Its methods are in [`blob`](super::blob) and [`manifest`](super::manifest), too.
#[derive(Debug)]
pub struct Registry {
    /// Its name, as in references.
    pub name: String,
    pub(super) options: Options,
    pub(super) base: Url,
    http: reqwest::Client,
    login: Option<Login>,
    session: Mutex<Session>,
    /// Every token so far: none is ever shown.
    tokens: std::sync::Mutex<Vec<String>>,
    requests: AtomicU64,
}

/// A request.
#[derive(Debug, Clone)]
pub(super) struct Ask {
    pub(super) method: Method,
    pub(super) url: Url,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
    /// What a token must allow: `repository:team/app:pull,push`.
    pub(super) scope: String,
    /// What it is for, in errors: `look for a blob in registry.example.org/team/app`.
    pub(super) action: String,
}

impl Ask {
    pub(super) fn header(mut self, name: HeaderName, value: &str) -> Result<Self> {
        self.headers.insert(name, HeaderValue::from_str(value)?);
        Ok(self)
    }
}

/// Why there is no usable answer, and whether there may be one soon.
#[derive(Debug)]
pub(super) struct Trouble {
    pub(super) error: anyhow::Error,
    pub(super) may_pass: bool,
    pub(super) pause: Option<Duration>,
}

impl From<anyhow::Error> for Trouble {
    fn from(error: anyhow::Error) -> Self {
        Self { error, may_pass: false, pause: None }
    }
}

impl Registry {
    /// Reaches a registry, and learns how it wants to be logged in to.
    ///
    /// # Errors
    /// It can't be reached, or is no registry.
    pub async fn open(name: &str, login: Option<Login>, options: Options) -> Result<Self> {
        let host = if name == DEFAULT_REGISTRY { "registry-1.docker.io" } else { name };
        let base = Url::parse(&format!("https://{host}/")).with_context(|| format!("`{name}` is no registry"))?;
        let loopback = base.host().is_some_and(|host| match host {
            url::Host::Domain(name) => name == "localhost",
            url::Host::Ipv4(address) => address.is_loopback(),
            url::Host::Ipv6(address) => address.is_loopback(),
        });
        let http = http_client(name, loopback, &options)?;
        let mut registry = Self {
            name: name.to_owned(),
            options,
            base,
            http,
            login,
            session: Mutex::default(),
            tokens: std::sync::Mutex::default(),
            requests: AtomicU64::new(0),
        };
        if (loopback || registry.options.insecure) && registry.speaks_plain_http().await {
            // Not by `set_scheme`: a port of 443 would be lost.
            registry.base = Url::parse(&format!("http://{host}/"))?;
        }
        registry.greet().await?;
        Ok(registry)
    }

    /// Requests that were sent so far.
    pub fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }

    /// `GET /v2/`: whether this is a registry, and what it wants. With a login it is tried, where that takes no token.
    async fn greet(&self) -> Result<()> {
        let ask = self.ask(Method::GET, "v2/", "", format!("speak to the registry {}", self.name))?;
        let response = self.patient(&ask).await?;
        match response.status() {
            StatusCode::OK | StatusCode::UNAUTHORIZED => Ok(()),
            StatusCode::NOT_FOUND => bail!("{} is no registry: it does not know /v2/", self.name),
            _ => Err(self.refusal(&ask, response).await.into()),
        }
    }

    /// Proves the login.
    ///
    /// # Errors
    /// The registry does not take it.
    pub async fn prove_login(&self) -> Result<()> {
        let ask = self.ask(Method::GET, "v2/", "", format!("log in to {}", self.name))?;
        self.expect(&ask, &[StatusCode::OK]).await.map(drop)
    }

    async fn speaks_plain_http(&self) -> bool {
        match self.http.get(self.base.clone()).timeout(Duration::from_secs(10)).send().await {
            Ok(_) => false,
            // A server without TLS answers to a handshake with text, or hangs up; one with a certificate that isn't trusted stays one.
            Err(error) => !format!("{error:?}").contains("InvalidCertificate"),
        }
    }

    /// A request to a path of the registry.
    pub(super) fn ask(&self, method: Method, path: &str, scope: &str, action: String) -> Result<Ask> {
        let url = self.base.join(path)?;
        Ok(Ask { method, url, headers: HeaderMap::new(), body: Bytes::new(), scope: scope.to_owned(), action })
    }

    /// The answer, if it is one of `statuses`; what may pass is tried again.
    pub(super) async fn expect(&self, ask: &Ask, statuses: &[StatusCode]) -> Result<Response> {
        let response = self.patient(ask).await?;
        if statuses.contains(&response.status()) {
            return Ok(response);
        }
        Err(self.refusal(ask, response).await.into())
    }

    /// The answer, whatever it is; what may pass is tried again.
    pub(super) async fn patient(&self, ask: &Ask) -> Result<Response> {
        let mut backoff = Backoff::new(self.options.patience);
        loop {
            match self.once(ask).await {
                Ok(response) => return Ok(response),
                Err(trouble) if trouble.may_pass && backoff.again(trouble.pause).await => {}
                Err(trouble) if backoff.tries() > 1 => {
                    return Err(trouble.error.context(format!("given up after {} tries", backoff.tries())));
                }
                Err(trouble) => return Err(trouble.error),
            }
        }
    }

    /// One try, logged in as the registry wants it; a token that ran out is replaced.
    pub(super) async fn once(&self, ask: &Ask) -> Result<Response, Trouble> {
        let mut used = self.authorization(&ask.scope).await?;
        loop {
            let response = self.send(ask, used.as_ref()).await?;
            if response.status() == StatusCode::UNAUTHORIZED && self.ours(&ask.url) {
                let asked = Challenge::read(response.headers())?;
                let renewed = self.renew(&ask.scope, asked, used.as_ref()).await?;
                if renewed.is_some() && renewed != used {
                    used = renewed;
                    continue;
                }
            }
            if may_pass(response.status()) {
                let pause = asked_pause(response.headers());
                let error = self.refusal(ask, response).await.into();
                return Err(Trouble { error, may_pass: true, pause });
            }
            return Ok(response);
        }
    }

    async fn send(&self, ask: &Ask, authorization: Option<&HeaderValue>) -> Result<Response, Trouble> {
        self.requests.fetch_add(1, Ordering::Relaxed);
        let time = Duration::from_secs(ANSWER + ask.body.len() as u64 / SLOWEST);
        let mut request = self.http.request(ask.method.clone(), ask.url.clone()).headers(ask.headers.clone());
        // An upload may be led to another server, which must not learn the login.
        if let Some(value) = authorization.filter(|_| self.ours(&ask.url)) {
            request = request.header(reqwest::header::AUTHORIZATION, value);
        }
        if matches!(ask.method, Method::PUT | Method::PATCH | Method::POST) {
            request = request.body(ask.body.clone()).timeout(time);
        } else if ask.method != Method::GET {
            request = request.timeout(time);
        }
        request.send().await.map_err(|error| {
            let may_pass = !format!("{error:?}").contains("InvalidCertificate");
            let error = anyhow::Error::new(error.without_url()).context(format!("could not {}", ask.action));
            Trouble { error, may_pass, pause: None }
        })
    }

    /// Whether a URL is the registry's own.
    fn ours(&self, url: &Url) -> bool {
        url.origin() == self.base.origin()
    }

    /// The header for a scope, as far as it is known how to log in.
    async fn authorization(&self, scope: &str) -> Result<Option<HeaderValue>, Trouble> {
        let session = self.session.lock().await;
        match &session.challenge {
            None => Ok(None),
            Some(Challenge::Basic) => Ok(self.basic()?),
            Some(Challenge::Bearer { .. }) => match session.tokens.get(scope) {
                Some(token) => Ok(Some(bearer(token)?)),
                None => {
                    drop(session);
                    self.renew(scope, None, None).await
                }
            },
        }
    }

    /// After a 401: another header than the one that was `used`, if there can be any.
    async fn renew(
        &self,
        scope: &str,
        asked: Option<Challenge>,
        used: Option<&HeaderValue>,
    ) -> Result<Option<HeaderValue>, Trouble> {
        // Held while a token is fetched: several requests that fail together need one.
        let mut session = self.session.lock().await;
        if asked.is_some() {
            session.challenge = asked;
        }
        match session.challenge.clone() {
            None => Ok(None),
            Some(Challenge::Basic) => Ok(self.basic()?),
            Some(Challenge::Bearer { .. }) if scope.is_empty() && self.login.is_none() => Ok(None),
            Some(Challenge::Bearer { realm, service }) => {
                if let Some(token) = session.tokens.get(scope) {
                    let known = bearer(token)?;
                    if used != Some(&known) {
                        return Ok(Some(known));
                    }
                }
                let token = self.fetch_token((&realm, service.as_deref()), scope).await?;
                self.tokens.lock().unwrap_or_else(PoisonError::into_inner).push(token.clone());
                session.tokens.insert(scope.to_owned(), token.clone());
                Ok(Some(bearer(&token)?))
            }
        }
    }

    async fn fetch_token(&self, challenge: (&Url, Option<&str>), scope: &str) -> Result<String, Trouble> {
        let action = format!("get a token of {}", challenge.0.host_str().unwrap_or_default());
        let secure = self.base.scheme() == "https";
        let response = auth::token(&self.http, challenge, scope, self.login.as_ref(), secure).await;
        let response = response.map_err(|error| {
            let may_pass = error.is::<reqwest::Error>();
            Trouble { error: error.context(format!("could not {action}")), may_pass, pause: None }
        })?;
        if response.status().is_success() {
            let body = response.bytes().await.map_err(|error| anyhow::Error::new(error.without_url()))?;
            return Ok(auth::token_in(&body)?);
        }
        let (may_pass, pause) = (may_pass(response.status()), asked_pause(response.headers()));
        let ask = Ask { action, ..self.ask(Method::GET, "", scope, String::new())? };
        Err(Trouble { error: self.refusal(&ask, response).await.into(), may_pass, pause })
    }

    fn basic(&self) -> Result<Option<HeaderValue>> {
        use base64::Engine as _;
        let Some(Login::Password { user, password }) = &self.login else { return Ok(None) };
        let pair = format!("{user}:{}", password.expose());
        secret_header(&format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(pair))).map(Some)
    }

    /// What a refusal says, and what may help; no secret of ours is in it, whatever the registry answers.
    pub(super) async fn refusal(&self, ask: &Ask, response: Response) -> Refusal {
        let status = response.status();
        // What can't be read can't be told.
        let text = said(&response.bytes().await.unwrap_or_default());
        let hint = match (status, &self.login) {
            (StatusCode::UNAUTHORIZED, None) => Some(format!("log in first: crudctl login {}", self.name)),
            (StatusCode::UNAUTHORIZED, Some(_)) => {
                Some(format!("the login that is kept for {} is not taken: crudctl login {0}", self.name))
            }
            (StatusCode::FORBIDDEN, _) => Some(match ask.scope.split_once(':').and_then(|(_, s)| s.rsplit_once(':')) {
                Some((repository, actions)) => format!("it takes the right to `{actions}` on `{repository}`"),
                None => "the login has no right to this".to_owned(),
            }),
            (StatusCode::TOO_MANY_REQUESTS, None) => {
                Some("the limit may be higher for those who are logged in".to_owned())
            }
            _ => None,
        };
        Refusal { action: ask.action.clone(), status, said: self.redact(text), hint }
    }

    fn redact(&self, mut text: String) -> String {
        let tokens = self.tokens.lock().unwrap_or_else(PoisonError::into_inner);
        let secrets = self.login.iter().map(Login::secret).chain(tokens.iter().map(String::as_str));
        for secret in secrets.filter(|secret| !secret.is_empty()) {
            text = text.replace(secret, "********");
        }
        text
    }
}

fn bearer(token: &str) -> Result<HeaderValue> {
    secret_header(&format!("Bearer {token}"))
}

fn secret_header(text: &str) -> Result<HeaderValue> {
    let mut value = HeaderValue::from_str(text).map_err(|_| anyhow::anyhow!("the login can't be sent in a header"))?;
    value.set_sensitive(true);
    Ok(value)
}

fn http_client(name: &str, loopback: bool, options: &Options) -> Result<reqwest::Client> {
    // A second call finds the first one's.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let builtin = webpki_root_certs::TLS_SERVER_ROOT_CERTS.iter().map(|der| Certificate::from_der(der));
    let mut trusted = builtin.collect::<Result<Vec<_>, _>>().context("the built-in certificates")?;
    for path in authorities(name)?.into_iter().chain(options.ca.clone()) {
        let failed = || format!("cannot read the certificates of {}", path.display());
        let pem = std::fs::read(&path).with_context(failed)?;
        trusted.extend(Certificate::from_pem_bundle(&pem).with_context(failed)?);
    }
    let mut builder = reqwest::Client::builder()
        .user_agent(concat!("crudctl/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(Duration::from_secs(10))
        .tls_certs_merge(trusted)
        .tls_danger_accept_invalid_certs(options.insecure);
    if loopback {
        builder = builder.no_proxy();
    }
    builder.build().context("the HTTP client can't be made")
}

/// Certificates that Docker trusts for this registry: `certs.d/REGISTRY/*.crt`, the system's and the user's.
fn authorities(name: &str) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for folder in [PathBuf::from("/etc/docker"), credentials::folder()?] {
        let folder = folder.join("certs.d").join(name);
        let entries = match std::fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error).with_context(|| format!("cannot read {}", folder.display())),
        };
        for entry in entries {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == "crt") {
                found.push(path);
            }
        }
    }
    found.sort();
    Ok(found)
}
