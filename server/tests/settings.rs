//! The README's table of settings is what the program takes.

use std::path::Path;

use clap::CommandFactory as _;
use crud_server::config::Cli;

/// Settings that come from the environment alone, since a flag would show them in process lists.
const SECRETS: [(&str, &str); 2] = [
    ("DB_PASSWORD", "Password of the PostgreSQL account, when there is no DATABASE_URL"),
    ("MYSQL_PASSWORD", "Password of the MySQL account, when there is no DATABASE_URL"),
];

fn table() -> String {
    let mut table = String::from("| variable | flag | default | what it is |\n|---|---|---|---|\n");
    for argument in Cli::command().get_arguments() {
        let (Some(variable), Some(flag)) = (argument.get_env(), argument.get_long()) else {
            continue;
        };
        let defaults: Vec<_> = argument.get_default_values().iter().map(|value| value.to_string_lossy()).collect();
        // The version is the package's, which changes with every release.
        let default = if flag == "crud-version" { "the package's".into() } else { defaults.join(",") };
        let default = if default.is_empty() || default.contains(' ') || default.contains('\'') {
            default
        } else {
            format!("`{default}`")
        };
        let help = argument.get_help().map(ToString::to_string).unwrap_or_default();
        table.push_str(&format!("| `{}` | `--{flag}` | {default} | {help} |\n", variable.to_string_lossy()));
    }
    for (variable, help) in SECRETS {
        table.push_str(&format!("| `{variable}` | | | {help} |\n"));
    }
    table
}

#[test]
fn the_readme_lists_every_setting() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
    let readme = std::fs::read_to_string(&path).expect("the README");
    let heading = "## Settings\n\n";
    let (before, rest) = readme.split_once(heading).expect("a section of settings");
    let after = rest.find("\n\n").map_or("", |end| &rest[end + 1..]);
    let current = format!("{before}{heading}{}{after}", table());
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, &current).expect("written");
        return;
    }
    assert_eq!(readme, current, "the table is old: UPDATE=1 cargo test -p crud-server --test settings");
}
