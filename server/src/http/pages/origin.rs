//! Forms are taken from this server's own pages only. Browsers say where a request comes from, in `Sec-Fetch-Site`
//! (Fetch Metadata; to https and localhost) and in `Origin`, and no page can make them say anything else: so there is
//! no token to keep, to sign and to renew. What says neither comes from no browser of today: programs have the API.

use axum::http::{HeaderMap, StatusCode, header};

use crate::problem::Problem;

/// Why a request that changes something is not taken, if it is not.
pub(super) fn refuse(headers: &HeaderMap) -> Option<Problem> {
    let text = |name: &str| headers.get(name).map(|value| value.to_str().unwrap_or_default());
    let own = match (text("sec-fetch-site"), text("origin")) {
        // `none`: the person did it, by a reload for instance.
        (Some(site), _) => site == "same-origin" || site == "none",
        (None, Some(origin)) => of_host(origin, text(header::HOST.as_str()).unwrap_or_default()),
        (None, None) => false,
    };
    let refused = "the form does not come from a page of this server: open its page here and send it again";
    (!own).then(|| Problem::new(StatusCode::FORBIDDEN, refused))
}

/// Whether an origin is of this host. A proxy may have left the port out of `Host`; then the names must be the same.
fn of_host(origin: &str, host: &str) -> bool {
    let Some((_, place)) = origin.split_once("://") else {
        return false;
    };
    let name = |place: &str| match place.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name.to_owned(),
        _ => place.to_owned(),
    };
    let without_port = name(host) == host;
    !host.is_empty() && (place.eq_ignore_ascii_case(host) || (without_port && name(place).eq_ignore_ascii_case(host)))
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderName, HeaderValue};

    use super::*;

    #[test]
    fn only_forms_of_this_server_are_taken() {
        let taken = |given: &[(&'static str, &'static str)]| {
            let pairs =
                given.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)));
            refuse(&pairs.collect()).is_none()
        };
        let host = ("host", "crud.example.org:8080");
        for good in [
            &[host, ("sec-fetch-site", "same-origin")][..],
            &[host, ("sec-fetch-site", "none")],
            &[host, ("sec-fetch-site", "same-origin"), ("origin", "https://behind.a.proxy")],
            &[host, ("origin", "http://crud.example.org:8080")],
            &[("host", "crud.example.org"), ("origin", "https://CRUD.example.org")],
            &[("host", "crud.example.org"), ("origin", "https://crud.example.org:8443")],
            &[("host", "[::1]:8080"), ("origin", "http://[::1]:8080")],
        ] {
            assert!(taken(good), "{good:?}");
        }
        for bad in [
            &[host][..],
            &[host, ("sec-fetch-site", "cross-site")],
            &[host, ("sec-fetch-site", "same-site"), ("origin", "http://crud.example.org:8080")],
            &[host, ("sec-fetch-site", "cross-site"), ("origin", "http://crud.example.org:8080")],
            &[host, ("origin", "null")],
            &[host, ("origin", "http://evil.example.org")],
            &[host, ("origin", "http://crud.example.org:9090")],
            &[host, ("origin", "http://crud.example.org")],
            &[("host", "crud.example.org"), ("origin", "http://crud.example.org.evil.org")],
            &[("host", ""), ("origin", "http://")],
            &[("origin", "http://crud.example.org")],
        ] {
            assert!(!taken(bad), "{bad:?}");
        }
    }
}
