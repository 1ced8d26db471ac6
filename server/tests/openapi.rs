//! The API reference: what it says is what the server does.

mod common;

use std::path::{Path, PathBuf};
use std::process::Command;

use common::databases::{Database as _, Sqlite, left_out};
use common::{BOOKS, Server};
use serde_json::Value;

/// The package on PyPI that asks what a document allows, and what it does not.
const SCHEMATHESIS: &str = "schemathesis==4.32.5";

fn references<'d>(document: &'d Value, found: &mut Vec<&'d str>) {
    match document {
        Value::Object(object) => {
            found.extend(object.get("$ref").and_then(Value::as_str));
            object.values().for_each(|value| references(value, found));
        }
        Value::Array(items) => items.iter().for_each(|item| references(item, found)),
        _ => {}
    }
}

#[test]
fn the_document_names_every_resource_and_only_what_it_has() {
    let database = Sqlite::start();
    let server = Server::start(&[("DATABASE_URL", &database.url())], &[]);
    let document = server.get("/openapi.json").json();
    assert_eq!(document["openapi"], "3.1.0");
    for path in [
        "/employees/update/{email}",
        "/postpassenger",
        "/hardware",
        "/v1",
        "/api/employees",
        "/api/employees/{id}",
        "/api/passengers",
        "/api/hardware/{id}",
    ] {
        assert!(document["paths"][path].is_object(), "{path}");
    }
    let mut found = Vec::new();
    references(&document, &mut found);
    assert!(found.len() > 20);
    for reference in found {
        let pointer = reference.strip_prefix('#').expect("a reference within the document");
        assert!(document.pointer(pointer).is_some(), "{reference}");
    }
    let paths = document["paths"].as_object().expect("paths").values();
    let operations = paths.flat_map(|item| item.as_object().expect("operations").values());
    let mut ids: Vec<&str> = operations.filter_map(|operation| operation["operationId"].as_str()).collect();
    let count = ids.len();
    ids.sort_unstable();
    ids.dedup();
    assert!(count > 30 && ids.len() == count, "an operationId twice among {ids:?}");
    let input = &document["components"]["schemas"]["EmployeesInput"];
    assert_eq!(input["required"], serde_json::json!(["name", "age", "email"]));
    assert_eq!(
        (&input["properties"]["age"]["maximum"], &input["properties"]["name"]["maxLength"]),
        (&200.0.into(), &255.into())
    );
}

/// A virtual environment with the package, made once for a target directory.
fn schemathesis() -> PathBuf {
    let home = Path::new(env!("CARGO_TARGET_TMPDIR")).join(SCHEMATHESIS.replace("==", "-"));
    let program = home.join("bin/schemathesis");
    if !program.exists() {
        for command in [
            Command::new("python3").args(["-m", "venv"]).arg(&home),
            Command::new(home.join("bin/pip")).args([
                "install",
                "--quiet",
                "--disable-pip-version-check",
                SCHEMATHESIS,
            ]),
        ] {
            let output = command.output().expect("python3 is missing: install the Debian package `python3-venv`");
            assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
        }
    }
    program
}

#[test]
fn schemathesis_finds_no_answer_outside_of_the_document() {
    if left_out("schemathesis_finds_no_answer_outside_of_the_document") {
        return;
    }
    let program = schemathesis();
    let folder = tempfile::TempDir::new().expect("a folder");
    let file = folder.path().join("books.yml");
    std::fs::write(&file, BOOKS).expect("written");
    // Every type with more cases, and the seeds' services.
    drive(&program, &format!("{},books", file.display()), &["--max-examples", "20"], "Tested: 7");
    drive(&program, "employees,passengers,hardware", &["--max-examples", "5"], "Tested: 31");
}

fn drive(program: &Path, resources: &str, arguments: &[&str], tested: &str) {
    let database = Sqlite::start();
    let folder = tempfile::TempDir::new().expect("a folder");
    let server = Server::start(&[("DATABASE_URL", &database.url()), ("CRUD_RESOURCES", resources)], &[]);
    let checks = "not_a_server_error,status_code_conformance,content_type_conformance,response_headers_conformance,\
                  response_schema_conformance,negative_data_rejection,unsupported_method";
    let output = Command::new(program)
        .args(["run", &format!("http://{}/openapi.json", server.at), "--checks", checks])
        .args(arguments)
        .args(["--generation-database", "none", "--no-color", "--seed", "1"])
        .current_dir(folder.path())
        .output()
        .expect("it starts");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    assert!(said.contains(tested), "{said}");
}
