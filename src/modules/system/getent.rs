//! `getent`: entries of the host's databases.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::host::Script;
use crate::host::script::quote;
use crate::modules::{Apply, Check, Context, HostModule, Outcome, Verdict};

/// Looks up entries of the host's databases (`passwd`, `group`, `hosts`, …) and keeps them as a fact.
///
/// The fact is called `getent_DATABASE`; it maps each key to the list of its other fields.
///
/// ```yaml
/// - getent:
///     database: passwd
///     key: www-data
/// ```
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Getent {
    /// The database.
    database: String,
    /// The entry; absent: all.
    #[serde(default)]
    key: Option<String>,
    /// The service of the host that is asked.
    #[serde(default)]
    service: Option<String>,
    /// What separates fields; known for the usual databases.
    #[serde(default)]
    split: Option<String>,
    /// Fail where there is no such entry.
    #[serde(default = "crate::modules::guarded::yes")]
    fail_key: bool,
}

impl HostModule for Getent {
    type Drift = ();

    fn check(&self, _: &Context) -> anyhow::Result<Check<()>> {
        let mut text = String::from(
            "command -v getent >/dev/null || { echo 'the host has no getent' >&2; exit 127; }\nLC_ALL=C getent ",
        );
        if let Some(service) = &self.service {
            text.push_str(&format!("-s {} ", quote(service)));
        }
        text.push_str(&format!("-- {}", quote(&self.database)));
        if let Some(key) = &self.key {
            text.push_str(&format!(" {}", quote(key)));
        }
        let split = self.split.clone().or_else(|| {
            matches!(self.database.as_str(), "passwd" | "shadow" | "group" | "gshadow").then(|| ":".to_owned())
        });
        let (database, key, fail_key) = (self.database.clone(), self.key.clone(), self.fail_key);
        Ok(Check::ask(Script::new(text), move |reply| {
            let fact = format!("getent_{database}");
            let mut facts = Map::new();
            match reply.status {
                0 => {
                    facts.insert(fact, entries(&reply.out(), split.as_deref()));
                    Ok(Verdict::Converged(Outcome { facts, ..Outcome::ok() }))
                }
                1 => Ok(Verdict::failed("Missing arguments, or database unknown.")),
                2 if !fail_key => {
                    facts.insert(fact, json!({ key.unwrap_or_default(): null }));
                    let outcome = Outcome { facts, ..Outcome::ok() };
                    Ok(Verdict::Converged(
                        outcome.message("One or more supplied key could not be found in the database."),
                    ))
                }
                2 => Ok(Verdict::failed("One or more supplied key could not be found in the database.")),
                3 => Ok(Verdict::failed("Enumeration not supported on this database.")),
                _ => Err(reply.failure("getent")),
            }
        }))
    }

    fn apply(&self, (): (), _: &Context) -> anyhow::Result<Apply> {
        anyhow::bail!("getent changes nothing")
    }
}

/// The entries by their keys: a key that comes twice has a list of its entries.
fn entries(text: &str, split: Option<&str>) -> Value {
    let mut map: Map<String, Value> = Map::new();
    let mut twice: Vec<String> = Vec::new();
    for line in text.lines() {
        let mut fields: Vec<&str> = match split {
            Some(split) => line.split(split).collect(),
            None => line.split_whitespace().collect(),
        };
        if fields.is_empty() {
            continue;
        }
        let key = fields.remove(0).to_owned();
        let value = json!(fields);
        match map.get_mut(&key) {
            None => {
                map.insert(key, value);
            }
            Some(first) => {
                if !twice.contains(&key) {
                    *first = json!([first.clone()]);
                    twice.push(key);
                }
                if let Some(list) = first.as_array_mut() {
                    list.push(value);
                }
            }
        }
    }
    Value::Object(map)
}
