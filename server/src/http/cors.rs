//! CORS: which other origins' pages may use the API from a browser. Off unless origins are named.

use anyhow::Context as _;
use axum::http::{HeaderName, HeaderValue, Method, header};
use tower_http::cors::{AllowOrigin, CorsLayer};

/// By the words of `CORS_ORIGINS`: `*` for any, or origins such as `https://app.example.org`.
pub(super) fn layer(origins: &[String]) -> anyhow::Result<Option<CorsLayer>> {
    let origins: Vec<&str> = origins.iter().map(String::as_str).filter(|origin| !origin.is_empty()).collect();
    let allowed = match origins.as_slice() {
        [] => return Ok(None),
        ["*"] => AllowOrigin::any(),
        origins => {
            let values = origins.iter().map(|origin| checked(origin)).collect::<anyhow::Result<Vec<_>>>()?;
            AllowOrigin::list(values)
        }
    };
    let name = HeaderName::from_static;
    Ok(Some(
        CorsLayer::new()
            .allow_origin(allowed)
            .allow_methods([Method::GET, Method::HEAD, Method::POST, Method::PUT, Method::PATCH, Method::DELETE])
            .allow_headers([
                header::AUTHORIZATION,
                header::CONTENT_TYPE,
                header::IF_MATCH,
                header::IF_NONE_MATCH,
                name("idempotency-key"),
                name("traceparent"),
                name("x-request-id"),
            ])
            .expose_headers([
                header::ETAG,
                header::LINK,
                header::LOCATION,
                header::RETRY_AFTER,
                name("x-request-id"),
                name("x-crud-version"),
            ])
            .max_age(std::time::Duration::from_hours(1)),
    ))
}

fn checked(origin: &str) -> anyhow::Result<HeaderValue> {
    let host = origin.strip_prefix("https://").or_else(|| origin.strip_prefix("http://"));
    let plain = host.is_some_and(|host| !host.is_empty() && !host.contains(['/', '*', ' ']));
    anyhow::ensure!(plain, "CORS_ORIGINS: `{origin}` must be `*`, or an origin such as https://app.example.org");
    HeaderValue::from_str(origin).with_context(|| format!("CORS_ORIGINS: `{origin}`"))
}
