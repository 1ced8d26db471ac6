//! What stands at the edge of every request: metrics, limits, CORS, headers.

mod common;

use common::Server;
use common::databases::{Database as _, Sqlite};

fn start(env: &[(&str, &str)]) -> (Sqlite, Server) {
    let database = Sqlite::start();
    let url = database.url();
    let server = Server::start(&[env, &[("DATABASE_URL", url.as_str())]].concat(), &[]);
    (database, server)
}

/// The value of a series.
fn value(text: &str, series: &str) -> Option<f64> {
    text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' ')?.parse().ok())
}

#[test]
fn metrics_count_by_route_and_status() {
    let (_database, server) = start(&[]);
    for path in ["/api/employees/1", "/api/employees/2", "/nothing", "/else"] {
        assert_eq!(server.get(path).status, 404);
    }
    server.send("BREW", "/api/employees", &[], b"");
    server.json("POST", "/api/employees", &serde_json::json!({"name": "x", "age": 1, "email": "a@b.c"}));
    let answer = server.get("/metrics");
    let text = &answer.body;
    assert!(answer.header("content-type").is_some_and(|kind| kind.starts_with("application/openmetrics-text")));
    let count = |method: &str, route: &str, status: u16| {
        value(text, &format!("crud_http_requests_total{{method=\"{method}\",route=\"{route}\",status=\"{status}\"}}"))
    };
    assert_eq!(count("GET", "/api/{resource}/{id}", 404), Some(2.0), "{text}");
    assert_eq!(count("GET", "none", 404), Some(2.0), "{text}");
    assert_eq!(count("other", "/api/{resource}", 405), Some(1.0), "{text}");
    let series = "crud_http_request_duration_seconds_count{method=\"POST\",route=\"/api/{resource}\"}";
    assert_eq!(value(text, series), Some(1.0), "{text}");
    assert_eq!(value(text, "crud_database_connections_busy"), Some(0.0), "{text}");
    assert!(value(text, "crud_database_connections_idle") > Some(0.0), "{text}");
    assert_eq!(value(text, "crud_database_connections_max"), Some(17.0), "{text}");
    assert!(text.ends_with("# EOF\n"));
}

#[test]
fn a_client_beyond_its_limit_waits_and_others_do_not() {
    let (_database, server) = start(&[("RATE_LIMIT", "3"), ("PROXY_HOPS", "1")]);
    let ask = |path: &str, client: &str| server.send("GET", path, &[("x-forwarded-for", client)], b"");
    let answers: Vec<_> = (0..30).map(|_| ask("/api/employees", "192.0.2.1")).collect();
    let refused: Vec<_> = answers.iter().filter(|answer| answer.status == 429).collect();
    assert!(answers[..3].iter().all(|answer| answer.status == 200) && refused.len() > 10, "{}", refused.len());
    assert_eq!(refused[0].header("retry-after"), Some("1"));
    assert_eq!(refused[0].header("content-type"), Some("application/problem+json"));
    // What the client writes itself in front of what the proxy adds counts for nothing.
    assert_eq!(ask("/api/employees", "192.0.2.9, 192.0.2.1").status, 429);
    assert_eq!(ask("/api/employees", "192.0.2.1, 192.0.2.2").status, 200);
    // One customer has a whole /64.
    let statuses: Vec<u16> = (0..30).map(|n| ask("/api/employees", &format!("2001:db8::{n:x}")).status).collect();
    assert!(statuses.contains(&429), "{statuses:?}");
    for path in ["/healthz", "/readyz", "/metrics"] {
        assert_eq!(ask(path, "192.0.2.1").status, 200, "{path}");
    }
}

#[test]
fn there_is_no_limit_unless_one_is_set() {
    let (_database, server) = start(&[]);
    assert!((0..100).all(|_| server.get("/version").status == 200 && server.get("/").status == 200));
}

#[test]
fn cors_is_for_the_origins_that_are_named() {
    let preflight = |server: &Server, origin: &str| {
        let headers = [
            ("origin", origin),
            ("access-control-request-method", "PATCH"),
            ("access-control-request-headers", "if-match"),
        ];
        server.send("OPTIONS", "/api/employees", &headers, b"")
    };
    let (_database, server) = start(&[("CORS_ORIGINS", "https://app.example.org,http://localhost:3000")]);
    for origin in ["https://app.example.org", "http://localhost:3000"] {
        let answer = preflight(&server, origin);
        assert_eq!((answer.status, answer.header("access-control-allow-origin")), (200, Some(origin)));
        assert!(answer.header("access-control-allow-methods").is_some_and(|methods| methods.contains("PATCH")));
        assert!(answer.header("access-control-allow-headers").is_some_and(|headers| headers.contains("if-match")));
        let answer = server.send("GET", "/api/employees/1", &[("origin", origin)], b"");
        assert_eq!((answer.status, answer.header("access-control-allow-origin")), (404, Some(origin)));
        assert!(answer.header("access-control-expose-headers").is_some_and(|headers| headers.contains("etag")));
    }
    assert_eq!(preflight(&server, "https://evil.example.org").header("access-control-allow-origin"), None);
    drop(server);
    let (_database, server) = start(&[]);
    let answer = preflight(&server, "https://app.example.org");
    assert_eq!((answer.status, answer.header("access-control-allow-origin")), (405, None));
    let output = common::command(&[("CORS_ORIGINS", "app.example.org")], &[]).output().expect("it runs");
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("`app.example.org` must be"));
}

#[test]
fn no_answer_is_sniffed() {
    let (_database, server) = start(&[]);
    for path in ["/", "/nothing", "/api/employees", "/healthz"] {
        assert_eq!(server.get(path).header("x-content-type-options"), Some("nosniff"), "{path}");
    }
}
