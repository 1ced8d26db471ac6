//! The pages in a real browser, without JavaScript, as people use them: on a desk and on a telephone.

#[path = "../common/mod.rs"]
mod common;
mod driver;

use common::databases::{Database as _, Sqlite, left_out};
use common::{BOOKS, Server, command};
use driver::Browser;
use serde_json::{Value, json};

const TAB: &str = "\u{e004}";
const ENTER: &str = "\u{e007}";

/// A server with `books`, and a browser.
struct Desk {
    browser: Browser,
    server: Server,
    _database: Sqlite,
    _folder: tempfile::TempDir,
}

impl Desk {
    fn new(database: Sqlite, env: &[(&str, &str)]) -> Self {
        let folder = tempfile::TempDir::new().expect("a folder");
        let file = folder.path().join("books.yml");
        std::fs::write(&file, BOOKS).expect("written");
        let (url, file) = (database.url(), file.display().to_string());
        let server = Server::start(&[&[("DATABASE_URL", url.as_str()), ("CRUD_RESOURCES", &file)], env].concat(), &[]);
        Self { browser: Browser::start(), server, _database: database, _folder: folder }
    }

    fn open(&self, path: &str) {
        self.browser.open(&format!("http://{}{path}", self.server.at));
    }

    fn books(&self) -> Vec<Value> {
        self.server.get("/api/books").json()["items"].as_array().expect("items").clone()
    }

    /// Nothing sticks out at the side, and the browser has nothing to complain about.
    fn is_well(&self, width: u32) {
        let (content, url) = (self.browser.content_width(), self.browser.url());
        assert!(content <= f64::from(width), "{url} is {content} wide in a window of {width}");
        assert_eq!(self.browser.complaints(), [""; 0], "{url}");
    }

    fn titles(&self) -> Vec<String> {
        self.browser.all("tbody th").iter().map(driver::Element::text).collect()
    }
}

#[test]
fn records_are_made_changed_sorted_and_deleted_on_a_desk() {
    if !left_out("records_are_made_changed_sorted_and_deleted_on_a_desk") {
        journey(1280);
    }
}

#[test]
fn records_are_made_changed_sorted_and_deleted_on_a_telephone() {
    if !left_out("records_are_made_changed_sorted_and_deleted_on_a_telephone") {
        journey(390);
    }
}

fn journey(width: u32) {
    let desk = Desk::new(Sqlite::start(), &[]);
    let browser = &desk.browser;
    browser.open("data:text/html,<title>off</title><script>document.title='on'</script>");
    assert_eq!(browser.title(), "off", "JavaScript is on");
    browser.set_width(width);

    // From the first page to a form, which the browser does not send without what is required.
    desk.open("/");
    desk.is_well(width);
    browser.link("Books").click();
    browser.link("Add the first one").click();
    browser.find("button.primary").click();
    assert!(browser.url().ends_with("/ui/books/new") && browser.all("#field-title:invalid").len() == 1);
    desk.is_well(width);
    browser.find("#field-title").write("Emma");
    browser.find("#field-pages").rewrite("512");
    browser.find("label[for=field-lent]").click();
    browser.find("#field-kind option[value=novel]").click();
    browser.find("#field-isbn").write("1");
    browser.find("#field-notes").write("one\ntwo");
    browser.find("button.primary").click();
    browser.told("status", "The record is added.");
    let book = desk.books().remove(0);
    let seen = ["title", "pages", "lent", "kind", "isbn", "notes", "price"].map(|name| book[name].clone());
    assert_eq!(json!(seen), json!(["Emma", 512, true, "novel", "1", "one\ntwo", null]));

    // What only the server knows stands beside its field, and the rest of the form is kept.
    browser.link("Add another").click();
    // Both pages have the same fields.
    browser.until("a new form", || browser.title().starts_with("New record").then_some(()));
    browser.find("#field-title").write("Odes");
    browser.find("#field-isbn").write("1");
    browser.find("button.primary").click();
    browser.told("alert", "Isbn is taken already");
    desk.is_well(width);
    assert!(browser.title().starts_with("Error: "));
    assert!(browser.find("#field-isbn-error").text().ends_with("Isbn is taken already."));
    assert_eq!(browser.find("#field-title").attribute("value").as_deref(), Some("Odes"));
    let isbn = browser.find("#field-isbn");
    assert_eq!(isbn.attribute("aria-invalid").as_deref(), Some("true"));
    assert!(isbn.attribute("aria-describedby").is_some_and(|ids| ids.contains("field-isbn-error")));
    isbn.rewrite("2");
    browser.find("button.primary").click();
    browser.told("status", "The record is added.");

    // In another order: by the heads of the columns, or, where these have no place, by a list.
    desk.server.json(
        "POST",
        "/api/books",
        &json!({"title": "Kim", "pages": 7, "bought": "2025-05-20T22:22:46.243212Z"}),
    );
    desk.open("/ui/books");
    assert_eq!(desk.titles(), ["Kim", "Odes", "Emma"]);
    desk.is_well(width);
    let wide = width > 800;
    assert_eq!((browser.find("thead").shown() && wide, browser.find("#order").shown()), (wide, !wide));
    if wide {
        browser.find("thead a[href*='sort=pages']").click();
    } else {
        browser.find("#order option[value=pages]").click();
        browser.find("form[role=search] button").click();
    }
    browser.find("th[aria-sort=ascending]");
    assert_eq!(desk.titles(), ["Kim", "Odes", "Emma"]);
    if wide {
        browser.find("th[aria-sort=ascending] a").click();
    } else {
        browser.find("#order option[value='-pages']").click();
        browser.find("form[role=search] button").click();
    }
    browser.find("th[aria-sort=descending]");
    assert_eq!(desk.titles(), ["Emma", "Odes", "Kim"]);
    browser.find("#search").write(&format!("KIM{ENTER}"));
    browser.until("one title", || (desk.titles() == ["Kim"]).then_some(()));

    // Changing one field leaves the others as they are, though the form shows no microseconds.
    browser.link("Kim").click();
    browser.find("#field-title").rewrite("Kim, again");
    desk.is_well(width);
    browser.find("button.primary").click();
    browser.told("status", "The changes are saved.");
    let kim = desk.books().into_iter().find(|book| book["title"] == "Kim, again").expect("changed");
    assert_eq!((&kim["bought"], &kim["pages"]), (&json!("2025-05-20T22:22:46.243212Z"), &json!(7)));

    // Somebody else is faster.
    let place = format!("/api/books/{}", kim["id"].as_str().expect("an id"));
    assert_eq!(desk.server.json("PATCH", &place, &json!({"title": "Kim, theirs"})).status, 200);
    browser.find("#field-title").rewrite("Kim, mine");
    browser.find("button.primary").click();
    browser.told("alert", "Somebody else changed this record meanwhile");
    assert!(browser.find("#field-title-stored").text().contains("Kim, theirs"));
    desk.is_well(width);
    browser.find("button.primary").click();
    browser.told("status", "The changes are saved.");

    browser.link("Delete…").click();
    browser.until("the question", || browser.title().starts_with("Delete Kim, mine").then_some(()));
    desk.is_well(width);
    browser.find("button.danger").click();
    browser.told("status", "The record is deleted.");
    assert_eq!(desk.titles(), ["Odes", "Emma"]);
    assert_eq!(desk.books().len(), 2);

    desk.open("/docs");
    browser.find("#list_books");
    desk.is_well(width);

    // A page of another site cannot send a form.
    let form =
        format!("<form method=post action=http://{}/ui/books/new><input name=title value=x><button>", desk.server.at);
    browser.open(&format!("data:text/html,{form}"));
    browser.find("button").click();
    browser.until("the refusal", || browser.title().starts_with("Not allowed").then_some(()));
    assert_eq!(desk.books().len(), 2);
}

#[test]
fn a_keyboard_and_a_key_are_enough() {
    if left_out("a_keyboard_and_a_key_are_enough") {
        return;
    }
    let database = Sqlite::start();
    let output = command(&[("DATABASE_URL", &database.url())], &["key", "create", "--name", "ada", "--role", "writer"])
        .stdout(std::process::Stdio::piped())
        .output()
        .expect("it runs");
    let key = String::from_utf8(output.stdout).expect("a key").trim_end().to_owned();
    let desk = Desk::new(database, &[("AUTH", "keys")]);
    let browser = &desk.browser;
    desk.open("/ui/books");
    browser.find("#key").write(&format!("crud_wrong{ENTER}"));
    browser.told("alert", "This key is not known");
    browser.find("#key").write(&format!("{key}{ENTER}"));
    browser.until("the list", || (browser.title() == "Books · crud-server").then_some(()));
    assert_eq!(browser.find(".who span").text(), "ada (writer)");

    // The first stop of the tabulator leads past what is on every page.
    browser.find("body").write(TAB);
    let first = browser.active();
    assert_eq!((first.text().as_str(), first.shown()), ("Skip to the content", true));
    assert!(first.style("outline-style") != "none", "the focus is not seen");
    first.write(ENTER);
    browser.until("the content", || (browser.active().attribute("id").as_deref() == Some("main")).then_some(()));

    // Light or dark, as the system is.
    let colours = [false, true].map(|dark| {
        browser.set_dark(dark);
        let body = browser.find("body");
        (body.style("background-color"), body.style("color"))
    });
    assert!(colours[0].0 != colours[1].0 && colours[0].1 != colours[1].1, "{colours:?}");

    browser.find(".who button").click();
    browser.until("the way in", || browser.all(".who a").first().map(|link| assert_eq!(link.text(), "Log in")));
    desk.open("/ui/books");
    browser.find("#key");
    assert_eq!(browser.complaints(), [""; 0]);
}
