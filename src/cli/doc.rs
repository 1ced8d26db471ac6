//! `crudctl doc`: the reference page of a module, made from its code.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Args;
use serde_json::{Map, Value};

use super::exit::Exit;
use super::say;
use crate::modules::{self, Descriptor};
use crate::text::did_you_mean;

/// Show a module's reference page
///
/// Without a name: all modules, each with one sentence.
#[derive(Debug, Args)]
pub struct Doc {
    /// The module's name, short or with its collection
    module: Option<String>,
    /// Write all pages as Markdown files into this directory
    #[arg(long, value_name = "DIR", conflicts_with = "module")]
    markdown: Option<PathBuf>,
}

impl Doc {
    /// Runs the verb.
    pub fn run(&self) -> anyhow::Result<Exit> {
        if let Some(dir) = &self.markdown {
            write_pages(dir)?;
            return Ok(Exit::Ok);
        }
        let Some(name) = &self.module else {
            say(index().trim_end());
            return Ok(Exit::Ok);
        };
        let Some(module) = modules::find(name) else {
            let near = did_you_mean(name, modules::all().map(|module| module.name));
            let hint = near.map_or_else(String::new, |near| format!("; did you mean `{near}`?"));
            anyhow::bail!("there is no module `{name}`{hint}");
        };
        say(page(module).trim_end());
        Ok(Exit::Ok)
    }
}

/// All modules, a line each.
fn index() -> String {
    let mut modules: Vec<_> = modules::all().collect();
    modules.sort_by_key(|module| module.name);
    let width = modules.iter().map(|module| module.name.len()).max().unwrap_or(0);
    let mut out = String::new();
    for module in modules {
        let schema = (module.schema)().to_value();
        let first = description(schema.as_object()).lines().next().unwrap_or_default().to_owned();
        let _ = writeln!(out, "{:width$}  {first}", module.name);
    }
    out
}

/// Writes `DIR/NAME.md` for each module and `DIR/README.md`, their list.
fn write_pages(dir: &Path) -> anyhow::Result<()> {
    std::fs::create_dir_all(dir).with_context(|| format!("can't make `{}`", dir.display()))?;
    for (name, text) in pages() {
        let path = dir.join(name);
        std::fs::write(&path, text).with_context(|| format!("can't write `{}`", path.display()))?;
    }
    Ok(())
}

/// All files of the reference, by name.
pub fn pages() -> Vec<(String, String)> {
    let mut modules: Vec<_> = modules::all().collect();
    modules.sort_by_key(|module| module.name);
    let mut list = String::from("# Modules\n\nMade by `crudctl doc --markdown`; not edited by hand.\n\n");
    let mut out = vec![];
    for module in modules {
        let schema = (module.schema)().to_value();
        let first = description(schema.as_object()).lines().next().unwrap_or_default().to_owned();
        let _ = writeln!(list, "- [{name}]({name}.md): {first}", name = module.name);
        out.push((format!("{}.md", module.name), page(module)));
    }
    out.push(("README.md".into(), list));
    out
}

fn description(schema: Option<&Map<String, Value>>) -> String {
    let text = schema.and_then(|schema| schema.get("description")).and_then(Value::as_str);
    text.unwrap_or_default().trim().to_owned()
}

/// A module's page in Markdown.
pub fn page(module: &Descriptor) -> String {
    let schema = (module.schema)().to_value();
    let schema = schema.as_object().cloned().unwrap_or_default();
    let mut out = format!("# {}\n\n{}\n", module.name, description(Some(&schema)));
    let names: Vec<String> = module.collections.iter().map(|c| format!("`{c}.{}`", module.name)).collect();
    if !names.is_empty() {
        let _ = write!(out, "\nFull name: {}.", names.join(", "));
        if let Some(parameter) = module.free_form {
            let _ = write!(out, " Free-form text goes to `{parameter}`.");
        }
        out.push('\n');
    }
    let required: Vec<&str> = schema
        .get("required")
        .and_then(Value::as_array)
        .map(|names| names.iter().filter_map(Value::as_str).collect())
        .unwrap_or_default();
    let definitions = schema.get("$defs").and_then(Value::as_object).cloned().unwrap_or_default();
    let properties = schema.get("properties").and_then(Value::as_object).cloned().unwrap_or_default();
    if !properties.is_empty() {
        out.push_str("\n## Parameters\n");
    }
    for (name, property) in &properties {
        let Some(property) = property.as_object() else { continue };
        let mut facts = vec![type_text(property, &definitions)];
        if required.contains(&name.as_str()) {
            facts.push("required".into());
        }
        match property.get("default") {
            None | Some(Value::Null) => {}
            Some(Value::Array(items)) if items.is_empty() => {}
            Some(Value::String(default)) => facts.push(format!("default `{default}`")),
            Some(default) => facts.push(format!("default `{default}`")),
        }
        facts.retain(|fact| !fact.is_empty());
        let _ = write!(out, "\n### {name}\n\n{}\n", facts.join(", "));
        let text = description(Some(property));
        if !text.is_empty() {
            let _ = write!(out, "\n{text}\n");
        }
    }
    out
}

/// The type of a parameter in words.
fn type_text(property: &Map<String, Value>, definitions: &Map<String, Value>) -> String {
    if let Some(target) = property.get("$ref").and_then(Value::as_str) {
        let name = target.rsplit('/').next().unwrap_or(target);
        return match definitions.get(name).and_then(Value::as_object) {
            Some(definition) if !definition.contains_key("properties") => type_text(definition, definitions),
            Some(_) => "mapping".into(),
            None => String::new(),
        };
    }
    for key in ["anyOf", "oneOf", "allOf"] {
        if let Some(options) = property.get(key).and_then(Value::as_array) {
            let mut texts: Vec<String> = options
                .iter()
                .filter_map(Value::as_object)
                .map(|option| type_text(option, definitions))
                .filter(|text| !text.is_empty() && text != "null")
                .collect();
            texts.dedup();
            return texts.join(" or ");
        }
    }
    if let Some(values) = property.get("enum").and_then(Value::as_array) {
        let values: Vec<String> = values
            .iter()
            .map(|value| format!("`{}`", value.as_str().map_or_else(|| value.to_string(), str::to_owned)))
            .collect();
        return values.join(" or ");
    }
    if let Some(value) = property.get("const") {
        return format!("`{}`", value.as_str().map_or_else(|| value.to_string(), str::to_owned));
    }
    let one = |name: &str| match name {
        "array" => {
            let items = property.get("items").and_then(Value::as_object);
            let items = items.map(|items| type_text(items, definitions)).filter(|text| !text.is_empty());
            items.map_or_else(|| "list".to_owned(), |items| format!("list of {items}"))
        }
        "object" => "mapping".to_owned(),
        "number" => "number".to_owned(),
        other => other.to_owned(),
    };
    match property.get("type") {
        Some(Value::String(name)) => one(name),
        Some(Value::Array(names)) => {
            let names: Vec<String> =
                names.iter().filter_map(Value::as_str).filter(|name| *name != "null").map(one).collect();
            names.join(" or ")
        }
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use schemars::JsonSchema;
    use serde::Deserialize;

    /// Makes a thing.
    ///
    /// It is there afterwards.
    #[derive(Deserialize, JsonSchema)]
    #[expect(dead_code, reason = "only its schema is looked at")]
    struct Thing {
        /// Where.
        path: String,
        /// How often.
        #[serde(default)]
        times: Option<u32>,
        /// Which.
        #[serde(default)]
        state: State,
        #[serde(default)]
        names: Vec<String>,
    }

    #[derive(Deserialize, JsonSchema, serde::Serialize, Default)]
    #[serde(rename_all = "snake_case")]
    enum State {
        #[default]
        Present,
        Absent,
    }

    #[test]
    fn a_page_has_all_parameters() {
        let module = Descriptor {
            name: "thing",
            collections: &["a.b"],
            free_form: None,
            prepare: |_| Err(crate::text::Diagnostic::plain("unused")),
            schema: || schemars::schema_for!(Thing),
        };
        insta::assert_snapshot!(page(&module), @r"
        # thing

        Makes a thing.

        It is there afterwards.

        Full name: `a.b.thing`.

        ## Parameters

        ### path

        string, required

        Where.

        ### times

        integer

        How often.

        ### state

        `present` or `absent`, default `present`

        Which.

        ### names

        list of string
        ");
    }
}
