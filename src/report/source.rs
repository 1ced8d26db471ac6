//! Where an error comes from, as Ansible shows it: `Origin: file:line:col`, source lines, a marker under the column.

use std::path::Path;

/// Lines shown above the one that is meant.
const CONTEXT: usize = 2;
/// Columns of an excerpt.
const WIDTH: usize = 120;

/// `Origin: …` with an excerpt of the file, for a place `file:line:col` (`file:line`, or any text where there is no file).
pub fn origin(place: &str) -> String {
    let (path, line, column) = split(place);
    if path.starts_with('<') {
        return format!("Origin: {path}");
    }
    let absolute = absolute(path);
    let name = match (line, column) {
        (Some(line), Some(column)) => format!("{absolute}:{line}:{column}"),
        (Some(line), None) => format!("{absolute}:{line}"),
        _ => absolute.clone(),
    };
    let Some(line) = line else { return format!("Origin: {name}") };
    let Ok(text) = std::fs::read_to_string(&absolute) else { return format!("Origin: {name}") };
    if text.starts_with("$ANSIBLE_VAULT;") {
        return format!("Origin: {name}\n\n(source not shown: content encrypted)");
    }
    format!("Origin: {name}\n\n{}", excerpt(&text, line, column))
}

/// The `file:line` of a place, the file absolute, as `task path:` shows it.
pub fn path_and_line(place: &str) -> String {
    let (path, line, _) = split(place);
    line.map_or_else(|| absolute(path), |line| format!("{}:{line}", absolute(path)))
}

/// Splits `file:line:col`.
pub fn split(place: &str) -> (&str, Option<usize>, Option<usize>) {
    let number = |text: &str| text.parse::<usize>().ok().filter(|n| *n > 0);
    let Some((head, last)) = place.rsplit_once(':') else { return (place, None, None) };
    let Some(last) = number(last) else { return (place, None, None) };
    match head.rsplit_once(':').and_then(|(path, line)| Some((path, number(line)?))) {
        Some((path, line)) => (path, Some(line), Some(last)),
        None => (head, Some(last), None),
    }
}

fn absolute(path: &str) -> String {
    if path.starts_with('<') {
        return path.to_owned();
    }
    std::path::absolute(Path::new(path)).map_or_else(|_| path.to_owned(), |path| path.display().to_string())
}

fn excerpt(text: &str, line: usize, column: Option<usize>) -> String {
    let label = line.to_string().len();
    let width = WIDTH - label - 1;
    let mut lines: Vec<String> = vec![];
    let mut usable = width;
    for (number, text) in text.lines().enumerate().map(|(i, text)| (i + 1, text)) {
        if number + CONTEXT < line || number > line {
            continue;
        }
        let mut text = text.replace('\t', " ");
        if text.chars().count() > width {
            usable = width - 3;
            text = text.chars().take(usable).chain("...".chars()).collect();
        }
        lines.push(format!("{number:>label$}{}{text}", if text.is_empty() { "" } else { " " }));
    }
    match column {
        Some(column) if column <= usable => {
            let name = format!("column {column}");
            let before = column - 1;
            let marker = if before + 2 + name.len() > width {
                format!("{}{name} ^", " ".repeat(before - name.len() - 1))
            } else {
                format!("{}^ {name}", " ".repeat(before))
            };
            lines.push(format!("{} {marker}", " ".repeat(label)));
        }
        Some(_) => {}
        None => {
            let length = lines.last().map_or(0, |last| last.chars().count().saturating_sub(label + 1));
            lines.push(format!("{} {}", " ".repeat(label), "^".repeat(length)));
        }
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_marker_stands_under_the_column() {
        let text = "- hosts: all\n\n  tasks:\n    - debug:\n";
        assert_eq!(excerpt(text, 4, Some(7)), "2\n3   tasks:\n4     - debug:\n        ^ column 7");
    }

    #[test]
    fn a_place_is_split_from_its_end() {
        assert_eq!(split("a:b.yml:3:9"), ("a:b.yml", Some(3), Some(9)));
        assert_eq!(split("a.yml:3"), ("a.yml", Some(3), None));
        assert_eq!(split("<extra vars>"), ("<extra vars>", None, None));
    }
}
