//! Lets a request through whose key has the role that its resource asks for. Everything, while authentication is off.

use std::sync::Arc;

use axum::extract::rejection::RawPathParamsRejection;
use axum::extract::{RawPathParams, Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use axum::{Router, middleware};

use super::App;
use crate::auth::{Access, Principal, Role};
use crate::problem::Problem;

/// Puts routes under the rules of the resource that their path names as `{resource}`.
pub(super) fn by_path(app: &Arc<App>, routes: Router<Arc<App>>) -> Router<Arc<App>> {
    routes.route_layer(middleware::from_fn_with_state(app.clone(), guard_by_path))
}

/// Puts routes under the rules of this resource; without one, under those of any.
pub(super) fn of(app: &Arc<App>, resource: Option<&'static str>, routes: Router<Arc<App>>) -> Router<Arc<App>> {
    let access = resource.and_then(|name| app.resource(name)).map(|resource| resource.access).unwrap_or_default();
    routes.route_layer(middleware::from_fn_with_state((app.clone(), access), guard))
}

async fn guard_by_path(
    State(app): State<Arc<App>>,
    parameters: Result<RawPathParams, RawPathParamsRejection>,
    request: Request,
    next: Next,
) -> Response {
    let Ok(parameters) = parameters else {
        return Problem::bad("the path is not UTF-8").into_response();
    };
    let name = parameters.iter().find(|(name, _)| *name == "resource").map(|(_, value)| value);
    let access = name.and_then(|name| app.resource(name)).map(|resource| resource.access).unwrap_or_default();
    guard(State((app, access)), request, next).await
}

async fn guard(State((app, access)): State<(Arc<App>, Access)>, request: Request, next: Next) -> Response {
    let needed = access.needed(![Method::GET, Method::HEAD].contains(request.method()));
    match allowed(&app, request.headers(), needed).await {
        Ok(principal) => {
            let mut response = next.run(request).await;
            if let Some(principal) = principal {
                response.extensions_mut().insert(principal);
            }
            response
        }
        Err(problem) => {
            let challenge = match problem.status {
                StatusCode::UNAUTHORIZED => "Bearer",
                StatusCode::FORBIDDEN => "Bearer error=\"insufficient_scope\"",
                _ => return problem.into_response(),
            };
            let mut response = problem.into_response();
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
            response
        }
    }
}

/// Who asks, if that must be known.
async fn allowed(app: &App, headers: &HeaderMap, needed: Role) -> Result<Option<Principal>, Problem> {
    let Some(authority) = app.auth.as_ref().filter(|_| needed > Role::Public) else {
        return Ok(None);
    };
    let shown = bearer(headers).ok_or_else(nobody)?;
    let unknown = || Problem::new(StatusCode::UNAUTHORIZED, "the key or token is not valid");
    let principal = authority.check(&app.database, shown).await?.ok_or_else(unknown)?;
    if principal.role < needed { Err(forbidden(needed, principal.role)) } else { Ok(Some(principal)) }
}

/// 401 for who shows no key.
pub(super) fn nobody() -> Problem {
    Problem::new(StatusCode::UNAUTHORIZED, NOBODY)
}

/// What they are told.
pub(super) const NOBODY: &str = "a key or token is needed: `Authorization: Bearer ...`";

/// 403 for who has another role.
pub(super) fn forbidden(needed: Role, role: Role) -> Problem {
    let text = format!("this needs the role {}, and the key or token has the role {}", needed.name(), role.name());
    Problem::new(StatusCode::FORBIDDEN, text)
}

/// The key or token of a request.
pub(super) fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, key) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| key.trim()).filter(|key| !key.is_empty())
}
