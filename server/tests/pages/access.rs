//! Whose forms are taken, and who sees what.

use std::process::Stdio;

use serde_json::json;

use crate::common::databases::{Database as _, Sqlite};
use crate::common::{Answer, command};
use crate::site::{Site, attribute, place, tag, tags};

#[test]
fn only_forms_of_this_server_are_taken() {
    let site = Site::open();
    let host = site.server.at.to_string();
    let own = format!("http://{host}");
    let refused = [
        &[][..],
        &[("origin", "null")],
        &[("origin", "http://evil.example.org")],
        &[("sec-fetch-site", "cross-site"), ("origin", own.as_str())],
        &[("sec-fetch-site", "same-site"), ("origin", own.as_str())],
    ];
    let book = site.add("books", &json!({"title": "Emma"}));
    let place = place("books", &book);
    for headers in refused {
        for path in ["/ui/books/new", &place, &format!("{place}/delete"), "/login", "/logout"] {
            let answer = site.send_from(path, headers, &[("title", "x"), ("_version", "1")]);
            assert_eq!(answer.status, 403, "{headers:?} {path}: {answer:?}");
            assert!(answer.body.contains("<h1>Not allowed</h1>"), "{answer:?}");
        }
    }
    assert_eq!(site.books(), [book]);
    for headers in [[("origin", own.as_str())], [("sec-fetch-site", "same-origin")], [("sec-fetch-site", "none")]] {
        assert_eq!(site.send_from("/ui/books/new", &headers, &[("title", "x")]).status, 303, "{headers:?}");
    }
}

fn key(url: &str, role: &str) -> String {
    let output = command(&[("DATABASE_URL", url)], &["key", "create", "--name", role, "--role", role])
        .stdout(Stdio::piped())
        .output()
        .expect("it runs");
    String::from_utf8(output.stdout).expect("a key").trim_end().to_owned()
}

/// The cookie that an answer sets, as a browser sends it back.
fn cookie(answer: &Answer) -> String {
    let cookie = answer.header("set-cookie").unwrap_or_else(|| panic!("no cookie: {answer:?}"));
    cookie.split(';').next().expect("a pair").to_owned()
}

#[test]
fn a_key_logs_in_and_its_role_holds() {
    let database = Sqlite::start();
    let [reader, writer] = ["reader", "writer"].map(|role| key(&database.url(), role));
    let folder = tempfile::TempDir::new().expect("a folder");
    let file = folder.path().join("notes.yml").display().to_string();
    std::fs::write(&file, "access: { read: public, write: admin }\nfields:\n  text: { type: string }\n")
        .expect("written");
    let mut site = Site::on(&database.url(), &[("AUTH", "keys"), ("CRUD_RESOURCES", &file)]);
    let get =
        |path: &str, cookie: &str| site.server.send("GET", path, &[("accept", "text/html"), ("cookie", cookie)], b"");

    // Nobody: the form to log in, which leads back.
    let answer = get("/ui/employees?q=a%20b", "");
    assert_eq!(answer.status, 401, "{answer:?}");
    assert_eq!(attribute(tag(&answer.body, &["name=\"next\""]), "value").as_deref(), Some("/ui/employees?q=a%20b"));
    assert_eq!(get("/ui/nothing", "").status, 401);
    for open in ["/", "/docs", "/login", "/ui/notes"] {
        let answer = get(open, "");
        assert_eq!(answer.status, 200, "{open}: {answer:?}");
        assert!(answer.body.contains("href=\"/login\""), "{open}");
    }
    assert!(!get("/ui/notes", "").body.contains("Add record"));
    // The reference says which requests need a key.
    let reference = get("/docs", "").body;
    let example = |id: &str| {
        let (_, article) = reference.split_once(&format!("<article id=\"{id}\"")).expect("an operation");
        article.split_once("</article>").expect("its end").0.to_owned()
    };
    let (public, asked) = (example("list_notes"), example("create_notes"));
    assert!(public.contains("Everybody may ask.") && !public.contains("Bearer $KEY"), "{public}");
    assert!(!asked.contains("Everybody may ask.") && asked.contains("Bearer $KEY"), "{asked}");

    // A wrong key.
    for (wrong, said) in
        [("", "Enter a key."), ("crud_no", "not known"), ("a;b", "not known"), (&"x".repeat(5000), "too long")]
    {
        let answer = site.send("/login", &[("key", wrong)]);
        assert_eq!((answer.status, answer.header("set-cookie")), (422, None), "{answer:?}");
        assert!(answer.body.contains(said) && (wrong.is_empty() || !answer.body.contains(wrong)), "{answer:?}");
    }

    // The right one.
    let login = |key: &str, next: &str| site.send("/login", &[("key", key), ("next", next)]);
    let answer = login(&reader, "/ui/employees?q=a%20b");
    assert_eq!((answer.status, answer.header("location")), (303, Some("/ui/employees?q=a%20b")), "{answer:?}");
    let set = answer.header("set-cookie").expect("a cookie");
    assert!(set.starts_with("crud_key=") && set.ends_with("; Path=/; HttpOnly; SameSite=Strict"), "{set}");
    let reads = cookie(&answer);
    let writes = cookie(&login(&writer, ""));
    assert_eq!(login(&reader, "//evil.example.org").header("location"), Some("/"));
    let origin = [("origin", "https://crud.example.org"), ("sec-fetch-site", "same-origin")];
    let answer = site.send_from("/login", &origin, &[("key", &reader)]);
    let set = answer.header("set-cookie").expect("a cookie");
    assert!(set.starts_with("__Host-crud_key=") && set.ends_with("; Secure"), "{set}");
    assert_eq!(get("/ui/employees", &cookie(&answer)).status, 200);

    // A writer writes.
    let send = |path: &str, cookie: &str, pairs: &[(&str, &str)]| {
        site.send_from(path, &[("sec-fetch-site", "same-origin"), ("cookie", cookie)], pairs)
    };
    let ada = [("name", "Ada"), ("age", "36"), ("email", "ada@example.org")];
    let answer = send("/ui/employees/new", &writes, &ada);
    assert_eq!(answer.status, 303, "{answer:?}");
    let place = answer.header("location").and_then(|place| place.split('?').next()).expect("a place").to_owned();
    assert!(get(&place, &writes).body.contains("Delete…"));

    // A reader looks.
    let page = get(&place, &reads).body;
    assert!(page.contains("<dd>Ada</dd>") && tags(&page, &["input"]).is_empty() && !page.contains("Delete…"), "{page}");
    assert!(page.contains("reader (reader)") && page.contains("action=\"/logout\""));
    let list = get("/ui/employees", &reads).body;
    assert!(list.contains("Ada") && !list.contains("Add record"));
    for (path, pairs) in [
        ("/ui/employees/new".to_owned(), &ada[..]),
        (place.clone(), &[("_version", "1"), ("name", "x")]),
        (format!("{place}/delete"), &[("_version", "1")]),
    ] {
        let answer = send(&path, &reads, pairs);
        assert_eq!(answer.status, 403, "{path}: {answer:?}");
        assert!(answer.body.contains("<h1>Not allowed</h1>"));
        if path != place {
            assert_eq!(get(&path, &reads).status, 403, "{path}");
            assert_eq!(get(&path, "").status, 401, "{path}");
        }
        assert_eq!(send(&path, "", pairs).status, 401, "{path}");
    }
    assert_eq!(send("/ui/notes/new", &writes, &[("text", "x")]).status, 403);

    // The cookie is for pages only: another site's page cannot use it with the API.
    for cookie in [&reads, &writes] {
        assert_eq!(get("/api/employees", cookie).status, 401);
    }
    let bearer = format!("Bearer {writer}");
    let answer = site.server.send("GET", "/api/employees", &[("authorization", &bearer)], b"");
    assert_eq!(answer.json()["items"].as_array().map(Vec::len), Some(1));

    let answer = send("/logout", &reads, &[]);
    assert_eq!((answer.status, answer.header("location")), (303, Some("/")));
    let gone: Vec<_> =
        answer.headers.iter().filter(|(name, value)| name == "set-cookie" && value.contains("Max-Age=0")).collect();
    assert_eq!(gone.len(), 2, "{answer:?}");
    // No line of the log has a key.
    assert_eq!(site.server.get("/the-last-request").status, 404);
    loop {
        let line = site.server.wait_for("\"request\"");
        assert!(!line.contains(&reader) && !line.contains(&writer), "{line}");
        if line.contains("/the-last-request") {
            break;
        }
    }
}

#[test]
fn a_database_that_is_away_is_told_on_a_page() {
    let url = format!("postgres://x:x@127.0.0.1:{}/x", crate::common::databases::free_port());
    let server = crate::common::Server::launch(&[("DATABASE_URL", &url), ("AUTH", "keys")], &[]);
    let get = |path: &str| server.send("GET", path, &[("accept", "text/html"), ("cookie", "crud_key=x")], b"");
    let answer = get("/ui/employees");
    assert_eq!((answer.status, answer.header("retry-after")), (503, Some("1")), "{answer:?}");
    assert!(answer.body.contains("<h1>Not available right now</h1>"), "{answer:?}");
    for path in ["/", "/docs"] {
        assert_eq!(get(path).status, 200, "{path}");
    }
}
