//! YAML against a table of what `PyYAML` 6.0 makes of the same texts (`tests/fixtures/yaml/pyyaml.jsonl`), and against any text.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::{Kind, Node, Source, parse, render_diagnostic};

/// Texts of the table that are read in another way: what `PyYAML` refuses and means nothing else is taken as it stands,
/// and corners that no playbook has (a sign alone in brackets, a tab behind a key's colon, `1.0` and `1` as one key).
const OTHERWISE: &[&str] = &[
    "[-]\n",
    "{k: -}\n",
    "a: =\n",
    "- =\n",
    "[=]\n",
    "{k: =}\n",
    "a: <<\n",
    "- <<\n",
    "[<<]\n",
    "{k: <<}\n",
    "[a:]\n",
    "&a: v\n",
    "[|a]\n",
    "{k: |a}\n",
    "[?a]\n",
    "{k: ?a}\n",
    "[:a]\n",
    "{k: :a}\n",
    "[::1]\n",
    "{k: ::1}\n",
    "a: \u{2028}\n",
    "a:\tb\n",
    "\ta: b\n",
    "b:\n  <<: {p: 1}\n  p: 2\n  <<: {p: 3, z: 1}\n",
    "1.0: a\n1: b\n",
    "a: !!omap [b: 1]\n",
    "a: ! 5\n",
    "%YAML 2.0\n---\na: 1\n",
    "%FOO\n---\na: 1\n",
    "a: 1\n...\nb: 2\n",
    ":\n",
    ": a\n",
    "a: x\u{7}y\n",
    "a: \u{7f}\n",
    "a: \u{85}b\n",
];

/// A node in the table's form: mappings as pairs, floating-point numbers as Python writes them.
fn shown(node: &Node) -> Value {
    match &node.kind {
        Kind::Null | Kind::Omit => Value::Null,
        Kind::Bool(value) => json!(value),
        Kind::Int(value) => json!(value),
        Kind::Float(value) if value.is_nan() => json!({"float": "nan"}),
        Kind::Float(value) if value.is_infinite() => json!({"float": if *value > 0.0 { "inf" } else { "-inf" }}),
        Kind::Float(value) => json!({"float": value}),
        Kind::Str(text, _) | Kind::Data(text) | Kind::Vault(text) => json!(text),
        Kind::Seq(items) => items.iter().map(shown).collect(),
        Kind::Map(entries) => {
            json!({"map": entries.iter().map(|(k, v)| json!([shown(k), shown(v)])).collect::<Vec<_>>()})
        }
    }
}

/// The table's floats, finite ones as numbers.
fn expected(value: &Value) -> Value {
    match value {
        Value::Array(items) => items.iter().map(expected).collect(),
        Value::Object(map) => match map.get("float").and_then(Value::as_str) {
            Some(text) => match text.parse::<f64>() {
                Ok(number) if number.is_finite() => json!({"float": number}),
                _ => value.clone(),
            },
            None => map.iter().map(|(k, v)| (k.clone(), expected(v))).collect(),
        },
        other => other.clone(),
    }
}

#[test]
fn yaml_is_what_pyyaml_makes_of_it() {
    let mut wrong = vec![];
    let (mut count, mut excepted) = (0, 0);
    for line in include_str!("../../tests/fixtures/yaml/pyyaml.jsonl").lines() {
        let case: Value = serde_json::from_str(line).expect("a line of JSON");
        let text = case["text"].as_str().expect("text");
        count += 1;
        let source = Source::new("t.yml", text);
        let before = wrong.len();
        match (parse(&source), case.get("documents")) {
            (Ok(parsed), Some(documents)) => {
                let got: Value = parsed.documents.iter().map(shown).collect();
                if got != expected(documents) {
                    wrong.push(format!("{text:?}\n    is     {got}\n    wanted {documents}"));
                }
            }
            (Ok(parsed), None) => {
                let got: Value = parsed.documents.iter().map(shown).collect();
                wrong.push(format!("{text:?}\n    is     {got}\n    wanted error {}", case["error"]));
            }
            (Err(error), Some(documents)) => {
                wrong.push(format!("{text:?}\n    error  {}\n    wanted {documents}", error.message));
            }
            (Err(_), None) => {}
        }
        if wrong.len() > before && OTHERWISE.contains(&text) {
            wrong.pop();
            excepted += 1;
        }
    }
    assert!(count > 900, "the table has {count} texts");
    // The list of exceptions holds only what still is one.
    assert_eq!(excepted, OTHERWISE.len(), "some of OTHERWISE are read alike by now");
    assert!(wrong.is_empty(), "{} of {count} differ:\n{}", wrong.len(), wrong.join("\n"));
}

proptest! {
    #[test]
    fn no_text_is_too_strange(text in "\\PC{0,60}") {
        read(&text);
    }

    #[test]
    fn no_text_of_yaml_signs_is_too_strange(text in "[-:?!&*#|>'\"%@`{}\\[\\], \t\n\r\u{feff}é0-9a-c<~.+_]{0,80}") {
        read(&text);
    }
}

/// Reads a text; an error, and every place, can be shown.
fn read(text: &str) {
    fn places(node: &Node) {
        let Source { text, .. } = &*node.place.source;
        assert!(node.place.start <= node.place.end && node.place.end <= text.len(), "{:?}", node.place);
        node.items().iter().for_each(places);
        node.entries().iter().for_each(|(k, v)| {
            places(k);
            places(v);
        });
    }
    let source = Source::new("t.yml", text);
    match parse(&source) {
        Ok(parsed) => {
            parsed.documents.iter().for_each(places);
            for warning in &parsed.warnings {
                render_diagnostic(warning, false);
            }
        }
        Err(error) => assert!(!render_diagnostic(&error, true).is_empty()),
    }
}
