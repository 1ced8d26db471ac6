//! JSON web tokens (RFC 7519) of an issuer whose public keys are a JWK set (RFC 7517), in a file or at a URL.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use jsonwebtoken::jwk::{Jwk, JwkSet, PublicKeyUse};
use jsonwebtoken::{AlgorithmFamily, DecodingKey, Validation, decode, decode_header};
use serde_json::{Map, Value};

use super::{Principal, Role};
use crate::log;

/// After this time the keys are read again, since an issuer changes them.
const OLD: Duration = Duration::from_mins(5);
/// A token that names an unknown key makes the keys be read again, but not more often than this.
const PAUSE: Duration = Duration::from_secs(10);
/// Longest wait for the URL.
const WAIT: Duration = Duration::from_secs(5);
/// Largest set of keys, in bytes.
const LARGEST: u64 = 1024 * 1024;

/// What a token must say, besides being signed and not expired.
#[derive(Clone, Debug)]
pub struct Expected {
    /// `iss`
    pub issuer: Option<String>,
    /// `aud`
    pub audience: Option<String>,
    /// The claim that names the role: a word or a list of words.
    pub role_claim: String,
}

/// Checks tokens.
#[derive(Debug)]
pub struct Tokens {
    source: Source,
    expected: Expected,
    known: Mutex<Option<Known>>,
    reading: tokio::sync::Mutex<()>,
}

#[derive(Clone, Debug)]
enum Source {
    File(PathBuf),
    Url(String),
}

#[derive(Clone, Debug)]
struct Known {
    keys: Arc<JwkSet>,
    read: Instant,
}

impl Tokens {
    /// `place` is a path, or a URL of the scheme `http` or `https`. Nothing is read yet.
    pub fn new(place: &str, expected: Expected) -> Self {
        let url = place.starts_with("https://") || place.starts_with("http://");
        let source = if url { Source::Url(place.to_owned()) } else { Source::File(place.into()) };
        Self { source, expected, known: Mutex::default(), reading: tokio::sync::Mutex::default() }
    }

    /// Whose token it is; none: it is not valid.
    ///
    /// # Errors
    /// The keys cannot be had.
    pub async fn check(&self, token: &str) -> anyhow::Result<Option<Principal>> {
        let Ok(header) = decode_header(token) else {
            return Ok(None);
        };
        let mut known = self.keys(OLD).await?;
        if key(&known.keys, header.kid.as_deref()).is_none() {
            known = self.keys(PAUSE).await?;
        }
        let Some(key) = key(&known.keys, header.kid.as_deref()) else {
            return Ok(None);
        };
        Ok(match self.claims(token, key) {
            Ok(claims) => Some(self.principal(&claims)),
            Err(error) => {
                log::debug("a token is not valid", &[("error", format!("{error:#}"))]);
                None
            }
        })
    }

    fn claims(&self, token: &str, key: &Jwk) -> anyhow::Result<Map<String, Value>> {
        let key = DecodingKey::from_jwk(key)?;
        if key.family() == AlgorithmFamily::Hmac {
            bail!("a set of public keys has a secret one");
        }
        let mut validation = Validation::new_for_family(key.family());
        validation.validate_nbf = true;
        let mut needed = vec!["exp"];
        match &self.expected.audience {
            Some(audience) => {
                validation.set_audience(&[audience]);
                needed.push("aud");
            }
            None => validation.validate_aud = false,
        }
        if let Some(issuer) = &self.expected.issuer {
            validation.set_issuer(&[issuer]);
            needed.push("iss");
        }
        validation.set_required_spec_claims(&needed);
        Ok(decode::<Map<String, Value>>(token, &key, &validation)?.claims)
    }

    /// The highest role that the claim names; a token without one is known and may do nothing.
    fn principal(&self, claims: &Map<String, Value>) -> Principal {
        let words = match claims.get(&self.expected.role_claim) {
            Some(Value::String(word)) => vec![word.as_str()],
            Some(Value::Array(words)) => words.iter().filter_map(Value::as_str).collect(),
            _ => Vec::new(),
        };
        let role = words.into_iter().filter_map(Role::named).max().unwrap_or_default();
        let name = claims.get("sub").and_then(Value::as_str).unwrap_or("a token without a subject");
        Principal { name: name.to_owned(), role }
    }

    /// The keys, read again if they are older than `age`. If that fails, the old ones go on.
    async fn keys(&self, age: Duration) -> anyhow::Result<Known> {
        let young = |known: &Known| known.read.elapsed() < age;
        if let Some(known) = self.known().filter(young) {
            return Ok(known);
        }
        let _turn = self.reading.lock().await;
        // Another request may have read them while this one waited.
        let before = self.known();
        if let Some(known) = before.clone().filter(young) {
            return Ok(known);
        }
        let source = self.source.clone();
        let read = tokio::task::spawn_blocking(move || source.read()).await?;
        let known = match (read, before) {
            (Ok(keys), _) => Known { keys: Arc::new(keys), read: Instant::now() },
            (Err(error), Some(before)) => {
                log::warn("the keys of tokens cannot be read anew", &[("error", format!("{error:#}"))]);
                Known { read: Instant::now(), ..before }
            }
            (Err(error), None) => return Err(error.context("the keys of tokens cannot be read")),
        };
        *self.known.lock().unwrap_or_else(PoisonError::into_inner) = Some(known.clone());
        Ok(known)
    }

    fn known(&self) -> Option<Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Source {
    fn read(&self) -> anyhow::Result<JwkSet> {
        let bytes = match self {
            Self::File(path) => std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?,
            Self::Url(url) => {
                let agent: ureq::Agent = ureq::Agent::config_builder().timeout_global(Some(WAIT)).build().into();
                let mut response = agent.get(url).call().with_context(|| format!("cannot read {url}"))?;
                response.body_mut().with_config().limit(LARGEST).read_to_vec()?
            }
        };
        serde_json::from_slice(&bytes).context("it is no JWK set")
    }
}

/// The key that a token names; a token may leave that out where there is one key only.
fn key<'k>(keys: &'k JwkSet, kid: Option<&str>) -> Option<&'k Jwk> {
    let mut signing = keys.keys.iter().filter(|key| key.common.public_key_use != Some(PublicKeyUse::Encryption));
    match kid {
        Some(kid) => signing.find(|key| key.common.key_id.as_deref() == Some(kid)),
        None => signing.next().filter(|_| signing.next().is_none()),
    }
}
