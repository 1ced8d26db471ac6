//! `service_facts`: the host's services.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::host::Script;
use crate::modules::{Apply, Check, Context, HostModule, Outcome, Verdict};

/// Keeps the host's services as the fact `services`: name, state, whether they start at boot, and what starts them.
///
/// ```yaml
/// - service_facts:
/// ```
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ServiceFacts {}

const SCRIPT: &str = r#"if [ -d /run/systemd/system ]; then
systemctl list-unit-files --no-pager --no-legend --type service --all 2>/dev/null | sed 's/^/file /'
systemctl list-units --no-pager --no-legend --plain --type service --all 2>/dev/null | sed 's/^/unit /'
fi
for f in /etc/init.d/*; do [ -x "$f" ] && [ -f "$f" ] || continue
n=${f##*/}; case $n in rc|rcS|README|skeleton|functions) continue;; esac
if [ -d /run/systemd/system ]; then s=; else "$f" status >/dev/null 2>&1 </dev/null && s=running || s=stopped; fi
e=disabled; for l in /etc/rc[2345].d/S[0-9][0-9]"$n"; do [ ! -e "$l" ] || e=enabled; done
echo "init $n ${s:-unknown} $e"; done; exit 0"#;

impl HostModule for ServiceFacts {
    type Drift = ();

    fn check(&self, _: &Context) -> anyhow::Result<Check<()>> {
        Ok(Check::ask(Script::new(SCRIPT), |reply| {
            let mut facts = Map::new();
            facts.insert("services".into(), Value::Object(services(&reply.out())));
            Ok(Verdict::Converged(Outcome { facts, ..Outcome::ok() }))
        }))
    }

    fn apply(&self, (): (), _: &Context) -> anyhow::Result<Apply> {
        anyhow::bail!("service_facts changes nothing")
    }
}

fn services(text: &str) -> Map<String, Value> {
    let mut all: Map<String, Value> = Map::new();
    for line in text.lines() {
        let words: Vec<&str> = line.split_whitespace().filter(|word| *word != "●").collect();
        match words.as_slice() {
            ["file", name, status, ..] => {
                all.insert(
                    (*name).into(),
                    json!({"name": name, "state": "inactive", "status": status, "source": "systemd"}),
                );
            }
            ["unit", name, load, active, sub, ..] => {
                let state = match (*load, *active, *sub) {
                    ("not-found", ..) => "stopped",
                    (_, "failed", _) | (_, _, "failed") => "failed",
                    (_, "active", "running") => "running",
                    _ => "stopped",
                };
                let status = match *load {
                    "not-found" => json!("not-found"),
                    _ => all.get(*name).map_or(json!("static"), |service| service["status"].clone()),
                };
                all.insert(
                    (*name).into(),
                    json!({"name": name, "state": state, "status": status, "source": "systemd"}),
                );
            }
            // Under systemd a script has a unit of its own.
            ["init", name, state, status] if !all.contains_key(&format!("{name}.service")) => {
                let service = json!({"name": name, "state": state, "status": status, "source": "sysv"});
                all.insert((*name).into(), service);
            }
            _ => {}
        }
    }
    all
}
