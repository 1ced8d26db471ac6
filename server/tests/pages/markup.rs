//! What must hold on every page: headers, escaping, and what a screen reader needs.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;
use sha2::{Digest as _, Sha256};

use crate::site::{Site, attribute, encoded, place, tags};

const HOSTILE: &str = "</title></textarea><script>alert(1)</script>\"'><img src=x onerror=alert(1)>&amp;";

fn pages(site: &Site) -> Vec<(String, String)> {
    let book = site.add("books", &json!({"title": HOSTILE, "notes": HOSTILE, "extra": {"a": HOSTILE}}));
    let own = place("books", &book);
    let paths = [
        "/".to_owned(),
        "/docs".into(),
        "/ui/books".into(),
        format!("/ui/books?{}", encoded(&[("q", HOSTILE)])),
        "/ui/books/new".into(),
        own.clone(),
        format!("{own}/delete"),
        format!("{own}?{}", encoded(&[("done", HOSTILE)])),
    ];
    let mut pages: Vec<(String, String)> = paths.into_iter().map(|path| (path.clone(), site.page(&path))).collect();
    for (path, status) in [
        (format!("/ui/books?{}", encoded(&[("sort", HOSTILE)])), 400),
        (format!("/ui/{}", encoded(&[("x", HOSTILE)])), 404),
        ("/ui/books/1".into(), 404),
    ] {
        let answer = site.server.get(&path);
        assert_eq!(answer.status, status, "{path}: {answer:?}");
        pages.push((path, answer.body));
    }
    let answer = site.send("/ui/books/new", &[("title", ""), ("notes", HOSTILE), ("kind", HOSTILE), ("isbn", HOSTILE)]);
    assert_eq!(answer.status, 422, "{answer:?}");
    pages.push(("a wrong form".into(), answer.body));
    pages
}

#[test]
fn what_people_wrote_is_text_and_nothing_else() {
    let site = Site::open();
    for (path, page) in pages(&site) {
        assert!(
            !page.contains("<script") && !page.contains("<img") && page.matches("</title>").count() == 1,
            "{path}: {page}"
        );
        // A quote in a value does not end its attribute.
        for tag in tags(&page, &[]) {
            assert!(!tag.contains(" onerror=alert") || tag.contains("&lt;img src=x onerror=alert"), "{path}: {tag}");
            assert!(!tag.contains(" style="), "{path}: {tag}");
        }
        let hostile = path.contains("books") && !path.contains("new") && !path.contains("sort");
        assert!(!hostile || path.ends_with("/1") || page.contains("&lt;script&gt;alert(1)"), "{path}: {page}");
    }
}

#[test]
fn every_page_has_its_headers() {
    let site = Site::open();
    let own = place("books", &site.add("books", &json!({"title": "Emma"})));
    for path in ["/", "/docs", "/ui/books", "/ui/books/new", &own, "/ui/nothing"] {
        let answer = site.server.send("GET", path, &[("accept", "text/html")], b"");
        let (_, style) = answer.body.split_once("<style>").expect("a style");
        let (style, _) = style.split_once("</style>").expect("its end");
        let hash = STANDARD.encode(Sha256::digest(style));
        let policy = format!(
            "default-src 'none'; style-src 'sha256-{hash}'; img-src data:; form-action 'self'; base-uri 'none'; \
             frame-ancestors 'none'"
        );
        for (name, value) in [
            ("content-type", "text/html; charset=utf-8"),
            ("content-security-policy", policy.as_str()),
            ("x-content-type-options", "nosniff"),
            ("referrer-policy", "same-origin"),
            ("x-frame-options", "DENY"),
            ("cross-origin-opener-policy", "same-origin"),
            ("cross-origin-resource-policy", "same-origin"),
            ("cache-control", "no-store"),
        ] {
            assert_eq!(answer.header(name), Some(value), "{path} {name}");
        }
    }
}

#[test]
fn the_first_page_is_for_browsers_and_its_json_for_programs() {
    let site = Site::open();
    let json = site.server.get("/");
    assert_eq!(json.json()["resources"], json!(["/api/employees", "/api/hardware", "/api/passengers", "/api/books"]));
    for program in ["*/*", "application/json"] {
        let answer = site.server.send("GET", "/", &[("accept", program)], b"");
        assert_eq!((answer.body.as_str(), answer.header("vary")), (json.body.as_str(), Some("accept")));
    }
    let page = site.page("/");
    for resource in ["employees", "hardware", "passengers", "books"] {
        assert!(page.contains(&format!("href=\"/ui/{resource}\"")), "{page}");
    }
    assert!(page.contains("What stands on the shelf."));
}

#[test]
fn where_nothing_is_browsers_get_a_page() {
    let site = Site::open();
    for path in ["/nothing", "/ui/books/a/b", "/favicon.ico"] {
        let answer = site.server.send("GET", path, &[("accept", "text/html,*/*;q=0.8")], b"");
        assert_eq!(answer.status, 404, "{answer:?}");
        assert!(answer.body.contains("<h1>Not found</h1>") && answer.body.contains("href=\"/\""), "{answer:?}");
        for method in ["GET", "POST"] {
            let answer = site.server.send(method, path, &[("accept", "*/*")], b"");
            assert_eq!((answer.status, answer.header("content-type")), (404, Some("application/problem+json")));
        }
    }
    assert_eq!(site.server.send("PUT", "/api/books", &[], b"").status, 405);
}

#[test]
fn screen_readers_find_their_way() {
    let site = Site::open();
    for (path, page) in pages(&site) {
        assert!(page.starts_with("<!DOCTYPE html><html lang=\"en\">"), "{path}");
        for one in ["<h1", "<main id=\"main\"", "href=\"#main\"", "<header class=\"top\"", "<nav aria-label=\"Main\""] {
            assert_eq!(page.matches(one).count(), 1, "{path}: {one}");
        }
        let all = tags(&page, &[]);
        let ids: Vec<String> = all.iter().filter_map(|tag| attribute(tag, "id")).collect();
        let mut once = ids.clone();
        once.sort();
        once.dedup();
        assert_eq!(once.len(), ids.len(), "{path}: an id twice");
        for tag in &all {
            for name in ["aria-describedby", "aria-labelledby", "for"] {
                for id in attribute(tag, name).iter().flat_map(|ids| ids.split(' ')) {
                    assert!(ids.iter().any(|known| known == id), "{path}: {tag}");
                }
            }
            if let Some(id) = attribute(tag, "href").as_deref().and_then(|place| place.strip_prefix('#')) {
                assert!(ids.iter().any(|known| known == id), "{path}: {tag}");
            }
            let input = ["input ", "select ", "textarea "].iter().any(|name| tag.starts_with(name));
            if input && !tag.contains("type=\"hidden\"") {
                let id = attribute(tag, "id").unwrap_or_else(|| panic!("{path}: {tag}"));
                assert_eq!(tags(&page, &["label ", &format!("for=\"{id}\"")]).len(), 1, "{path}: {tag}");
            }
        }
        assert_eq!(page.matches("<table").count(), page.matches("<caption").count(), "{path}");
        assert!(
            all.iter().filter(|tag| tag.starts_with("th ") || **tag == "th").all(|tag| tag.contains("scope=")),
            "{path}"
        );
    }
}
