//! Templates and what they give. The expected values are the reference's (ansible-core 2.19.14, `debug` over the same variables).

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use serde_json::{Value, json};

use super::{Scope, Templar, TextOptions, Variable};
use crate::text::{Kind, Node, Place, Source, Style, parse};

struct Vars(HashMap<String, Node>);

impl Scope for Vars {
    fn variable(&self, name: &str) -> Option<Variable> {
        self.0.get(name).cloned().map(Variable::Node)
    }

    fn names(&self) -> Vec<String> {
        self.0.keys().cloned().collect()
    }

    fn search_paths(&self) -> Vec<PathBuf> {
        vec![]
    }

    fn decrypt(&self, _: &str) -> anyhow::Result<String> {
        anyhow::bail!("no vault here")
    }
}

fn scope() -> Arc<dyn Scope> {
    let text = "
a: 1
name: world
greeting: 'hello {{ name }}'
list: [3, 1, 2]
d: {x: {y: deep}, t: '{{ name }}', bad: '{{ nowhere }}'}
users: [{n: ann, age: 3}, {n: bob, age: 2}]
loop1: '{{ loop2 }}'
loop2: '{{ loop1 }}'
data: !unsafe '{{ name }}'
res: {changed: true, failed: false, rc: 0}
";
    let source = Source::new("vars", text);
    let node = parse(&source).expect("yaml").first(&source);
    Arc::new(Vars(node.entries().iter().map(|(k, v)| (k.key_text(), v.clone())).collect()))
}

fn node(text: &str) -> Node {
    Node::new(Kind::Str(text.to_owned(), Style::Plain), Place::synthetic("t"))
}

fn render(text: &str) -> Result<Value, String> {
    Templar::default().value(&node(text), &scope()).map_err(|e| e.message)
}

#[test]
fn templates_give_what_the_reference_gives() {
    let cases = [
        ("{{ a }}", json!(1)),
        ("x{{ a }}", json!("x1")),
        ("{{ greeting }}!", json!("hello world!")),
        ("x{{ none }}y", json!("xy")),
        ("{{ [1, none, true, 1.5, 'a'] }}z", json!("[1, None, True, 1.5, 'a']z")),
        ("{% if true %}{{ [1] }}{% endif %}", json!([1])),
        ("{{ 7 // 2 }}", json!(3)),
        ("{{ -7 // 2 }}", json!(-4)),
        ("{{ -7 % 3 }}", json!(2)),
        ("{{ 4 / 2 }}", json!(2.0)),
        ("{{ '%s-%03d' | format('a', 3) }}", json!("a-003")),
        ("{{ '%05.1f' % 3.14159 }}", json!("003.1")),
        ("{{ true ~ '' }}", json!("True")),
        ("{{ 1e20 }} {{ 1.0 }}", json!("1e+20 1.0")),
        ("a{{ omit }}b", json!("ab")),
        ("{{ nope | default('d') }}", json!("d")),
        ("{{ nope.deeper.still | default('d') }}", json!("d")),
        ("{{ d.x.nope.more is defined }}", json!(false)),
        ("{{ d.x.y }}", json!("deep")),
        ("{{ d.t }}", json!("world")),
        ("{{ d['x']['y'] | upper }}", json!("DEEP")),
        ("{{ list | sort | join('-') }}", json!("1-2-3")),
        ("{{ list[0] }}{{ list[-1] }}", json!("32")),
        ("{{ list[1:] }}", json!([1, 2])),
        ("{{ users | map(attribute='n') | list }}", json!(["ann", "bob"])),
        ("{{ users | selectattr('age', 'gt', 2) | map(attribute='n') | first }}", json!("ann")),
        (
            "{% for u in users %}{{ loop.index }}{{ u.n }}{% if not loop.last %},{% endif %}{% endfor %}",
            json!("1ann,2bob"),
        ),
        ("{% set x = 5 %}{{ x + 1 }}", json!(6)),
        ("{{ data }}", json!("{{ name }}")),
        ("{{ res is changed }}", json!(true)),
        ("{{ res is failed or a == 1 }}", json!(true)),
        ("{{ 'b' in 'abc' and 3 in list }}", json!(true)),
        ("{{ '2.10' is version('2.9', '>') }}", json!(true)),
        ("{{ 'foobar' is search('o+b') }}", json!(true)),
        ("{{ 'a.b' | regex_replace('\\.', '-') }}", json!("a-b")),
        ("{{ {'k': a} | to_json }}", json!("{\"k\": 1}")),
        ("{{ 'A {} {x}'.format(1, x=2) }}", json!("A 1 2")),
        ("{{ 'a,b'.split(',') }}", json!(["a", "b"])),
        ("{% macro m(x, y=2) %}{{ x }}-{{ y }}{% endmacro %}{{ m(1) }} {{ m(1, y=3) }}", json!("1-2 1-3")),
        ("{% set ns = namespace(n=0) %}{% for i in list %}{% set ns.n = ns.n + i %}{% endfor %}{{ ns.n }}", json!(6)),
        ("{{ lookup('env', 'NOPE_NOT_SET') }}", json!("")),
        ("{{ lookup('env', 'NOPE_NOT_SET', default=undef()) | default('none') }}", json!("none")),
        ("{{ lookup('list') }}", json!([])),
        ("{{ query('sequence', 'start=1 end=3') }}", json!(["1", "2", "3"])),
        ("{{ 'yes' if a == 1 else 'no' }}", json!("yes")),
        ("{{ [1, 2] + [3] }}", json!([1, 2, 3])),
        ("{{ 'ab' * 2 }}", json!("abab")),
        ("{{ 1 < 2 < 3 }}", json!(true)),
        ("{{ list | ansible.builtin.unique | length }}", json!(3)),
        (
            "{{ users | groupby('n') | selectattr('grouper', 'eq', 'bob') | map(attribute='list') | first }}",
            json!([{"n": "bob", "age": 2}]),
        ),
        ("{{ (users | groupby('n'))[0].grouper }}", json!("ann")),
        ("{{ 'y' | extract(d.x) }}", json!("deep")),
        ("{{ ['x'] | map('extract', d, 'y') | first }}", json!("deep")),
        ("{{ 'nope' | extract(d, ['a', 'b']) | default('none') }}", json!("none")),
        ("{{ d.bad | default('d') }}", json!("d")),
        ("{{ d.bad is defined }}", json!(false)),
        ("{{ (users | groupby('age'))[0] }}", json!([2, [{"n": "bob", "age": 2}]])),
        ("{{ (users | groupby('age'))[0] }} t", json!("(2, [{'n': 'bob', 'age': 2}]) t")),
        ("{{ [{'a': 1}] | groupby('a') | string }}", json!("[(1, [{'a': 1}])]")),
        ("{{ false | ternary(nope, 'no') }}{{ none | ternary(nope, d.nope, 'none') }}", json!("nonone")),
        ("{{ none | ternary(1, 2, none) }}", json!(2)),
        ("{{ none | combine({'a': 1}, none, [{'b': 2}]) }}", json!({"a": 1, "b": 2})),
        ("{{ none | bool }}", json!(false)),
        ("{{ none | from_yaml_all }}", json!([])),
        ("{{ 22 | shuffle }}", json!(22)),
        ("{{ 'é' | b64encode(encoding='utf-16-le') }}", json!("6QA=")),
        ("{{ '6QA=' | b64decode(encoding='utf-16-le') }}", json!("é")),
        ("{{ '??>' | b64encode(urlsafe=true) }}", json!("Pz8-")),
        ("{{ 'boo' | comment(decoration='') }}", json!("boo\n")),
        ("{{ 'boo' | comment(prefix='\n', prefix_count=2) }}", json!("\n\n# boo\n#")),
        ("{{ 'boo' | comment(prefix='--- ', postfix='  ') }}", json!("--- \n# boo\n  ")),
        ("plain", json!("plain")),
    ];
    for (text, expected) in cases {
        assert_eq!(render(text), Ok(expected), "{text}");
    }
}

#[test]
fn errors_name_what_is_wrong() {
    let cases = [
        ("{{ nope }}", "'nope' is undefined"),
        ("{{ lookup('env', 'NOPE_NOT_SET', default=undef('set it')) }}", "set it"),
        ("x{{ d.nope }}", "object of type 'dict' has no attribute 'nope'"),
        ("{{ d.bad }}", "'nowhere' is undefined"),
        ("{{ d.items() | list | length }}", "'nowhere' is undefined"),
        ("{{ nope == 1 }}", "'nope' is undefined"),
        ("{{ nope or true }}", "'nope' is undefined"),
        ("{% if nope %}{% endif %}", "'nope' is undefined"),
        ("{{ nope | upper }}", "'nope' is undefined"),
        ("{{ loop1 }}", "recursive loop"),
        ("{{ 1 + 'a' }}", "unsupported operand type(s) for +: 'int' and 'str'"),
        ("{{ a | nofilter }}", "No filter named 'nofilter'"),
        ("{{ [{}, [{}]] | combine }}", "expected dicts but got a 'list'"),
        ("{{ {} | combine(x=1) }}", "'recursive' and 'list_merge' are the only valid keyword arguments"),
        ("{{ none | random }}", "random can only be used on"),
        ("{{ 'a' | hash('x') }}", "unsupported hash type"),
        ("{{ 'a' | password_hash('x') }}", "is not in the list of supported passlib algorithms"),
        ("{{ 'a' | password_hash(rounds=1) }}", "Could not hash the secret"),
        ("{{ 'a' | password_hash(salt_size=[]) }}", "salt_size must be an integer"),
        ("{{ 'a' | to_uuid(22) }}", "Invalid value '22' for 'namespace'"),
        ("{{ '/a' | commonpath }}", "|commonpath expects"),
        ("{{ 'a' | regex_escape('posix_extended') }}", "not yet implemented"),
        ("{{ a +  }}", "Syntax error in template"),
    ];
    for (text, expected) in cases {
        let error = render(text).expect_err(text);
        assert!(error.contains(expected), "{text}: {error}");
    }
}

#[test]
fn what_is_undefined_is_shown_in_its_place() {
    let shown = |text: &str| Templar::default().shown(text, &Place::synthetic("t"), &scope()).map_err(|e| e.message);
    let (value, errors) = shown("d").expect("a value");
    assert_eq!(value["bad"], json!("<< error 1 - 'nowhere' is undefined >>"));
    assert_eq!(value["t"], json!("world"));
    assert_eq!(errors, ["'nowhere' is undefined"]);
    assert_eq!(shown("a").expect("a value"), (json!(1), vec![]));
    assert!(shown("1 + 'a'").expect_err("an error").contains("unsupported operand"));
}

#[test]
fn conditions_must_be_booleans() {
    let templar = Templar::default();
    let holds = |text: &str| templar.condition(&node(text), &scope()).map_err(|e| e.message);
    assert_eq!(holds("a == 1"), Ok(true));
    assert_eq!(holds("not (res is changed)"), Ok(false));
    assert_eq!(holds("{{ a == 1 }}"), Ok(true));
    assert!(holds("name").expect_err("a string").contains("Conditionals must have a boolean result"));
    assert!(holds("nope").expect_err("undefined").contains("'nope' is undefined"));
}

#[test]
fn template_files_keep_their_layout() {
    let templar = Templar::default();
    let text = "#jinja2: trim_blocks: False\n{% if true %}\nyes\n{% endif %}\n";
    assert_eq!(templar.text("t.j2", text, &TextOptions::default(), &scope()).expect("rendered"), "\nyes\n\n");
    let text = "{% for i in list %}\n- {{ i }}\n{% endfor %}\nend\n";
    assert_eq!(
        templar.text("t.j2", text, &TextOptions::default(), &scope()).expect("rendered"),
        "- 3\n- 1\n- 2\nend\n"
    );
    let error =
        templar.text("t.j2", "one\ntwo {{ nope }}\n", &TextOptions::default(), &scope()).expect_err("undefined");
    assert_eq!(error.place.expect("a place").to_string(), "t.j2:2:1");
}

#[test]
fn the_static_check_knows_names() {
    let templar = Templar::default();
    let found = templar.check(&node("{{ a | defualt(1) }} {{ b is defind }}"));
    let messages: Vec<(String, Option<String>)> = found.into_iter().map(|d| (d.message, d.hint)).collect();
    assert_eq!(messages[0], ("there is no filter `defualt`".into(), Some("did you mean `default`?".into())));
    assert_eq!(messages[1].0, "there is no test `defind`");
    assert!(super::value::V::text(super::value::OMIT).is_omit());
}
