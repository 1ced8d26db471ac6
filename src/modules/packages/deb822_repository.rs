//! `deb822_repository`: entries of apt's sources in the format of deb822(5).

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use super::apt_shell::FETCH;
use crate::host::ShellFunction;
use crate::host::script::quote;
use crate::modules::Context;
use crate::modules::guarded::{Call, GUARD, Guarded, variables, yes};

/// Writes a repository to `/etc/apt/sources.list.d/NAME.sources`, with the key that signs it.
///
/// ```yaml
/// - deb822_repository:
///     name: docker
///     uris: https://download.docker.com/linux/debian
///     suites: bookworm
///     components: stable
///     signed_by: https://download.docker.com/linux/debian/gpg
/// ```
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Deb822Repository {
    /// The repository's name, which the files are called by.
    name: String,
    /// Allow it to become insecure.
    #[serde(default)]
    allow_downgrade_to_insecure: Option<bool>,
    /// Allow it to be insecure.
    #[serde(default)]
    allow_insecure: Option<bool>,
    /// Allow weak signatures.
    #[serde(default)]
    allow_weak: Option<bool>,
    /// Architectures.
    #[serde(default)]
    architectures: Vec<String>,
    /// Fetch lists by their hashes.
    #[serde(default)]
    by_hash: Option<bool>,
    /// Check dates.
    #[serde(default)]
    check_date: Option<bool>,
    /// Check until when the lists are valid.
    #[serde(default)]
    check_valid_until: Option<bool>,
    /// Components of the suites.
    #[serde(default)]
    components: Vec<String>,
    /// Seconds that a date may be in the future.
    #[serde(default)]
    date_max_future: Option<i64>,
    /// Whether apt reads it.
    #[serde(default)]
    enabled: Option<bool>,
    /// The path of its InRelease file.
    #[serde(default)]
    inrelease_path: Option<String>,
    /// Languages of the descriptions.
    #[serde(default)]
    languages: Vec<String>,
    /// The mode of the file.
    #[serde(default = "mode")]
    mode: String,
    /// Fetch differences of lists.
    #[serde(default)]
    pdiffs: Option<bool>,
    /// The key: a URL, a path on the host, a fingerprint, or an armoured key itself.
    #[serde(default)]
    signed_by: Option<String>,
    /// Suites.
    #[serde(default)]
    suites: Vec<String>,
    /// Kinds of lists to fetch.
    #[serde(default)]
    targets: Vec<String>,
    /// Take it as trusted, or never.
    #[serde(default)]
    trusted: Option<bool>,
    /// `deb`, `deb-src`.
    #[serde(default = "deb")]
    types: Vec<String>,
    /// Where it is.
    #[serde(default)]
    uris: Vec<String>,
    /// Whether it is there.
    #[serde(default)]
    state: State,
    /// Accepted: nothing has to be installed for this module.
    #[serde(default = "yes")]
    #[expect(dead_code, reason = "there are no such dependencies")]
    install_python_debian: bool,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum State {
    Absent,
    #[default]
    Present,
}

fn mode() -> String {
    "0644".to_owned()
}
fn deb() -> Vec<String> {
    vec!["deb".to_owned()]
}

/// `d=SLUG mode=MODE key=URL crud_deb822 BEFORE AFTER`: the text of the file stands around the key's path.
static DEB822: ShellFunction = ShellFunction {
    name: "crud_deb822",
    text: r#"crud_d8_put() { mkdir -p "${2%/*}" && cat "$1" >"$2.crud$$" && chmod "$3" "$2.crud$$" && mv -f "$2.crud$$" "$2"; }
crud_deb822() {
[ -d /etc/apt ] || crud_fail 'there is no apt on this host'
d8_f=/etc/apt/sources.list.d/$d.sources; d8_k=/etc/apt/keyrings/$d; crud_say dest "$d8_f"
if [ $# -eq 0 ]; then
for d8_x in "$d8_f" "$d8_k.asc" "$d8_k.gpg"; do [ ! -e "$d8_x" ] || crud_do rm -f "$d8_x"; done; return
fi
d8_t=$(mktemp -d /tmp/crudctl.XXXXXX) || exit 1
trap 'rm -rf "$d8_t"' 0
d8_p=
if [ -n "$key" ]; then
crud_fetch "$key" "$d8_t/key" && [ -s "$d8_t/key" ] || crud_fail "could not fetch signed_by key: $key"
if head -n 1 "$d8_t/key" | grep -q -e '-----BEGIN PGP'; then d8_p=$d8_k.asc; else d8_p=$d8_k.gpg; fi
cmp -s "$d8_t/key" "$d8_p" || crud_do crud_d8_put "$d8_t/key" "$d8_p" 0644
crud_say key_filename "$d8_p"
fi
printf '%s%s%s' "$1" "$d8_p" "$2" >"$d8_t/new"
cmp -s "$d8_t/new" "$d8_f" || crud_do crud_d8_put "$d8_t/new" "$d8_f" "$mode"
if [ -e "$d8_f" ]; then d8_m=$(stat -c %a "$d8_f"); [ "$((0$d8_m))" = "$((0$mode))" ] || crud_do chmod "$mode" "$d8_f"; fi; }"#,
    needs: &[&FETCH, &GUARD],
};

impl Guarded for Deb822Repository {
    fn call(&self, _: &Context) -> anyhow::Result<Call> {
        let slug = slug(&self.name);
        anyhow::ensure!(!slug.is_empty(), "`name` holds no letters or digits");
        anyhow::ensure!(self.mode.chars().all(|c| c.is_digit(8)), "`mode` is an octal number");
        if self.state == State::Absent {
            return Ok(Call::new(format!("d={} crud_deb822", quote(&slug)), &DEB822));
        }
        anyhow::ensure!(!self.uris.is_empty(), "missing required arguments: uris");
        anyhow::ensure!(!self.suites.is_empty(), "missing required arguments: suites");
        for kind in &self.types {
            anyhow::ensure!(matches!(kind.as_str(), "deb" | "deb-src"), "`types` are deb and deb-src, not `{kind}`");
        }
        let is_url = |text: &str| ["http://", "https://", "ftp://", "file://"].iter().any(|s| text.starts_with(s));
        let key = self.signed_by.as_deref().filter(|key| is_url(key));
        let (before, after) = self.text(key.is_some())?;
        let line = variables(&[("d", Some(&slug)), ("mode", Some(&self.mode)), ("key", key)]);
        let call = Call::new(format!("{line}crud_deb822 {} {}", quote(&before), quote(&after)), &DEB822);
        // The repository's text in the result names the key's file.
        Ok(call.map(move |outcome| {
            let key = outcome.values.get("key_filename").and_then(Value::as_str).unwrap_or_default().to_owned();
            outcome.values.insert("repo".into(), format!("{before}{key}{after}").into());
        }))
    }
}

impl Deb822Repository {
    /// The file's text before and after the path of a key that the host fetches (else all before).
    fn text(&self, fetched: bool) -> anyhow::Result<(String, String)> {
        let flag = |value: Option<bool>| value.map(|value| if value { "yes" } else { "no" }.to_owned());
        let list = |words: &[String]| (!words.is_empty()).then(|| words.join(" "));
        let fields = [
            ("Allow-Downgrade-To-Insecure", flag(self.allow_downgrade_to_insecure)),
            ("Allow-Insecure", flag(self.allow_insecure)),
            ("Allow-Weak", flag(self.allow_weak)),
            ("Architectures", list(&self.architectures)),
            ("By-Hash", flag(self.by_hash)),
            ("Check-Date", flag(self.check_date)),
            ("Check-Valid-Until", flag(self.check_valid_until)),
            ("Components", list(&self.components)),
            ("Date-Max-Future", self.date_max_future.map(|seconds| seconds.to_string())),
            ("Enabled", flag(self.enabled)),
            ("InRelease-Path", self.inrelease_path.clone()),
            ("Languages", list(&self.languages)),
            ("X-Repolib-Name", Some(self.name.clone())),
            ("PDiffs", flag(self.pdiffs)),
            ("Signed-By", self.signed_by.clone()),
            ("Suites", list(&self.suites)),
            ("Targets", list(&self.targets)),
            ("Trusted", flag(self.trusted)),
            ("Types", list(&self.types)),
            ("URIs", list(&self.uris)),
        ];
        let (mut before, mut after) = (String::new(), String::new());
        let mut behind = false;
        for (name, value) in fields {
            let Some(value) = value else { continue };
            let out = if behind { &mut after } else { &mut before };
            if name == "Signed-By" && fetched {
                out.push_str("Signed-By: ");
                behind = true;
                after.push('\n');
                continue;
            }
            let value = value.trim_end();
            if name == "Signed-By" && value.contains('\n') {
                // A key in the file itself: each line is indented, an empty one is a dot (deb822(5)).
                out.push_str("Signed-By:\n");
                for line in value.lines() {
                    out.push_str(&format!(" {}\n", if line.trim().is_empty() { "." } else { line.trim_end() }));
                }
                continue;
            }
            anyhow::ensure!(!value.contains('\n'), "a field of the repository is one line: {name}");
            out.push_str(&format!("{name}: {value}\n"));
        }
        Ok((before, after))
    }
}

/// The name as part of a file's name.
fn slug(name: &str) -> String {
    let mut out = String::new();
    for c in name.to_lowercase().chars() {
        match c {
            'a'..='z' | '0'..='9' | '-' => out.push(c),
            c if (c == '_' || c.is_whitespace()) && !out.ends_with('-') => out.push('-'),
            _ => {}
        }
    }
    out
}
