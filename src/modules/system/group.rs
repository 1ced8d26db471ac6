//! `group`: groups of users.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::host::ShellFunction;
use crate::modules::Context;
use crate::modules::guarded::{Call, GUARD, Guarded, flag, variables};

/// Creates, changes and removes groups.
///
/// ```yaml
/// - group:
///     name: web
///     gid: 1500
/// ```
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[expect(clippy::struct_excessive_bools, reason = "the parameters are Ansible's")]
pub(super) struct Group {
    /// The group.
    name: String,
    /// Its number.
    #[serde(default)]
    gid: Option<u32>,
    /// Whether it exists.
    #[serde(default)]
    state: State,
    /// A system group (when it is created).
    #[serde(default)]
    system: bool,
    /// Look at `/etc/group` alone, not at other databases of the host.
    #[serde(default)]
    local: bool,
    /// The number may belong to another group too; needs `gid`.
    #[serde(default)]
    non_unique: bool,
    /// Remove it even where it is a user's primary group.
    #[serde(default)]
    force: bool,
    /// The smallest number to choose.
    #[serde(default)]
    gid_min: Option<u32>,
    /// The largest number to choose.
    #[serde(default)]
    gid_max: Option<u32>,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum State {
    Absent,
    #[default]
    Present,
}

/// `crud_entry FILE NAME`: the line of a name in `passwd`, `group` or `shadow`; in the host's files alone where `$local` is set.
pub(super) static ENTRY: ShellFunction = ShellFunction {
    name: "crud_entry",
    text: r#"crud_entry() { if [ -z "$local" ] && command -v getent >/dev/null 2>&1; then getent "$1" -- "$2" 2>/dev/null | head -n 1
else ce_n=$2 awk -F: '$1==ENVIRON["ce_n"] {print; exit}' "/etc/$1" 2>/dev/null; fi; }"#,
    needs: &[],
};

static GROUP: ShellFunction = ShellFunction {
    name: "crud_group",
    text: r#"crud_group() {
gr_e=$(crud_entry group "$n"); gr_g=${gr_e#*:*:}; gr_g=${gr_g%%:*}
if [ "$1" = absent ]; then [ -z "$gr_e" ] || crud_do groupdel ${force:+-f} -- "$n"; return; fi
if [ -z "$gr_e" ]; then
set --; [ -z "$gid" ] || set -- "$@" -g "$gid"; [ -z "$nu" ] || set -- "$@" -o; [ -z "$sys" ] || set -- "$@" -r
[ -z "$min" ] || set -- "$@" -K "GID_MIN=$min"; [ -z "$max" ] || set -- "$@" -K "GID_MAX=$max"
crud_do groupadd "$@" -- "$n"
[ "$do" != 1 ] || { gr_e=$(crud_entry group "$n"); gr_g=${gr_e#*:*:}; gr_g=${gr_g%%:*}; }
elif [ -n "$gid" ] && [ "$gid" != "$gr_g" ]; then crud_do groupmod -g "$gid" ${nu:+-o} -- "$n"; gr_g=$gid
fi
[ -z "$gr_g" ] || crud_num gid "$gr_g"; }"#,
    needs: &[&ENTRY, &GUARD],
};

impl Guarded for Group {
    fn call(&self, _: &Context) -> anyhow::Result<Call> {
        anyhow::ensure!(!self.name.is_empty(), "`name` is empty");
        anyhow::ensure!(!self.non_unique || self.gid.is_some(), "non_unique needs `gid`");
        let (state, absent) = match self.state {
            State::Absent => ("absent", true),
            State::Present => ("present", false),
        };
        anyhow::ensure!(
            !self.local || (self.gid_min.is_none() && self.gid_max.is_none()),
            "`gid_min` and `gid_max` can't be used with `local`"
        );
        let text = |number: Option<u32>| number.map(|number| number.to_string());
        let (gid, min, max) = (text(self.gid), text(self.gid_min), text(self.gid_max));
        let line = variables(&[
            ("n", Some(&self.name)),
            ("gid", gid.as_deref()),
            ("nu", flag(self.non_unique)),
            ("sys", flag(self.system)),
            ("local", flag(self.local)),
            ("force", flag(self.force)),
            ("min", min.as_deref()),
            ("max", max.as_deref()),
        ]);
        let mut values: Map<String, Value> = Map::new();
        values.insert("name".into(), json!(self.name));
        values.insert("state".into(), json!(state));
        if !absent {
            values.insert("system".into(), json!(self.system));
        }
        Ok(Call::new(format!("{line}crud_group{}", if absent { " absent" } else { "" }), &GROUP).values(values))
    }
}
