//! Declarations: what is refused and where, and what `CRUD_RESOURCES` adds and selects.

mod common;

use common::databases::{Database as _, Sqlite};
use common::{Server, command};
use crud_server::declaration::{load, read};
use crud_server::model::{Kind, Value};

#[test]
fn a_declaration_becomes_a_resource() {
    let text = "table: shelf\ndescription: What stands there.\nfields:\n  title: { type: string, required: true, max_length: 80 }\n  \
                pages: { type: integer, min: 1, default: 100 }\n  kind: { type: enum, values: [novel, 'no'] }\n  \
                isbn: { type: string, unique: true, pattern: '^[0-9]+$' }\nindexes:\n  - [kind, created_at]\n";
    let resource = read("books.yml", "books", text).expect("a declaration");
    assert_eq!((resource.name.as_str(), resource.table.as_str()), ("books", "shelf"));
    let names: Vec<&str> = resource.fields.iter().map(|field| field.name.as_str()).collect();
    assert_eq!(names, ["title", "pages", "kind", "isbn"]);
    assert_eq!(resource.fields[0].max_length, Some(80));
    assert_eq!(resource.fields[1].default, Some(Value::Int(100)));
    assert_eq!(resource.fields[2].kind, Kind::Enum(vec!["novel".into(), "no".into()]));
    assert!(resource.fields[3].unique && resource.fields[3].pattern.is_some());
    assert_eq!(resource.indexes, [["kind", "created_at"]]);
}

/// `§` stands before the place that the error must name.
#[test]
fn errors_have_their_place() {
    let field = |rules: &str| format!("fields:\n  a: {{ {rules} }}\n");
    let cases = [
        (field("type: §sting"), "sting"),
        (field("type: string, §requird: true"), "requird"),
        ("§field: 1\n".into(), "field"),
        ("fields: §[]\n".into(), "mapping"),
        ("fields: §{a: {type: uuid}\n".into(), "unclosed"),
        ("fields: §{}\n".into(), "at least one field"),
        (field("type: text, unique: §true"), "cannot be unique: a text is too long for an index"),
        (field("type: json, unique: §true"), "cannot be unique"),
        (field("type: string, unique: §true, default: x"), "only one row"),
        (field("type: boolean, min: §1"), "`min` belongs to integer and number, not to boolean"),
        (field("type: integer, min: 3, max: §2"), "`max` is less than `min`"),
        (field("type: integer, max_length: §2"), "`max_length` belongs to"),
        (field("type: string, max_length: §256"), "at most 255 characters: `text` takes more"),
        (field("type: string, pattern: §'['"), "no regular expression"),
        (field("type: §enum"), "list its `values`"),
        (field("type: enum, values: [b, §b]"), "`b` is there twice"),
        (field("type: string, values: §[b]"), "`values` belongs to the type enum"),
        (field("type: integer, default: §1.5"), "the default of `a` must be a whole number"),
        (field("type: email, default: §nobody"), "mail address"),
        ("fields:\n  §id: { type: uuid }\n".into(), "the server's own"),
        ("fields:\n  §sort: { type: string }\n".into(), "the server's own"),
        ("fields:\n  §a-b: { type: uuid }\n".into(), "letters, digits and _"),
        ("fields:\n  a: { type: uuid }\n  §A: { type: uuid }\n".into(), "there is a field `a` already"),
        ("name: §A B\nfields:\n  a: { type: uuid }\n".into(), "the name `A B`"),
        ("table: §crud_x\nfields:\n  a: { type: uuid }\n".into(), "begins as tables of the server"),
        (field("type: uuid") + "indexes:\n  - [a, §b]\n", "there is no field `b`"),
        (field("type: json") + "indexes: [[§a]]\n", "cannot be indexed"),
        (field("type: json") + "indexes: [§[]]\n", "at least one field"),
    ];
    for (text, message) in cases {
        let (before, after) = text.split_once('§').expect("a mark");
        let line = before.lines().count().max(1) + usize::from(before.ends_with('\n'));
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        let error = read("x.yml", "x", &format!("{before}{after}")).expect_err(&text).to_string();
        let place = format!("x.yml:{line}:{column}: ");
        assert!(error.starts_with(&place) && error.contains(message), "{text}: {place} {error}");
        assert!(!error.contains('\n'), "{text}: one error, in one line: {error}");
    }
    let error = read("x.yml", "x", "fields:\n  a: { required: true }\n").expect_err("no type").to_string();
    assert!(error.starts_with("x.yml:2:") && error.contains("type"), "{error}");
}

#[test]
fn everything_that_is_wrong_is_told_at_once() {
    let text = "fields:\n  id: { type: uuid }\n  b: { type: text, unique: true }\nindexes: [[c]]\n";
    let error = read("x.yml", "x", text).expect_err("wrong").to_string();
    let places: Vec<&str> = error.lines().filter_map(|line| line.split(": ").next()).collect();
    assert_eq!(places, ["x.yml:2:3", "x.yml:3:28", "x.yml:4:12"]);
}

fn names(words: &[&str]) -> Vec<String> {
    let words: Vec<String> = words.iter().map(ToString::to_string).collect();
    load(&words).expect("resources").into_iter().map(|resource| resource.name).collect()
}

#[test]
fn paths_add_and_names_select() {
    let folder = tempfile::TempDir::new().expect("a folder");
    let file = folder.path().join("books.yml");
    std::fs::write(&file, "fields:\n  title: { type: string }\n").expect("written");
    let (file, all) = (file.display().to_string(), ["employees", "hardware", "passengers"]);
    assert_eq!(names(&[]), all);
    assert_eq!(names(&[&file]), [&all[..], &["books"]].concat());
    assert_eq!(names(&[&folder.path().display().to_string()]), [&all[..], &["books"]].concat());
    assert_eq!(names(&["employees"]), ["employees"]);
    assert_eq!(names(&["employees", &file, "books"]), ["employees", "books"]);

    let error = load(&["novels".into()]).expect_err("unknown").to_string();
    assert!(error.contains("no resource `novels` (there are: employees, hardware, passengers)"), "{error}");
    let mine = folder.path().join("mine.yml");
    std::fs::write(&mine, "name: employees\nfields:\n  a: { type: uuid }\n").expect("written");
    let resources = load(&[mine.display().to_string(), "employees".into()]).expect("resources");
    assert_eq!((resources.len(), resources[0].fields[0].name.as_str()), (1, "a"));
    std::fs::write(&mine, "table: employees\nfields:\n  a: { type: uuid }\n").expect("written");
    let error = load(&[mine.display().to_string()]).expect_err("one table").to_string();
    assert!(error.contains("`employees` and `mine` have one table"), "{error}");
}

#[test]
fn a_bad_declaration_ends_the_start_with_its_place() {
    let folder = tempfile::TempDir::new().expect("a folder");
    let file = folder.path().join("bad.yml").display().to_string();
    std::fs::write(&file, "fields:\n  a: { type: text, unique: true }\n").expect("written");
    let output = command(&[("CRUD_RESOURCES", &file)], &[]).output().expect("it runs");
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(text.contains(&format!("{file}:2:28: the field `a` cannot be unique")), "{text}");
}

#[test]
fn the_seeds_routes_need_the_seeds_fields() {
    let folder = tempfile::TempDir::new().expect("a folder");
    let file = folder.path().join("employees.yml").display().to_string();
    std::fs::write(&file, "fields:\n  badge: { type: uuid }\n").expect("written");
    let database = Sqlite::start();
    let server = Server::start(&[("DATABASE_URL", &database.url()), ("CRUD_RESOURCES", &file)], &[]);
    assert_eq!(server.get("/employees/get").status, 404);
}
