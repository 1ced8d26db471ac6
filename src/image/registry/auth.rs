//! How a registry wants to be logged in to: anonymously, by HTTP Basic, or by a token of its token service
//! (distribution's "token authentication" and Docker's OAuth2 form of it).

use std::collections::HashMap;

use anyhow::{Context, Result, bail, ensure};
use reqwest::header::{HeaderMap, WWW_AUTHENTICATE};
use serde_json::Value;
use url::Url;

use super::credentials::Login;

/// What a 401 asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Challenge {
    Basic,
    Bearer { realm: Url, service: Option<String> },
}

impl Challenge {
    /// Reads `WWW-Authenticate`; of several, tokens are preferred.
    pub(super) fn read(headers: &HeaderMap) -> Result<Option<Self>> {
        let mut basic = None;
        for value in headers.get_all(WWW_AUTHENTICATE) {
            let value = value.to_str().context("the registry's WWW-Authenticate is no text")?;
            let (scheme, rest) = value.split_once(' ').unwrap_or((value, ""));
            if scheme.eq_ignore_ascii_case("bearer") {
                let realm = parameter(rest, "realm").context("the registry names no token service")?;
                let realm = Url::parse(&realm).context("the registry names its token service by no URL")?;
                return Ok(Some(Self::Bearer { realm, service: parameter(rest, "service") }));
            }
            if scheme.eq_ignore_ascii_case("basic") {
                basic = Some(Self::Basic);
            }
        }
        Ok(basic)
    }
}

/// A quoted parameter of a challenge.
fn parameter(text: &str, name: &str) -> Option<String> {
    let at = text.find(&format!("{name}=\""))?;
    let rest = &text[at + name.len() + 2..];
    Some(rest[..rest.find('"')?].to_owned())
}

/// What is known so far.
#[derive(Debug, Default)]
pub(super) struct Session {
    pub(super) challenge: Option<Challenge>,
    /// Tokens by scope.
    pub(super) tokens: HashMap<String, String>,
}

/// A new token for `scope` (several, separated by spaces).
pub(super) async fn token(
    http: &reqwest::Client,
    challenge: (&Url, Option<&str>),
    scope: &str,
    login: Option<&Login>,
    secure: bool,
) -> Result<reqwest::Response> {
    let (realm, service) = challenge;
    ensure!(
        realm.scheme() == "https" || !secure || login.is_none(),
        "the registry names a token service without TLS, {realm}: no password is sent there"
    );
    let scopes = scope.split(' ').filter(|scope| !scope.is_empty());
    let mut url = realm.clone();
    let request = match login {
        Some(Login::Identity(token)) => {
            let mut form = url::form_urlencoded::Serializer::new(String::new());
            form.append_pair("grant_type", "refresh_token").append_pair("client_id", "crudctl");
            form.append_pair("refresh_token", token.expose()).append_pair("scope", scope);
            form.append_pair("service", service.unwrap_or_default());
            let form_type = "application/x-www-form-urlencoded";
            http.post(url).header(reqwest::header::CONTENT_TYPE, form_type).body(form.finish())
        }
        other => {
            for (name, value) in service.iter().map(|s| ("service", *s)).chain(scopes.map(|s| ("scope", s))) {
                url.query_pairs_mut().append_pair(name, value);
            }
            match other {
                Some(Login::Password { user, password }) => http.get(url).basic_auth(user, Some(password.expose())),
                _ => http.get(url),
            }
        }
    };
    Ok(request.send().await.map_err(reqwest::Error::without_url)?)
}

/// The token in a token service's answer.
pub(super) fn token_in(body: &[u8]) -> Result<String> {
    let answer: Value = serde_json::from_slice(body).context("the token service did not answer in JSON")?;
    match answer["token"].as_str().or(answer["access_token"].as_str()) {
        Some(token) if !token.is_empty() => Ok(token.to_owned()),
        _ => bail!("the token service answered without a token"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(values: &[&str]) -> Option<Challenge> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(WWW_AUTHENTICATE, value.parse().unwrap());
        }
        Challenge::read(&headers).unwrap()
    }

    #[test]
    fn challenges_are_read() {
        assert_eq!(read(&[]), None);
        assert_eq!(read(&["Basic realm=\"x\""]), Some(Challenge::Basic));
        let bearer = "bearer realm=\"https://auth.example.org/token?a=b\",service=\"reg\",scope=\"repository:a:pull\"";
        let expected = Challenge::Bearer {
            realm: Url::parse("https://auth.example.org/token?a=b").unwrap(),
            service: Some("reg".into()),
        };
        assert_eq!(read(&["Basic realm=\"x\"", bearer]), Some(expected));
    }
}
