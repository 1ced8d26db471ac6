//! `dpkg_selections`, `debconf`, `package_facts`: what dpkg keeps about packages.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::host::script::quote;
use crate::host::{Script, ShellFunction};
use crate::modules::guarded::{Call, GUARD, Guarded, flag, variables};
use crate::modules::{Apply, Check, Context, HostModule, Outcome, Verdict};

/// Sets what dpkg is to do with a package: `hold` keeps its version.
///
/// ```yaml
/// - dpkg_selections:
///     name: docker.io
///     selection: hold
/// ```
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct DpkgSelections {
    /// The package.
    name: String,
    /// What is to be done with it.
    selection: Selection,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Selection {
    Deinstall,
    Hold,
    Install,
    Purge,
}

static SELECTIONS: ShellFunction = ShellFunction {
    name: "crud_dpkg_select",
    text: r#"crud_ds_put() { printf '%s %s\n' "$1" "$2" | dpkg --set-selections; }
crud_dpkg_select() {
command -v dpkg >/dev/null 2>&1 || crud_fail 'there is no dpkg on this host'
ds_n=$(dpkg --get-selections "$1" 2>/dev/null | awk '{print $2; exit}')
[ -n "$ds_n" ] || ds_n='not present'
crud_say before "$ds_n"; crud_say after "$2"
[ "$ds_n" != 'not present' ] || [ -n "$(apt-cache show "$1" 2>/dev/null | head -n 1)" ] || crud_fail "failed to find package $1"
[ "$ds_n" = "$2" ] || crud_do crud_ds_put "$1" "$2"; }"#,
    needs: &[&GUARD],
};

fn ensure_package(name: &str) -> anyhow::Result<()> {
    let good = |c: char| c.is_ascii_alphanumeric() || "+-.:".contains(c);
    anyhow::ensure!(
        !name.is_empty() && name.chars().all(good) && !name.starts_with('-'),
        "`{name}` is not the name of a package"
    );
    Ok(())
}

impl Guarded for DpkgSelections {
    fn call(&self, _: &Context) -> anyhow::Result<Call> {
        ensure_package(&self.name)?;
        let word = match self.selection {
            Selection::Deinstall => "deinstall",
            Selection::Hold => "hold",
            Selection::Install => "install",
            Selection::Purge => "purge",
        };
        Ok(Call::new(format!("crud_dpkg_select {} {word}", quote(&self.name)), &SELECTIONS))
    }
}

/// Answers a question of a package's configuration in advance, or looks up its answers.
///
/// `debconf-utils` isn't needed. Passwords never stand in an argument list.
///
/// ```yaml
/// - debconf:
///     name: tzdata
///     question: tzdata/Areas
///     value: Europe
///     vtype: select
/// ```
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Debconf {
    /// The package.
    #[serde(alias = "pkg")]
    name: String,
    /// The question.
    #[serde(default, alias = "selection", alias = "setting")]
    question: Option<String>,
    /// Its answer.
    #[serde(default, alias = "answer")]
    value: Option<String>,
    /// The kind of answer.
    #[serde(default)]
    vtype: Option<Kind>,
    /// The question is still asked.
    #[serde(default)]
    unseen: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Kind {
    Boolean,
    Error,
    Multiselect,
    Note,
    Password,
    Seen,
    Select,
    String,
    Text,
    Title,
}

impl Kind {
    fn word(self) -> &'static str {
        match self {
            Self::Boolean => "boolean",
            Self::Error => "error",
            Self::Multiselect => "multiselect",
            Self::Note => "note",
            Self::Password => "password",
            Self::Seen => "seen",
            Self::Select => "select",
            Self::String => "string",
            Self::Text => "text",
            Self::Title => "title",
        }
    }
}

static DEBCONF: ShellFunction = ShellFunction {
    name: "crud_debconf",
    text: r#"crud_dc_get() { printf 'GET %s\n' "$1" | debconf-communicate "$n" 2>/dev/null; }
crud_dc_put() { printf '%s %s %s %s\n' "$n" "$q" "$t" "$crud_v" | debconf-set-selections ${unseen:+-u} >&2; }
crud_debconf() {
command -v debconf-show >/dev/null 2>&1 || crud_fail 'there is no debconf on this host'
debconf-show -- "$n" 2>/dev/null | sed 's/^[* ]*//;s/^/@@q /' | sed 's/: */ /'
[ -n "$q" ] || return 0
dc_n=$(crud_dc_get "$q"); dc_s=1; case $dc_n in '0 '*) dc_n=${dc_n#0 };; 0) dc_n=;; *) dc_n=; dc_s=;; esac
[ -n "$t" ] || return 0
[ -n "$dc_s" ] && [ "$dc_n" = "$crud_v" ] || crud_do crud_dc_put; }"#,
    needs: &[&GUARD],
};

impl Guarded for Debconf {
    fn call(&self, _: &Context) -> anyhow::Result<Call> {
        ensure_package(&self.name)?;
        anyhow::ensure!(
            self.question.is_none() == self.value.is_none() || self.vtype.is_none(),
            "when supplying a question you must supply a valid vtype and value"
        );
        anyhow::ensure!(
            self.vtype.is_none() || (self.question.is_some() && self.value.is_some()),
            "parameters are required together: question, vtype, value"
        );
        let value = match (self.vtype, self.value.clone().unwrap_or_default()) {
            (Some(Kind::Boolean), value) => value.to_ascii_lowercase(),
            (_, value) => value,
        };
        anyhow::ensure!(!value.contains('\n'), "an answer is one line");
        anyhow::ensure!(
            !self.question.as_deref().unwrap_or_default().contains(char::is_whitespace),
            "`question` has no blanks"
        );
        let line = variables(&[
            ("n", Some(&self.name)),
            ("q", self.question.as_deref()),
            ("t", self.vtype.map(Kind::word)),
            ("unseen", flag(self.unseen)),
        ]);
        let secret = self.vtype == Some(Kind::Password);
        let question = self.question.clone();
        let call = Call::new(format!("{line}crud_debconf"), &DEBCONF).secret("crud_v", &value);
        Ok(call.finish(move |said| {
            let mut outcome = said.outcome();
            let mut all = Map::new();
            for name in outcome.values.keys().filter(|name| name.contains('/')).cloned().collect::<Vec<_>>() {
                let answer = outcome.values.shift_remove(&name).unwrap_or_default();
                all.insert(name, answer);
            }
            let Some(question) = &question else { return outcome.with("current", all) };
            if secret {
                return outcome;
            }
            let previous = all.get(question).cloned().unwrap_or_default();
            outcome = outcome.with("previous", json!({ question.as_str(): previous }));
            outcome.with("current", json!({ question.as_str(): value }))
        }))
    }
}

/// Keeps the host's packages as the fact `packages`: each name with the list of its installed versions.
///
/// dpkg, rpm and apk are known.
///
/// ```yaml
/// - package_facts:
/// ```
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct PackageFacts {
    /// The package manager; `auto` looks for one.
    #[serde(default = "auto")]
    manager: Vec<String>,
    /// Whether the first manager that is found is enough.
    #[serde(default)]
    strategy: Strategy,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Strategy {
    All,
    #[default]
    First,
}

fn auto() -> Vec<String> {
    vec!["auto".to_owned()]
}

impl HostModule for PackageFacts {
    type Drift = ();

    fn check(&self, _: &Context) -> anyhow::Result<Check<()>> {
        let known = ["apt", "rpm", "apk"];
        let mut managers: Vec<&str> = Vec::new();
        for name in &self.manager {
            match name.as_str() {
                "auto" => managers.extend(known),
                "dpkg" => managers.push("apt"),
                "yum" | "dnf" | "dnf5" | "zypper" => managers.push("rpm"),
                other if known.contains(&other) => managers.push(other),
                other => anyhow::bail!("the package manager `{other}` isn't supported here: auto, apt, rpm, apk are"),
            }
        }
        let mut text = String::new();
        for manager in managers {
            let command = match manager {
                "apt" => {
                    "dpkg-query -W -f='apt|${Package}|${Version}|${Architecture}|${Section}|${db:Status-Abbrev}\\n'"
                }
                "rpm" => "rpm -qa --qf 'rpm|%{NAME}|%{VERSION}|%{ARCH}|%{RELEASE}|%{EPOCH}\\n'",
                _ => "apk info -v 2>/dev/null | sed 's/^/apk|/'",
            };
            let tool = command.split(' ').next().unwrap_or_default();
            let stop = if self.strategy == Strategy::First { "; exit 0" } else { "" };
            text.push_str(&format!("if command -v {tool} >/dev/null 2>&1; then f=1; {command}{stop}; fi\n"));
        }
        text.push_str("[ -n \"$f\" ] || { echo 'could not detect a supported package manager' >&2; exit 1; }\n");
        Ok(Check::ask(Script::new(text), |reply| {
            if reply.status != 0 {
                return Err(reply.failure("package_facts"));
            }
            let mut facts = Map::new();
            facts.insert("packages".into(), Value::Object(packages(&reply.out())));
            Ok(Verdict::Converged(Outcome { facts, ..Outcome::ok() }))
        }))
    }

    fn apply(&self, (): (), _: &Context) -> anyhow::Result<Apply> {
        anyhow::bail!("package_facts changes nothing")
    }
}

fn packages(text: &str) -> Map<String, Value> {
    let mut all: Map<String, Value> = Map::new();
    let mut add = |name: &str, value: Value| {
        let list = all.entry(name.to_owned()).or_insert_with(|| json!([]));
        if let Some(list) = list.as_array_mut() {
            list.push(value);
        }
    };
    for line in text.lines() {
        let fields: Vec<&str> = line.split('|').collect();
        match fields.as_slice() {
            ["apt", name, version, arch, category, status] if status.get(1..2) == Some("i") => add(
                name,
                json!({"name": name, "version": version, "arch": arch, "category": category, "source": "apt"}),
            ),
            ["rpm", name, version, arch, release, epoch] => add(
                name,
                json!({"name": name, "version": version, "release": release, "arch": arch, "epoch": epoch.parse::<i64>().ok(), "source": "rpm"}),
            ),
            ["apk", full] => {
                // NAME-VERSION-rN
                let mut parts = full.rsplitn(3, '-');
                if let (Some(release), Some(version), Some(name)) = (parts.next(), parts.next(), parts.next()) {
                    add(
                        name,
                        json!({"name": name, "version": version, "release": release.trim_start_matches('r'), "source": "apk"}),
                    );
                }
            }
            _ => {}
        }
    }
    all
}
