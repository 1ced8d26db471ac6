//! Making, changing and deleting records by forms.

use serde_json::{Value, json};

use crate::site::{Site, attribute, place, tag, tags};

/// A form of a book with something in every field.
const FILLED: [(&str, &str); 13] = [
    ("title", "Emma"),
    ("pages", "9007199254740993"),
    ("price", "12.5"),
    ("lent", ""),
    ("lent", "true"),
    ("kind", "novel"),
    ("isbn", "9780141439587"),
    ("owner", "jane@example.org"),
    ("code", "0190A2C5-0000-7000-8000-000000000001"),
    ("bought", "2025-05-20T22:22"),
    ("notes", "one\r\ntwo\r\n"),
    ("extra", "{\"a\": [1, null]}"),
    ("unknown", "is not looked at"),
];

fn version(page: &str) -> String {
    attribute(tag(page, &["name=\"_version\""]), "value").expect("a version")
}

#[test]
fn a_form_makes_a_record_of_every_type() {
    let site = Site::open();
    let answer = site.send("/ui/books/new", &FILLED);
    assert_eq!(answer.status, 303, "{answer:?}");
    let books = site.books();
    assert_eq!(answer.header("location"), Some(format!("{}?done=added", place("books", &books[0])).as_str()));
    let expected = json!({
        "title": "Emma", "pages": 9_007_199_254_740_993_i64, "price": 12.5, "lent": true, "kind": "novel",
        "isbn": "9780141439587", "owner": "jane@example.org", "code": "0190a2c5-0000-7000-8000-000000000001",
        "bought": "2025-05-20T22:22:00.000000Z", "notes": "one\ntwo\n", "extra": {"a": [1, null]},
    });
    for (name, value) in expected.as_object().expect("an object") {
        assert_eq!(&books[0][name], value, "{name}");
    }
    assert!(site.page(answer.header("location").expect("a place")).contains("role=\"status\">The record is added."));
    // Empty fields are empty, also where there is a default that the form showed.
    let answer = site.send("/ui/books/new", &[("title", "Odes"), ("pages", "")]);
    assert_eq!(answer.status, 303, "{answer:?}");
    let book = &site.books()[1];
    assert_eq!((&book["pages"], &book["notes"], &book["lent"]), (&Value::Null, &Value::Null, &json!(false)));
}

#[test]
fn a_form_sent_twice_makes_one_record() {
    let site = Site::open();
    let id = attribute(tag(&site.page("/ui/books/new"), &["name=\"_id\""]), "value").expect("an id");
    let form = [&[("_id", id.as_str())], &FILLED[..]].concat();
    let place = format!("/ui/books/{id}?done=added");
    for _ in 0..2 {
        let answer = site.send("/ui/books/new", &form);
        assert_eq!((answer.status, answer.header("location")), (303, Some(place.as_str())), "{answer:?}");
    }
    assert_eq!(site.books().len(), 1);
    // Gone back to and filled in anew, it makes another.
    let other = [("_id", id.as_str()), ("title", "Odes")];
    let answer = site.send("/ui/books/new", &other);
    assert!(answer.status == 303 && answer.header("location") != Some(place.as_str()), "{answer:?}");
    assert_eq!(site.books().len(), 2);
    // Another form with what is taken is told so, and keeps its id.
    let fresh = attribute(tag(&site.page("/ui/books/new"), &["name=\"_id\""]), "value").expect("an id");
    let answer = site.send("/ui/books/new", &[&[("_id", fresh.as_str())], &FILLED[..]].concat());
    assert_eq!(answer.status, 409, "{answer:?}");
    assert_eq!(attribute(tag(&answer.body, &["name=\"_id\""]), "value"), Some(fresh));
    assert_eq!(site.books().len(), 2);
}

#[test]
fn every_type_has_its_input() {
    let site = Site::open();
    let page = site.page("/ui/books/new");
    for (name, texts) in [
        ("title", &["input", "type=\"text\"", "required", "minlength=\"1\"", "maxlength=\"255\""][..]),
        ("pages", &["type=\"number\"", "step=\"1\"", "min=\"1\"", "value=\"100\"", "inputmode=\"numeric\""]),
        ("price", &["type=\"number\"", "step=\"any\""]),
        ("kind", &["select"]),
        ("isbn", &["type=\"text\"", "pattern=\".*(?:^[0-9]+$).*\""]),
        ("owner", &["type=\"email\""]),
        ("code", &["type=\"text\""]),
        ("bought", &["type=\"datetime-local\"", "step=\"1\""]),
        ("notes", &["textarea", "maxlength=\"1000000\""]),
        ("extra", &["textarea"]),
    ] {
        let tag = tag(&page, &[&format!("name=\"{name}\"")]);
        assert!(texts.iter().all(|text| tag.contains(text)), "{name}: {tag}");
        assert_eq!(tag.contains("required"), name == "title", "{tag}");
    }
    assert!(tag(&page, &["name=\"lent\"", "id="]).contains("type=\"checkbox\""));
    assert!(page.contains("<option value=\"novel\">novel</option>"));
    let page = site.page("/ui/hardware/new");
    assert!(page.contains("<option value=\"LOW\" selected>LOW</option>") && !page.contains("<option value=\"\""));
    let page = site.page("/ui/employees/new");
    assert!(tag(&page, &["name=\"age\""]).contains("max=\"200\""));
}

/// What the person did not touch stays as it is, even where a form cannot show all of it.
#[test]
fn only_what_is_changed_is_changed() {
    let site = Site::open();
    let book = site.add(
        "books",
        &json!({"title": "a\r\nb", "bought": "2025-05-20T22:22:46.243212Z", "price": 1e300, "lent": null,
                "notes": "\nfirst line empty\r", "extra": {"z": 1, "a": "ä"}, "pages": null}),
    );
    let place = place("books", &book);
    let page = site.page(&place);
    let input = |name: &str| attribute(tag(&page, &[&format!("name=\"{name}\"")]), "value").unwrap_or_default();
    assert_eq!((input("price"), input("bought")), ("1e+300".into(), "2025-05-20T22:22:46.243".into()));
    assert!(page.contains("\n\nfirst line empty\n</textarea>"), "{page}");
    let sent = [
        ("_version", version(&page)),
        ("title", "a\r\nb".into()),
        ("price", input("price")),
        ("lent", String::new()),
        ("bought", input("bought")),
        ("notes", "\r\nfirst line empty\r\n".into()),
        ("extra", "{\r\n  \"z\": 1,\r\n  \"a\": \"ä\"\r\n}".into()),
    ];
    let sent: Vec<(&str, &str)> = sent.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let answer = site.send(&place, &sent);
    assert_eq!(answer.header("location"), Some(format!("{place}?done=unchanged").as_str()), "{answer:?}");
    assert_eq!(site.books()[0], book);
    let answer = site.send(&place, &[&sent[..], &[("kind", "poems"), ("lent", "true")]].concat());
    assert_eq!(answer.header("location"), Some(format!("{place}?done=saved").as_str()), "{answer:?}");
    let mut changed = book;
    (changed["kind"], changed["lent"]) = (json!("poems"), json!(true));
    changed["updated_at"] = site.books()[0]["updated_at"].clone();
    assert_eq!(site.books()[0], changed);
    // Emptied is null.
    let version = version(&site.page(&place));
    let sent: Vec<(&str, &str)> = [("_version", version.as_str()), ("title", "a"), ("lent", "true")].to_vec();
    assert_eq!(site.send(&place, &sent).status, 303);
    let book = &site.books()[0];
    assert_eq!((&book["kind"], &book["notes"], &book["extra"]), (&Value::Null, &Value::Null, &Value::Null));
}

#[test]
fn wrong_fields_are_told_beside_them() {
    let site = Site::open();
    let first = site.add("books", &json!({"title": "Emma", "isbn": "1"}));
    let wrong = [
        ("title", ""),
        ("pages", "0"),
        ("price", "much"),
        ("kind", "drama"),
        ("isbn", "x"),
        ("owner", "nobody"),
        ("code", "1"),
        ("bought", "yesterday"),
        ("extra", "{\"a\":1,\"a\":2}"),
        ("notes", "kept <b>"),
    ];
    let answer = site.send("/ui/books/new", &wrong);
    assert_eq!(answer.status, 422, "{answer:?}");
    let page = &answer.body;
    assert!(page.contains("<title>Error: ") && page.contains("role=\"alert\""));
    for (name, value) in &wrong[..9] {
        let tag = tag(page, &[&format!("name=\"{name}\"")]);
        assert!(tag.contains("aria-invalid=\"true\""), "{tag}");
        let described = attribute(tag, "aria-describedby").expect("described");
        assert!(described.split(' ').any(|id| id == format!("field-{name}-error")), "{described}");
        assert!(
            page.contains(&format!("id=\"field-{name}-error\"")) && page.contains(&format!("href=\"#field-{name}\""))
        );
        assert!(
            tag.contains("textarea") || tag.contains("select") || attribute(tag, "value").as_deref() == Some(value)
        );
    }
    assert_eq!(tags(page, &["aria-invalid"]).len(), 9);
    assert!(page.contains("Title is required.") && page.contains("Pages must be at least 1."), "{page}");
    assert!(page.contains("\nkept &lt;b&gt;</textarea>") && page.contains("<option value=\"drama\" selected>"));
    // A value that another record has.
    let answer = site.send("/ui/books/new", &[("title", "Odes"), ("isbn", "1")]);
    assert_eq!(answer.status, 409, "{answer:?}");
    assert!(answer.body.contains("Isbn is taken already."), "{}", answer.body);
    let second = site.add("books", &json!({"title": "Odes", "isbn": "2"}));
    let place = place("books", &second);
    let version = version(&site.page(&place));
    let answer = site.send(&place, &[("_version", &version), ("title", "Odes"), ("isbn", "1"), ("lent", "")]);
    assert_eq!(answer.status, 409, "{answer:?}");
    assert!(answer.body.contains("Isbn is taken already."), "{}", answer.body);
    assert_eq!(site.books(), [first, second]);
}

#[test]
fn a_lost_update_shows_both_values() {
    let site = Site::open();
    let book = site.add("books", &json!({"title": "Emma", "pages": 1}));
    let place = place("books", &book);
    let old = version(&site.page(&place));
    let answer = site.send(&place, &[("_version", &old), ("title", "Theirs <b>"), ("pages", "1")]);
    assert_eq!(answer.status, 303, "{answer:?}");
    let mine = [("title", "Mine"), ("pages", "1")];
    let answer = site.send(&place, &[&[("_version", old.as_str())], &mine[..]].concat());
    assert_eq!(answer.status, 409, "{answer:?}");
    assert_eq!(site.books()[0]["title"], "Theirs <b>");
    let page = &answer.body;
    assert!(page.contains("Somebody else changed this record meanwhile"), "{page}");
    let tag = tag(page, &["name=\"title\""]);
    assert_eq!(attribute(tag, "value").as_deref(), Some("Mine"));
    assert_eq!(attribute(tag, "aria-describedby").as_deref(), Some("field-title-stored"));
    assert!(page.contains("Theirs &lt;b&gt;</p>") && !page.contains("id=\"field-pages-stored\""), "{page}");
    // Having seen it, the person may save.
    let answer = site.send(&place, &[&[("_version", version(page).as_str())], &mine[..]].concat());
    assert_eq!(answer.status, 303, "{answer:?}");
    assert_eq!(site.books()[0]["title"], "Mine");
    for bad in [&mine[..], &[&[("_version", "x")], &mine[..]].concat()] {
        assert_eq!(site.send(&place, bad).status, 400);
    }
}

#[test]
fn deleting_is_asked_for_and_is_of_what_was_seen() {
    let site = Site::open();
    let book = site.add("books", &json!({"title": "Emma"}));
    let place = place("books", &book);
    let ask = format!("{place}/delete");
    let old = version(&site.page(&ask));
    assert_eq!(site.server.json("PATCH", &place.replace("/ui/", "/api/"), &json!({"title": "Odes"})).status, 200);
    let answer = site.send(&ask, &[("_version", &old)]);
    assert_eq!((answer.status, site.books().len()), (409, 1), "{answer:?}");
    assert!(answer.body.contains("Somebody else changed") && answer.body.contains("Odes"), "{answer:?}");
    let answer = site.send(&ask, &[("_version", &version(&answer.body))]);
    assert_eq!((answer.status, answer.header("location")), (303, Some("/ui/books?done=deleted")), "{answer:?}");
    assert!(site.books().is_empty() && site.page("/ui/books?done=deleted").contains("The record is deleted."));
    for path in [place.as_str(), ask.as_str()] {
        let answers = [site.server.get(path), site.send(path, &[("_version", &old), ("title", "x")])];
        for answer in answers {
            assert_eq!(answer.status, 404, "{path}: {answer:?}");
            assert!(answer.body.contains("<h1>Not found</h1>"), "{answer:?}");
        }
    }
}

#[test]
fn what_is_no_form_is_refused() {
    let site = Site::open();
    let own = ("sec-fetch-site", "same-origin");
    let form = ("content-type", "application/x-www-form-urlencoded");
    for (headers, body, status) in [
        (&[own, ("content-type", "application/json")][..], "{}", 415),
        (&[own], "title=x", 415),
        (&[own, form], "title=%ff", 400),
        (&[own, form], "title=\u{0}", 422),
        (&[own, form], &"x".repeat(2_000_000), 413),
        (&[own, ("content-type", "application/x-www-form-urlencoded; charset=utf-8")], "title=x", 303),
    ] {
        let answer = site.server.send("POST", "/ui/books/new", headers, body.as_bytes());
        assert_eq!(answer.status, status, "{body:.50}: {answer:?}");
        assert!(status == 303 || answer.header("content-type") == Some("text/html; charset=utf-8"), "{answer:?}");
    }
}
