//! `authorized_key`: the public keys that may log in to an account.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::group::ENTRY;
use crate::host::ShellFunction;
use crate::host::script::quote;
use crate::modules::Context;
use crate::modules::guarded::{Call, GUARD, Guarded, flag, variables, yes};
use crate::modules::packages::FETCH;

/// Adds public keys to an account's `authorized_keys`, or removes them.
///
/// A key is the one that the file has if type and key are the same; options and comment are made what the task says.
///
/// ```yaml
/// - authorized_key:
///     user: deploy
///     key: "{{ lookup('file', 'keys/alice.pub') }}"
/// ```
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[expect(clippy::struct_excessive_bools, reason = "the parameters are Ansible's")]
pub(super) struct AuthorizedKey {
    /// The account.
    user: String,
    /// Keys, one a line, or a URL of such lines that the host fetches.
    key: String,
    /// The file; `.ssh/authorized_keys` in the account's home directory.
    #[serde(default)]
    path: Option<String>,
    /// Make the file's directory and set its owner and mode.
    #[serde(default = "yes")]
    manage_dir: bool,
    /// Whether the keys are there.
    #[serde(default)]
    state: State,
    /// Options before the key, in place of those that it has.
    #[serde(default)]
    key_options: Option<String>,
    /// Remove all other keys.
    #[serde(default)]
    exclusive: bool,
    /// Check the certificate of the URL's server; switching it off is not supported.
    #[serde(default = "yes")]
    validate_certs: bool,
    /// The comment behind the key, in place of the one that it has.
    #[serde(default)]
    comment: Option<String>,
    /// Write through a symbolic link instead of replacing it.
    #[serde(default)]
    follow: bool,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum State {
    Absent,
    #[default]
    Present,
}

/// `n=USER f=FILE … crud_authorized_key TEXT|-u URL`.
static AUTHORIZED_KEY: ShellFunction = ShellFunction {
    name: "crud_authorized_key",
    text: r#"crud_ak_awk='
function parse(s,  i,k,f) {
k=split(s,f," "); T=""
for(i=1;i<k;i++) if (f[i] ~ /^(ssh-(rsa|dss|ed25519)|ecdsa-sha2-nistp(256|384|521)|sk-(ssh-ed25519|ecdsa-sha2-nistp256)@openssh\.com|(ssh-(rsa|dss|ed25519)|ecdsa-sha2-nistp(256|384|521))-cert-v01@openssh\.com)$/) {T=f[i]; break}
if (T=="") return 0
B=f[i+1]; O=""; C=""
for(k1=1;k1<i;k1++) O=O (O==""?"":" ") f[k1]
for(k1=i+2;k1<=k;k1++) C=C (C==""?"":" ") f[k1]
return 1 }
FILENAME==ENVIRON["ak_w"] {
if ($0 ~ /^[ \t\r]*(#|$)/) next
sub(/\r$/,""); if (!parse($0)) {print "invalid key specified: " $0 >"/dev/stderr"; bad=1; exit 3}
if ("ak_o" in ENVIRON) O=ENVIRON["ak_o"]; if ("ak_c" in ENVIRON) C=ENVIRON["ak_c"]
id=T " " B; if (!(id in want)) order[++nw]=id
want[id]=(O==""?"":O " ") id (C==""?"":" " C); next }
{ if ($0 !~ /^[ \t]*#/ && parse($0)) {
id=T " " B
if (id in want) { if (ENVIRON["ak_s"]=="absent" || (id in seen)) next; print want[id]; seen[id]=1; next }
if (ENVIRON["ak_x"]!="") next }
print }
END { if (bad) exit 3; if (ENVIRON["ak_s"]!="absent") for(i=1;i<=nw;i++) if (!(order[i] in seen)) print want[order[i]] }'
crud_ak_write() {
[ -z "$dir" ] || { [ -d "$ak_d" ] || mkdir -p -- "$ak_d" && chown "$ak_own" "$ak_d" && chmod 700 "$ak_d"; } || return 1
ak_m=600; if [ -e "$ak_f" ]; then ak_m=$(stat -c %a -- "$ak_f"); fi
cp -- "$ak_t/new" "$ak_f.crud$$" && chown "$ak_own" "$ak_f.crud$$" && chmod "$ak_m" "$ak_f.crud$$" && mv -f -- "$ak_f.crud$$" "$ak_f"; }
crud_authorized_key() {
ak_e=$(crud_entry passwd "$n"); [ -n "$ak_e" ] || { [ -n "$f" ] && [ -z "$dir" ] && [ "$do" = c ] || crud_fail "failed to look up user $n: there is no such account"; }
ak_h=${ak_e%:*}; ak_h=${ak_h##*:}; ak_g=${ak_e#*:*:}; ak_own=${ak_g%%:*}; ak_g=${ak_g#*:}; ak_own=$ak_own:${ak_g%%:*}
ak_f=${f:-$ak_h/.ssh/authorized_keys}
[ -z "$follow" ] || ak_f=$(readlink -f -- "$ak_f")
ak_d=${ak_f%/*}
ak_t=$(mktemp -d /tmp/crudctl.XXXXXX) || exit 1
trap 'rm -rf "$ak_t"' 0
ak_w=$ak_t/want
if [ "$1" = -u ]; then crud_fetch "$2" "$ak_w" || crud_fail "can't fetch the keys from $2"; else printf '%s\n' "$1" >"$ak_w"; fi
[ -s "$ak_w" ] || crud_fail 'there is no key'
export ak_w; ak_old=/dev/null; [ ! -f "$ak_f" ] || ak_old=$ak_f
awk "$crud_ak_awk" "$ak_w" "$ak_old" >"$ak_t/new" || exit 1
crud_say keyfile "$ak_f"
cmp -s "$ak_t/new" "$ak_old" || { [ ! -s "$ak_t/new" ] && [ ! -e "$ak_f" ]; } || crud_do crud_ak_write
if [ -n "$dir" ] && [ -z "$st" ] && [ -d "$ak_d" ] && [ "$(stat -c %u:%g:%a "$ak_d")" != "$ak_own:700" ]; then crud_do chown "$ak_own" "$ak_d"; crud_do chmod 700 "$ak_d"; fi; }"#,
    needs: &[&ENTRY, &FETCH, &GUARD],
};

impl Guarded for AuthorizedKey {
    fn call(&self, _: &Context) -> anyhow::Result<Call> {
        anyhow::ensure!(
            self.validate_certs,
            "`validate_certs: false` isn't supported: the host's own client fetches the URL"
        );
        anyhow::ensure!(!self.user.is_empty(), "`user` is empty");
        let absent = self.state == State::Absent;
        let (mut key, mut exports) = (quote(self.key.trim_end()), String::new());
        if ["http://", "https://", "ftp://", "file://"].iter().any(|scheme| self.key.starts_with(scheme)) {
            key = format!("-u {}", quote(self.key.trim()));
        } else {
            let keys = self.key.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
            for line in keys {
                anyhow::ensure!(line.split_whitespace().count() >= 2, "invalid key specified: {line}");
            }
        }
        for (name, value) in [
            ("ak_o", self.key_options.as_deref()),
            ("ak_c", self.comment.as_deref()),
            ("ak_s", absent.then_some("absent")),
            ("ak_x", flag(self.exclusive)),
        ] {
            if let Some(value) = value {
                anyhow::ensure!(!value.contains('\n'), "options and comments are one line");
                exports.push_str(&format!("export {name}={}\n", quote(value)));
            }
        }
        let line = variables(&[
            ("n", Some(&self.user)),
            ("f", self.path.as_deref()),
            ("dir", flag(self.manage_dir)),
            ("follow", flag(self.follow)),
            ("st", absent.then_some("absent")),
        ]);
        let mut values: Map<String, Value> = Map::new();
        for (name, value) in [
            ("user", json!(self.user)),
            ("key", json!(self.key)),
            ("key_options", json!(self.key_options)),
            ("path", json!(self.path)),
            ("manage_dir", json!(self.manage_dir)),
            ("state", json!(if absent { "absent" } else { "present" })),
            ("exclusive", json!(self.exclusive)),
            ("comment", json!(self.comment)),
            ("follow", json!(self.follow)),
            ("validate_certs", json!(self.validate_certs)),
            ("unique", json!(false)),
        ] {
            values.insert(name.into(), value);
        }
        Ok(Call::new(format!("{exports}{line}crud_authorized_key {key}"), &AUTHORIZED_KEY).values(values))
    }
}
