//! `sysctl`: settings of the kernel.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::host::ShellFunction;
use crate::modules::Context;
use crate::modules::guarded::{Call, GUARD, Guarded, flag, variables, yes};

/// Writes a setting of the kernel to a file of sysctl, and makes it hold now.
///
/// ```yaml
/// - sysctl:
///     name: net.ipv4.ip_forward
///     value: "1"
///     sysctl_file: /etc/sysctl.d/90-forward.conf
/// ```
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[expect(clippy::struct_field_names, reason = "the parameters are Ansible's")]
pub(super) struct Sysctl {
    /// The setting.
    #[serde(alias = "key")]
    name: String,
    /// Its value.
    #[serde(default, alias = "val")]
    value: Option<String>,
    /// Whether the file has it.
    #[serde(default)]
    state: State,
    /// Let sysctl pass over settings that the kernel doesn't know.
    #[serde(default)]
    ignoreerrors: bool,
    /// Let sysctl read the file after it changed.
    #[serde(default = "yes")]
    reload: bool,
    /// The file.
    #[serde(default = "file")]
    sysctl_file: String,
    /// Look at the running kernel too, and set it.
    #[serde(default)]
    sysctl_set: bool,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum State {
    Absent,
    #[default]
    Present,
}

fn file() -> String {
    "/etc/sysctl.conf".to_owned()
}

/// `k=NAME v=VALUE f=FILE set=1 rel=1 ign=1 st=absent crud_sysctl`.
static SYSCTL: ShellFunction = ShellFunction {
    name: "crud_sysctl",
    text: r#"crud_sc_awk='
function key(s) { sub(/=.*/,"",s); gsub(/[ \t]/,"",s); gsub(/\//,".",s); sub(/^-/,"",s); return s }
BEGIN { k=ENVIRON["k"]; v=ENVIRON["v"]; del=ENVIRON["sc_del"]!=""; kk=k; gsub(/\//,".",kk) }
/^[ \t]*[#;]/ || !/=/ { print; next }
key($0)==kk { if (del || done) next; done=1; s=$0; sub(/^[^=]*=[ \t]*/,"",s); sub(/[ \t]+$/,"",s); if (s==v) print; else print k "=" v; next }
{ print }
END { if (!del && !done) print k "=" v }'
crud_sc_put() { printf '%s' "$sc_new" >"$f.crud$$" && { [ ! -e "$f" ] || chmod "$(stat -c %a "$f")" "$f.crud$$"; } && mv -f "$f.crud$$" "$f"; }
crud_sc_set() { sc_o=$(sysctl ${ign:+-e} -w "$k=$v" 2>&1) || { printf '%s\n' "$sc_o" >&2; return 1; }; }
crud_sc_load() { sc_o=$(sysctl ${ign:+-e} -p "$f" 2>&1) || { printf '%s\n' "$sc_o" >&2; [ -n "$ign" ]; }; }
crud_sysctl() {
export k v; sc_del=; [ "$st" != absent ] || sc_del=1; export sc_del
sc_in=/dev/null; [ ! -f "$f" ] || sc_in=$f
sc_new=$(awk "$crud_sc_awk" "$sc_in"; echo x); sc_new=${sc_new%x}
sc_old=$(cat "$sc_in"; echo x); sc_old=${sc_old%x}
if [ -n "$set" ] && [ -z "$sc_del" ]; then
sc_now=$(sysctl -n "$k" 2>/dev/null | tr -s '\t ' ' ')
[ "$sc_now" = "$(printf %s "$v" | tr -s '\t ' ' ')" ] || crud_do crud_sc_set
fi
if [ "$sc_new" != "$sc_old" ]; then crud_do crud_sc_put; [ -z "$rel" ] || crud_do crud_sc_load; fi; }"#,
    needs: &[&GUARD],
};

impl Guarded for Sysctl {
    fn call(&self, _: &Context) -> anyhow::Result<Call> {
        let absent = self.state == State::Absent;
        let good = |c: char| c.is_ascii_alphanumeric() || "._-/:".contains(c);
        anyhow::ensure!(
            !self.name.is_empty() && self.name.chars().all(good),
            "`{}` is not the name of a setting",
            self.name
        );
        anyhow::ensure!(absent || self.value.is_some(), "value must be specified for a setting that is present");
        // Booleans of YAML stand for the kernel's numbers.
        let value = self.value.as_deref().map(|value| match value.trim().to_ascii_lowercase().as_str() {
            "yes" | "true" | "on" => "1".to_owned(),
            "no" | "false" | "off" => "0".to_owned(),
            _ => value.trim().to_owned(),
        });
        anyhow::ensure!(!value.as_deref().unwrap_or_default().contains('\n'), "`value` is one line");
        let line = variables(&[
            ("k", Some(&self.name)),
            ("v", value.as_deref()),
            ("f", Some(&self.sysctl_file)),
            ("set", flag(self.sysctl_set)),
            ("rel", flag(self.reload)),
            ("ign", flag(self.ignoreerrors)),
            ("st", absent.then_some("absent")),
        ]);
        Ok(Call::new(format!("{line}crud_sysctl"), &SYSCTL))
    }
}
