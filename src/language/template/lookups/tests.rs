//! Lookups against real files and programs.

use super::*;
use serde_json::json;

struct Here(PathBuf);

impl Surroundings for Here {
    fn search_paths(&self) -> Vec<PathBuf> {
        vec![self.0.clone()]
    }

    fn variable(&self, name: &str) -> Result<Option<Value>, String> {
        Ok((name == "known").then(|| json!(1)))
    }

    fn names(&self) -> Vec<String> {
        vec!["known".into(), "other".into()]
    }

    fn render(&self, _: &str, text: &str, _: &Map<String, Value>) -> Result<String, String> {
        Ok(text.replace("{{ x }}", "y"))
    }

    fn decrypt(&self, _: &str) -> Result<String, String> {
        Ok("plain".into())
    }

    fn matching(&self, pattern: &str) -> Result<Vec<String>, String> {
        Ok(vec![pattern.into()])
    }
}

fn look(dir: &std::path::Path, name: &str, terms: Value, options: Value) -> Result<Value, String> {
    let (Value::Array(terms), Value::Object(options)) = (terms, options) else { panic!("a list and a mapping") };
    run(name, terms, options, &Here(dir.to_owned())).map(Value::Array)
}

#[test]
fn lists_are_made_of_lists() {
    let dir = tempfile::tempdir().unwrap();
    let look = |name: &str, terms: Value| look(dir.path(), name, terms, json!({})).unwrap();
    assert_eq!(look("items", json!([1, [2, [3]]])), json!([1, 2, [3]]));
    assert_eq!(look("flattened", json!([1, [2, [3]]])), json!([1, 2, 3]));
    assert_eq!(look("nested", json!([["a", "b"], [1, 2]])), json!([["a", 1], ["a", 2], ["b", 1], ["b", 2]]));
    assert_eq!(look("together", json!([["a", "b"], [1]])), json!([["a", 1], ["b", null]]));
    assert_eq!(look("dict", json!([{"a": 1}])), json!([{"key": "a", "value": 1}]));
    assert_eq!(look("indexed_items", json!(["a"])), json!([[0, "a"]]));
    assert_eq!(look("sequence", json!(["start=1 end=5 stride=2 format=n%02d"])), json!(["n01", "n03", "n05"]));
    assert_eq!(look("sequence", json!(["4-8/2"])), json!(["4", "6", "8"]));
    assert_eq!(look("sequence", json!(["count=3"])), json!(["1", "2", "3"]));
    assert_eq!(look("vars", json!(["known"])), json!([1]));
    assert_eq!(look("varnames", json!(["^o"])), json!(["other"]));
    assert_eq!(look("pipe", json!(["printf 'a\\n\\n'"])), json!(["a"]));
    assert_eq!(look("lines", json!(["printf 'a\\nb\\n'"])), json!(["a", "b"]));
}

#[test]
fn files_are_found_beside_the_playbook() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("files")).unwrap();
    std::fs::write(dir.path().join("files/a.txt"), "text \n").unwrap();
    std::fs::write(dir.path().join("t.j2"), "{\"a\": \"{{ x }}\"}").unwrap();
    std::fs::write(dir.path().join("f.ini"), "[s]\nKey = v: 1\nlong = a\n  b\n").unwrap();
    std::fs::write(dir.path().join("f.csv"), "k,\"a \"\"q\"\"\",2\n").unwrap();
    let look = |name: &str, terms: Value, options: Value| look(dir.path(), name, terms, options);
    assert_eq!(look("file", json!(["a.txt"]), json!({})).unwrap(), json!(["text"]));
    assert_eq!(look("template", json!(["t.j2"]), json!({})).unwrap(), json!([{"a": "y"}]));
    assert_eq!(look("ini", json!(["key"]), json!({"file": "f.ini", "section": "s"})).unwrap(), json!(["v: 1"]));
    assert_eq!(look("ini", json!(["long section=s file=f.ini"]), json!({})).unwrap(), json!(["a\nb"]));
    assert_eq!(look("csvfile", json!(["k"]), json!({"file": "f.csv", "delimiter": ","})).unwrap(), json!(["a \"q\""]));
    let found = look("first_found", json!([{"files": ["no", "a.txt"]}]), json!({})).unwrap();
    assert_eq!(found, json!([dir.path().join("files/a.txt").display().to_string()]));
    assert_eq!(look("first_found", json!(["no"]), json!({"skip": true})).unwrap(), json!([]));
    assert!(look("first_found", json!(["no"]), json!({})).is_err());
    assert!(look("file", json!(["no"]), json!({})).unwrap_err().contains("'no'"));
    assert!(look("fil", json!([]), json!({})).unwrap_err().contains("did you mean `file`?"));
    let globbed = look("fileglob", json!(["*.txt"]), json!({})).unwrap();
    assert_eq!(globbed, json!([dir.path().join("files/a.txt").display().to_string()]));
}

#[test]
fn a_password_stays_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let look = |terms: Value| look(dir.path(), "password", terms, json!({})).unwrap();
    let first = look(json!(["pw length=12 chars=digits"]));
    let text = first[0].as_str().unwrap();
    assert!(text.len() == 12 && text.bytes().all(|b| b.is_ascii_digit()), "{text}");
    assert_eq!(look(json!(["pw length=30"])), first);
    let hashed = look(json!(["pw encrypt=sha512_crypt"]));
    assert!(hashed[0].as_str().unwrap().starts_with("$6$"));
    assert_eq!(look(json!(["pw encrypt=sha512_crypt"])), hashed);
    assert_eq!(look(json!(["/dev/null seed=a"])), look(json!(["/dev/null seed=a"])));
}

#[test]
fn ini_files_are_read_as_by_configparser() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("a.ini"), "[s]\nhome=/h\ndir=%(home)s/d\nfull=%(dir)s/100%%\nbad=%(no)s\n").unwrap();
    std::fs::write(dir.path().join("b.ini"), "[s]\nalone\nkey=1\n").unwrap();
    let ini = |key: &str, more: Value| {
        let mut options = json!({"file": "a.ini", "section": "s"});
        options.as_object_mut().unwrap().extend(more.as_object().cloned().unwrap());
        look(dir.path(), "ini", json!([key]), options)
    };
    assert_eq!(ini("full", json!({})).unwrap(), json!(["/h/d/100%"]));
    assert_eq!(ini("dir", json!({"interpolation": false})).unwrap(), json!(["%(home)s/d"]));
    assert!(ini("bad", json!({})).unwrap_err().contains("Bad value substitution"));
    assert!(ini("key", json!({"file": "b.ini"})).unwrap_err().contains("parsing errors"));
    assert_eq!(ini("alone", json!({"file": "b.ini", "allow_none": true})).unwrap(), json!([]));
}
