//! `setup`: the host's facts.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::host::facts;
use crate::host::script::quote;
use crate::modules::{Apply, Check, Context, HostModule, Outcome, Verdict};

/// Gathers facts of the host, under Ansible's names.
///
/// ```yaml
/// - setup:
///     gather_subset: [network]
///     filter: [ansible_default_ipv4, "ansible_all_*"]
/// ```
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Setup {
    /// Names of facts that are kept (globs; with or without `ansible_`); empty: all.
    #[serde(default)]
    filter: Vec<String>,
    /// Kinds of facts: `all`, `min`, `hardware`, `network`, `virtual`, each with `!` in front to leave it out.
    #[serde(default)]
    gather_subset: Vec<String>,
    /// Accepted: facts come from one script, which the task's `timeout` limits.
    #[serde(default)]
    #[expect(dead_code, reason = "the task's timeout limits the script")]
    gather_timeout: Option<u32>,
    /// The directory of the host's own facts (`*.fact`).
    #[serde(default)]
    fact_path: Option<String>,
}

impl HostModule for Setup {
    type Drift = ();

    fn check(&self, _: &Context) -> anyhow::Result<Check<()>> {
        let mut script = facts::script(&self.gather_subset);
        if let Some(path) = self.fact_path.as_deref().filter(|path| *path != facts::LOCAL_DIR) {
            script.text = script.text.replace(facts::LOCAL_DIR, &quote(path));
            script.constant = false;
        }
        let filters = self
            .filter
            .iter()
            .filter(|pattern| !pattern.is_empty())
            .map(|pattern| glob::Pattern::new(pattern))
            .collect::<Result<Vec<_>, _>>()?;
        Ok(Check::ask(script, move |reply| {
            let mut outcome = Outcome::ok();
            for (name, value) in facts::parse(reply)? {
                let full = match name.as_str() {
                    // These two have no prefix in Ansible's results either.
                    "gather_subset" | "module_setup" => name.clone(),
                    _ => format!("ansible_{name}"),
                };
                if filters.is_empty() || filters.iter().any(|f| f.matches(&full) || f.matches(&name)) {
                    outcome.facts.insert(full, value);
                }
            }
            Ok(Verdict::Converged(outcome))
        }))
    }

    fn apply(&self, (): (), _: &Context) -> anyhow::Result<Apply> {
        anyhow::bail!("setup changes nothing")
    }
}
