//! Who looks at a page, by the key in a cookie.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, header};

use crate::auth::{Access, Principal, Role};
use crate::http::{App, guard};
use crate::problem::Problem;

/// The cookie of the key, over https. Its prefix makes browsers refuse one that another host or plain HTTP sets.
pub(super) const SECURE: &str = "__Host-crud_key";
/// The same over plain HTTP, where no such prefix is allowed.
pub(super) const PLAIN: &str = "crud_key";

/// Makes the cookie's key the one that the request shows, unless it shows one itself.
pub(super) fn show_key(headers: &mut HeaderMap) {
    if !headers.contains_key(header::AUTHORIZATION)
        && let Some(key) = cookie(headers, SECURE).or_else(|| cookie(headers, PLAIN))
        && let Ok(mut value) = HeaderValue::try_from(format!("Bearer {key}"))
    {
        value.set_sensitive(true);
        headers.insert(header::AUTHORIZATION, value);
    }
}

fn cookie(headers: &HeaderMap, name: &str) -> Option<String> {
    let lines = headers.get_all(header::COOKIE).iter().filter_map(|line| line.to_str().ok());
    let mut pairs = lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(given, value)| *given == name && !value.is_empty()).map(|(_, value)| value.to_owned())
}

/// Who looks.
#[derive(Clone, Debug)]
pub(super) struct Visitor {
    /// Whose key it is, if there is one that is known.
    pub(super) principal: Option<Principal>,
    /// Authentication is on.
    pub(super) asked: bool,
}

impl Visitor {
    /// By the key that the request shows; nobody, if it is not valid.
    pub(super) async fn of(app: &App, headers: &HeaderMap) -> Result<Self, Problem> {
        let principal = match (&app.auth, guard::bearer(headers)) {
            (Some(authority), Some(key)) if app.migrated.load(Ordering::Acquire) => {
                authority.check(&app.database, key).await?
            }
            _ => None,
        };
        Ok(Self { principal, asked: app.auth.is_some() })
    }

    /// Whether they may do what needs this role.
    pub(super) fn may(&self, needed: Role) -> bool {
        !self.asked || self.principal.as_ref().map_or(Role::Public, |principal| principal.role) >= needed
    }

    /// Whether they may change rows.
    pub(super) fn writes(&self, access: Access) -> bool {
        self.may(access.write)
    }
}

impl FromRequestParts<Arc<App>> for Visitor {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Problem> {
        Self::of(app, &parts.headers).await
    }
}
