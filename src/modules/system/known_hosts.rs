//! `known_hosts`: the keys of servers that ssh knows.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::host::ShellFunction;
use crate::host::script::decode_base64;
use crate::modules::Context;
use crate::modules::contract::Diff;
use crate::modules::guarded::{Call, GUARD, Guarded, flag, variables};

/// Adds a server's key to ssh's `known_hosts`, or removes it. ssh-keygen of the host reads and hashes names.
///
/// ```yaml
/// - known_hosts:
///     name: git.example.org
///     key: git.example.org ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIE...
/// ```
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct KnownHosts {
    /// The server.
    #[serde(alias = "host")]
    name: String,
    /// Its line: names, kind, key.
    #[serde(default)]
    key: Option<String>,
    /// The file.
    #[serde(default = "path")]
    path: String,
    /// Keep the name as a hash.
    #[serde(default)]
    hash_host: bool,
    /// Whether the key is there.
    #[serde(default)]
    state: State,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum State {
    Absent,
    #[default]
    Present,
}

fn path() -> String {
    "~/.ssh/known_hosts".to_owned()
}

/// `n=HOST l=LINE typ=KIND b=KEY f=FILE hash=1 st=absent crud_known_hosts`.
static KNOWN_HOSTS: ShellFunction = ShellFunction {
    name: "crud_known_hosts",
    text: r#"crud_kh_put() {
kh_d=${f%/*}; [ -d "$kh_d" ] || { mkdir -p "$kh_d" && chmod 700 "$kh_d"; } || return 1
cat "$kh_t/new" >"$f.crud$$" && chmod "$(stat -c %a "$f" 2>/dev/null || echo 644)" "$f.crud$$" && { [ ! -e "$f" ] || chown "$(stat -c %u:%g "$f")" "$f.crud$$" 2>/dev/null || :; } && mv -f "$f.crud$$" "$f"; }
crud_known_hosts() {
command -v ssh-keygen >/dev/null 2>&1 || crud_fail 'the host has no ssh-keygen'
case $f in "~/"*) f=$(cd && pwd)/${f#??};; esac
[ ! -f "$f" ] || f=$(readlink -f "$f")
kh_t=$(mktemp -d /tmp/crudctl.XXXXXX) || exit 1
trap 'rm -rf "$kh_t"' 0
if [ -n "$l" ]; then
printf '%s\n' "$l" >"$kh_t/one"
case $l in @*|'|'*) ;; *) ssh-keygen -F "$n" -f "$kh_t/one" >/dev/null 2>&1 || crud_fail "Host parameter does not match hashed host field in supplied key: the key's line is not about $n";; esac
ssh-keygen -l -f "$kh_t/one" >/dev/null 2>&1 || case $l in @*) ;; *) crud_fail 'Invalid key: ssh-keygen does not understand it';; esac
fi
: >"$kh_t/hits"; [ ! -f "$f" ] || ssh-keygen -F "$n" -f "$f" 2>/dev/null >"$kh_t/found"
[ ! -f "$kh_t/found" ] || sed -n 's/^# Host .* found: line \([0-9]*\).*/\1/p' "$kh_t/found" >"$kh_t/hits"
kh_in=/dev/null; [ ! -f "$f" ] || kh_in=$f
kh_l=$l; if [ -n "$hash" ] && [ -n "$l" ]; then ssh-keygen -H -f "$kh_t/one" >/dev/null 2>&1 || crud_fail 'ssh-keygen could not hash the name'; kh_l=$(head -n 1 "$kh_t/one"); fi
export kh_l hash typ b st mk
awk '
BEGIN { l=ENVIRON["kh_l"]; del=ENVIRON["st"]=="absent"; t=ENVIRON["typ"]; b=ENVIRON["b"]; hash=ENVIRON["hash"]!=""; mk=ENVIRON["mk"] }
FILENAME==ARGV[1] { hit[$1]=1; next }
FNR in hit {
i=1; m=""; if ($1 ~ /^@/) { i=2; m=$1 }
if ((!del || t!="") && m!=mk) { print; next }
hashed=($i ~ /^\|1\|/)
if (del) { if (t=="" || ($(i+1)==t && $(i+2)==b)) next; print; next }
if ($(i+1)!=t || (mk!="" && $(i+2)!=b)) { print; next }
if ($(i+2)==b && hashed==hash && !done) { print; done=1; next }
next }
{ print }
END { if (!del && !done) print l }' "$kh_t/hits" "$kh_in" >"$kh_t/new" || exit 1
crud_say file "$f"; crud_say before "$(base64 <"$kh_in" | tr -d '\n')"; crud_say after "$(base64 <"$kh_t/new" | tr -d '\n')"
cmp -s "$kh_t/new" "$kh_in" || crud_do crud_kh_put; }"#,
    needs: &[&GUARD],
};

impl Guarded for KnownHosts {
    fn call(&self, _: &Context) -> anyhow::Result<Call> {
        let absent = self.state == State::Absent;
        anyhow::ensure!(!self.name.is_empty() && !self.name.starts_with('-'), "`name` is not the name of a server");
        anyhow::ensure!(
            !self.name.contains(','),
            "Comma separated list of names is not supported. Please pass a single name to lookup in the known_hosts file."
        );
        anyhow::ensure!(absent || self.key.is_some(), "No key specified when adding a host");
        let key = self.key.as_deref().map(str::trim).filter(|key| !key.is_empty());
        let words: Vec<&str> = key.unwrap_or_default().split_whitespace().collect();
        let from = usize::from(words.first().is_some_and(|word| word.starts_with('@')));
        if key.is_some() {
            anyhow::ensure!(
                words.len() >= from + 3 && !key.unwrap_or_default().contains('\n'),
                "Invalid key: it has to be one line of names, kind and key"
            );
        }
        let word = |at: usize| words.get(from + at).copied();
        let line = variables(&[
            ("n", Some(&self.name)),
            ("l", key),
            ("typ", word(1)),
            ("b", word(2)),
            ("mk", words.first().copied().filter(|_| from == 1)),
            ("f", Some(&self.path)),
            ("hash", flag(self.hash_host)),
            ("st", absent.then_some("absent")),
        ]);
        let mut values: Map<String, Value> = Map::new();
        for (name, value) in [
            ("name", json!(self.name)),
            ("key", json!(self.key)),
            ("path", json!(self.path)),
            ("hash_host", json!(self.hash_host)),
            ("state", json!(if absent { "absent" } else { "present" })),
        ] {
            values.insert(name.into(), value);
        }
        let call = Call::new(format!("{line}crud_known_hosts"), &KNOWN_HOSTS).finish(|said| {
            let mut outcome = said.outcome();
            let mut take = |name: &str| outcome.values.shift_remove(name);
            let (file, before, after) = (take("file"), take("before"), take("after"));
            let plain = |value: Option<Value>| {
                let text = value.and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default();
                String::from_utf8_lossy(&decode_base64(&text).unwrap_or_default()).into_owned()
            };
            let Some(file) = file.as_ref().and_then(Value::as_str).filter(|_| before.is_some() || after.is_some())
            else {
                return outcome;
            };
            outcome.diff(Diff {
                before_header: file.to_owned(),
                after_header: file.to_owned(),
                before: plain(before),
                after: plain(after),
            })
        });
        Ok(call.values(values))
    }
}
