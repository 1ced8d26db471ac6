//! Results as YAML, as PyYAML lays them out.

use serde_json::{Map, Value};

use crate::text::yaml_out::{Flow, Options, dump};

/// A result on lines of its own, four spaces in; `pretty` prefers what people can read to what reads back the same.
pub(super) fn result(result: &Map<String, Value>, pretty: bool) -> String {
    let mut result = result.clone();
    if pretty {
        for (key, lines) in [("stdout", "stdout_lines"), ("stderr", "stderr_lines")] {
            if result.contains_key(key) && result.contains_key(lines) {
                result.insert(lines.into(), "<omitted>".into());
            }
        }
    }
    let options = Options {
        indent: if pretty { 4 } else { 2 },
        width: 80,
        sort_keys: true,
        flow: Flow::None,
        unicode: true,
        blocks: true,
        style: None,
    };
    let text = dump(&Value::Object(result), &options);
    let indented: Vec<String> =
        text.lines().map(|line| if line.trim().is_empty() { String::new() } else { format!("    {line}") }).collect();
    format!("\n{}\n", indented.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// The text is PyYAML's own for this value.
    #[test]
    fn the_layout_is_pyyamls() {
        let value = json!({
            "a": 1, "at": "@x", "colon": "a: b", "colonend": "a:", "ctrl": "a\u{1}b", "dash": "- x", "date": "2026-11-26",
            "e": "", "eq": "=", "exp": "1e3", "flt": "1.5", "l": [1, "two", {"k": "v", "z": [1, 2]}, [3, 4], []],
            "long": "word ".repeat(30), "longq": format!("it's: {}", "word ".repeat(30)), "m": {}, "m3": "a \nb\n\nc\n\n",
            "multi2": "a\n  b", "n": null, "oct": "0644", "pct": "50%", "q": "it's", "s": "yes", "t": true,
            "tab": "a\tb\nc", "time": "2026-11-26 22:33:21.356861", "trail": "a ", "uni": "ä",
        });
        let expected = r#"
    a: 1
    at: '@x'
    colon: 'a: b'
    colonend: 'a:'
    ctrl: "a\x01b"
    dash: '- x'
    date: '2026-11-26'
    e: ''
    eq: '='
    exp: 1e3
    flt: '1.5'
    l:
    - 1
    - two
    -   k: v
        z:
        - 1
        - 2
    -   - 3
        - 4
    - []
    long: 'word word word word word word word word word word word word word word word
        word word word word word word word word word word word word word word word '
    longq: 'it''s: word word word word word word word word word word word word word word
        word word word word word word word word word word word word word word word word '
    m: {}
    m3: |-
        a
        b

        c
    multi2: |-
        a
          b
    n: null
    oct: '0644'
    pct: 50%
    q: it's
    s: 'yes'
    t: true
    tab: |-
        a       b
        c
    time: '2026-11-26 22:33:21.356861'
    trail: 'a '
    uni: ä
"#;
        let Value::Object(map) = value else { unreachable!() };
        assert_eq!(result(&map, true), expected);
    }
}
