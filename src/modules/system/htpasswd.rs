//! `htpasswd`: files of users and passwords of web servers.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::host::ShellFunction;
use crate::modules::Context;
use crate::modules::guarded::{Call, GUARD, Guarded, refuse, variables, yes};

/// Adds a user with a password to a file for a web server's basic authentication, or removes one.
///
/// The host's openssl makes and compares the hashes (`apr_md5_crypt`, `sha256_crypt`, `sha512_crypt`, `plaintext`).
///
/// ```yaml
/// - htpasswd:
///     path: /etc/nginx/passwd
///     name: ops
///     password: "{{ ops_password }}"
///     mode: "0640"
/// ```
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Htpasswd {
    /// The file.
    #[serde(alias = "dest", alias = "destfile")]
    path: String,
    /// The user.
    #[serde(alias = "username")]
    name: String,
    /// The password.
    #[serde(default)]
    password: Option<String>,
    /// How the password is kept.
    #[serde(default, alias = "crypt_scheme")]
    hash_scheme: Scheme,
    /// Whether the user is there.
    #[serde(default)]
    state: State,
    /// Make the file where it is missing.
    #[serde(default = "yes")]
    create: bool,
    /// The file's owner.
    #[serde(default)]
    owner: Option<String>,
    /// Its group.
    #[serde(default)]
    group: Option<String>,
    /// Its mode.
    #[serde(default)]
    mode: Option<String>,
    /// Not supported.
    #[serde(default)]
    attributes: Option<String>,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Scheme {
    #[default]
    #[serde(alias = "apr1")]
    AprMd5Crypt,
    Plaintext,
    Sha256Crypt,
    Sha512Crypt,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum State {
    Absent,
    #[default]
    Present,
}

/// `f=FILE n=NAME alg=1|5|6|apr1|plain … crud_htpasswd`; the password is in `$crud_pw`.
static HTPASSWD: ShellFunction = ShellFunction {
    name: "crud_htpasswd",
    text: r#"crud_ht_hash() { [ "$alg" = plain ] && { printf '%s\n' "$crud_pw"; return; }; printf '%s\n' "$crud_pw" | openssl passwd "-$alg" ${1:+-salt "$1"} -stdin; }
crud_ht_same() { [ -n "$1" ] || return 1
case $1 in "\$apr1\$"*) ht_a=apr1;; "\$5\$"*) ht_a=5;; "\$6\$"*) ht_a=6;; *) [ "$1" = "$crud_pw" ]; return;; esac
ht_salt=${1#?*\$*}; ht_salt=${1#\$*\$}; ht_salt=${ht_salt%%\$*}
[ "$(printf '%s\n' "$crud_pw" | openssl passwd "-$ht_a" -salt "$ht_salt" -stdin)" = "$1" ]; }
crud_ht_put() {
[ -z "$1" ] || { ht_h=$(crud_ht_hash) && [ -n "$ht_h" ] || return 1; }
ht_in=/dev/null; [ ! -f "$f" ] || ht_in=$f
ht_m=$(umask); umask 077
n=$n ht_h=$ht_h ht_d=$1 awk -F: 'BEGIN { n=ENVIRON["n"]; h=ENVIRON["ht_h"]; put=ENVIRON["ht_d"]!="" } $1==n { if (put && !done) { print n ":" h; done=1 } next } { print } END { if (put && !done) print n ":" h }' "$ht_in" >"$f.crud$$" || return 1
umask "$ht_m"
chmod "$(stat -c %a "$f" 2>/dev/null || echo 644)" "$f.crud$$" && { [ ! -e "$f" ] || chown "$(stat -c %u:%g "$f")" "$f.crud$$"; } && mv -f "$f.crud$$" "$f"; }
crud_htpasswd() {
ht_l=; ht_now=; [ ! -f "$f" ] || ht_l=$(n=$n awk -F: '$1==ENVIRON["n"] {print; exit}' "$f"); ht_now=${ht_l#*:}
if [ "$st" = absent ]; then [ -f "$f" ] || return 0; [ -z "$ht_l" ] || crud_do crud_ht_put ''
else
[ "$alg" = plain ] || command -v openssl >/dev/null 2>&1 || crud_fail 'the host has no openssl, which makes the hashes'
[ -f "$f" ] || [ -z "$nocreate" ] || crud_fail "Destination $f does not exist"
crud_ht_same "$ht_now" || crud_do crud_ht_put 1
fi
[ -e "$f" ] || return 0
[ -z "$own" ] || [ "$(stat -c %U "$f")" = "$own" ] || [ "$(stat -c %u "$f")" = "$own" ] || crud_do chown -- "$own" "$f"
[ -z "$grp" ] || [ "$(stat -c %G "$f")" = "$grp" ] || [ "$(stat -c %g "$f")" = "$grp" ] || crud_do chgrp -- "$grp" "$f"
[ -z "$mode" ] || [ "$((0$(stat -c %a "$f")))" = "$((0$mode))" ] || crud_do chmod "$mode" "$f"; }"#,
    needs: &[&GUARD],
};

impl Guarded for Htpasswd {
    fn call(&self, _: &Context) -> anyhow::Result<Call> {
        refuse("htpasswd", &[("attributes", self.attributes.is_some())], "use `command: chattr`")?;
        let absent = self.state == State::Absent;
        anyhow::ensure!(!self.name.is_empty() && !self.name.contains([':', '\n']), "`name` can't hold a colon");
        anyhow::ensure!(absent || self.password.is_some(), "missing required arguments: password");
        let mode = self.mode.as_deref();
        anyhow::ensure!(mode.is_none_or(|m| m.chars().all(|c| c.is_digit(8))), "`mode` is an octal number");
        let algorithm = match self.hash_scheme {
            Scheme::AprMd5Crypt => "apr1",
            Scheme::Plaintext => "plain",
            Scheme::Sha256Crypt => "5",
            Scheme::Sha512Crypt => "6",
        };
        let line = variables(&[
            ("f", Some(&self.path)),
            ("n", Some(&self.name)),
            ("alg", Some(algorithm)),
            ("st", absent.then_some("absent")),
            ("nocreate", (!self.create).then_some("1")),
            ("own", self.owner.as_deref()),
            ("grp", self.group.as_deref()),
            ("mode", mode),
        ]);
        let call = Call::new(format!("{line}crud_htpasswd"), &HTPASSWD);
        Ok(match &self.password {
            Some(password) if !absent => call.secret("crud_pw", password),
            _ => call,
        })
    }
}
