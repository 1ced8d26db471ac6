//! What a build tells the CI system that it runs in: outputs and a summary for GitHub Actions, a dotenv report for GitLab.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::Path;

use anyhow::Context as _;
use serde_json::{Map, Value};

use super::build_push::size;

/// Results of images as `crudctl_push` gives them.
type Results = [Map<String, Value>];

/// Tells GitHub Actions, where it asks: `GITHUB_OUTPUT` and `GITHUB_STEP_SUMMARY` name files to append to.
///
/// # Errors
/// A file can't be written.
pub(super) fn tell_github(results: &Results) -> anyhow::Result<()> {
    let file = |name: &str| std::env::var_os(name).filter(|path| !path.is_empty());
    if let Some(path) = file("GITHUB_OUTPUT") {
        append(Path::new(&path), &outputs(results))?;
    }
    if let Some(path) = file("GITHUB_STEP_SUMMARY") {
        append(Path::new(&path), &table(results))?;
    }
    Ok(())
}

/// Writes a dotenv report (`artifacts:reports:dotenv`): `IMAGE`, `TAG`, `DIGEST` and `REFERENCE`; of several images each with its name before it.
///
/// # Errors
/// The file can't be written.
pub(super) fn write_dotenv(path: &Path, results: &Results) -> anyhow::Result<()> {
    let mut report = String::new();
    for result in results {
        let prefix = match results {
            [_] => String::new(),
            _ => text(result, "name").to_uppercase().replace(['-', '.'], "_") + "_",
        };
        for (name, key) in [("IMAGE", "image"), ("TAG", "tag"), ("DIGEST", "digest"), ("REFERENCE", "reference")] {
            report.push_str(&format!("{prefix}{name}={}\n", text(result, key)));
        }
    }
    std::fs::write(path, report).with_context(|| format!("cannot write {}", path.display()))
}

/// The outputs of the first image by their plain names, and all of them as JSON in `images`.
fn outputs(results: &Results) -> String {
    let mut plain = String::new();
    if let Some(result) = results.first() {
        for key in ["image", "tag", "digest", "reference"] {
            plain.push_str(&format!("{key}={}\n", text(result, key)));
        }
    }
    let all: Map<String, Value> =
        results.iter().map(|result| (text(result, "name").to_owned(), text(result, "reference").into())).collect();
    format!("{plain}images={}\n", Value::Object(all))
}

fn table(results: &Results) -> String {
    let mut table = "| image | digest | size | sent |\n|---|---|---|---|\n".to_owned();
    for result in results {
        let bytes = |key: &str| size(result.get(key).and_then(Value::as_u64).unwrap_or_default());
        let (image, digest) = (text(result, "image"), text(result, "digest"));
        table.push_str(&format!("| `{image}` | `{digest}` | {} | {} |\n", bytes("size"), bytes("bytes_sent")));
    }
    table.push('\n');
    table
}

fn text<'a>(result: &'a Map<String, Value>, key: &str) -> &'a str {
    result.get(key).and_then(Value::as_str).unwrap_or_default()
}

fn append(path: &Path, text: &str) -> anyhow::Result<()> {
    let failed = || format!("cannot write {}", path.display());
    let mut file = OpenOptions::new().append(true).create(true).open(path).with_context(failed)?;
    file.write_all(text.as_bytes()).with_context(failed)
}
