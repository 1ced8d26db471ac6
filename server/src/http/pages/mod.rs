//! Pages for people: `/`, `/ui/{resource}` and `/docs`. Rendered here, from the declarations; without scripts.

mod delete;
mod docs;
mod edit;
mod error;
mod form;
mod index;
mod input;
mod list;
mod login;
mod origin;
mod record;
mod shown;
mod site;
mod visitor;

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, Uri};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Redirect, Response};
use axum::routing::{any, get};
use axum::{Router, middleware};

use super::{App, guard, layers};
use crate::problem::Problem;

/// The route of paths where nothing is.
pub(super) const NOTHING: &str = "/{*path}";

/// All pages.
pub(super) fn routes(app: &Arc<App>) -> Router<Arc<App>> {
    let records = Router::new()
        .route("/ui/{resource}", get(list::show))
        .route("/ui/{resource}/new", get(edit::new).post(edit::create))
        .route("/ui/{resource}/{id}", get(edit::existing).post(edit::save))
        .route("/ui/{resource}/{id}/delete", get(delete::ask).post(delete::delete));
    let data = Router::new()
        .route("/login", get(login::form).post(login::login))
        .merge(guard::by_path(app, records))
        .layer(middleware::from_fn_with_state(app.clone(), layers::migrated));
    Router::new()
        .route("/", get(index::contents))
        .route("/ui", get(|| async { Redirect::permanent("/") }))
        .route("/docs", get(docs::reference))
        .route("/logout", axum::routing::post(login::logout))
        .merge(data)
        .layer(middleware::from_fn_with_state(app.clone(), around))
        .route(NOTHING, any(nothing))
}

/// Where nothing is: a page for browsers, a problem for programs.
async fn nothing(State(app): State<Arc<App>>, method: Method, uri: Uri, mut headers: HeaderMap) -> Response {
    let response = Problem::not_found("path").into_response();
    if !index::wants_page(&headers) {
        return response;
    }
    visitor::show_key(&mut headers);
    error::page(&app, &method, &uri, &headers, response).await
}

/// What all pages need before and behind their routes: a form must come from one of them; who logged in is known by a
/// cookie, which the rest of the server does not look at; errors are pages, too.
async fn around(State(app): State<Arc<App>>, mut request: Request, next: Next) -> Response {
    visitor::show_key(request.headers_mut());
    let (method, uri, headers) = (request.method().clone(), request.uri().clone(), request.headers().clone());
    let refused = if [Method::GET, Method::HEAD].contains(&method) { None } else { origin::refuse(&headers) };
    let response = match refused {
        Some(problem) => problem.into_response(),
        None => next.run(request).await,
    };
    error::page(&app, &method, &uri, &headers, response).await
}
