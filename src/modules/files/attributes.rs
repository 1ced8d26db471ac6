//! Owner, group and mode: parameters that all modules of files share, and the shell functions that see to them.

use schemars::JsonSchema;
use serde::de::{self, Deserializer, Visitor};
use serde::{Deserialize, Serialize};

use crate::host::ShellFunction;
use crate::modules::guarded::GUARD;

/// A mode: a number (as YAML reads `0644`), octal digits, or symbols (`u=rw,g=r`).
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(transparent)]
pub(super) struct Mode(String);

impl Mode {
    /// As `chmod` takes it.
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

impl<'de> Deserialize<'de> for Mode {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ModeVisitor;
        impl Visitor<'_> for ModeVisitor {
            type Value = Mode;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a mode (0644, '0644' or u=rw,g=r)")
            }

            fn visit_i64<E: de::Error>(self, number: i64) -> Result<Mode, E> {
                if (0..=0o7777).contains(&number) {
                    Ok(Mode(format!("{number:04o}")))
                } else {
                    Err(E::custom(format!("`{number}` is no mode: write it with a leading zero, or in quotes")))
                }
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Mode, E> {
                let octal = !text.is_empty() && text.len() <= 5 && text.bytes().all(|b| (b'0'..=b'7').contains(&b));
                let symbolic = |part: &str| {
                    let at = part.find(['=', '+', '-']);
                    at.is_some_and(|at| {
                        part[..at].bytes().all(|b| b"ugoa".contains(&b))
                            && part[at..].bytes().all(|b| b"=+-rwxXstugo".contains(&b))
                    })
                };
                let template = text.contains("{{") || text.contains("{%");
                if octal || template || text == "preserve" || text.split(',').all(symbolic) {
                    Ok(Mode(text.to_owned()))
                } else {
                    Err(E::custom(format!("bad symbolic permission for mode: {text}")))
                }
            }
        }
        deserializer.deserialize_any(ModeVisitor)
    }
}

/// `crud_attrs PATH OWNER GROUP MODE [-h]`: makes them so; empty ones are left alone. What does not exist (in a check) is passed over.
/// `crud_what NAME PATH` tells what is there; it asks `stat` no second time where nothing was changed since `crud_attrs` did.
pub(super) static ATTRS: ShellFunction = ShellFunction {
    name: "crud_attrs",
    text: r#"crud_attrs() {
[ -e "$1" ] || [ -L "$1" ] || return 0
ca_p=$1; ca_h=$5; ca_l=-L; [ -z "$5" ] || ca_l=
ca_s=$(stat $ca_l -c '%u %g %U %G %a %s %F' -- "$1") || crud_fail "can't stat $1"
[ -n "$ca_l" ] && [ -L "$1" ] || { cw_p=$1; cw_s=$ca_s; }
set -- "$2" "$3" "$4" $ca_s; ca_c=
[ -z "$1" ] || [ "$1" = "$4" ] || [ "$1" = "$6" ] || { ca_c=1; crud_do crud_own chown "$1"; }
[ -z "$2" ] || [ "$2" = "$5" ] || [ "$2" = "$7" ] || { ca_c=1; crud_do crud_own chgrp "$2"; }
[ -n "$3" ] && [ -z "$ca_h" ] || return 0
ca_m=$3; case $3 in *[!0-7]*) ca_m=$(crud_symbolic "$8" "$3" "$ca_p");; esac
while :; do case $ca_m in 0?*) ca_m=${ca_m#0};; *) break;; esac; done
if [ "$ca_m" != "$8" ]; then crud_do chmod "$ca_m" -- "$ca_p"; elif [ -n "$ca_c" ] && [ "$do" = 1 ]; then chmod "$ca_m" -- "$ca_p"; fi; }
crud_own() { ca_e=$("$1" $ca_h -- "$2" "$ca_p" 2>&1) || crud_fail "$1 failed: $ca_e"; }
crud_symbolic() {
if [ -d "$3" ]; then cs_t=$(mktemp -d /tmp/crudctl.XXXXXX); else cs_t=$(mktemp /tmp/crudctl.XXXXXX); fi
chmod "$1" "$cs_t" && chmod "$2" "$cs_t" && stat -c %a "$cs_t"; rm -rf "$cs_t"; }
crud_what() {
crud_say "$1" "$2"
if [ -e "$2" ] || [ -L "$2" ]; then
if [ "$cw_p" != "$2" ] || { [ "$do" = 1 ] && [ -n "$crud_ch" ]; }; then cw_s=$(stat -c '%u %g %U %G %a %s %F' -- "$2"); fi
set -- $cw_s; cw_m=000$5
crud_num uid "$1"; crud_num gid "$2"; crud_say owner "$3"; crud_say group "$4"; crud_say mode "${cw_m#"${cw_m%????}"}"; crud_num size "$6"
case $7 in directory) crud_say state directory;; symbolic) crud_say state link;; *) crud_say state file;; esac
fi; }"#,
    needs: &[&GUARD],
};

/// `crud_put`: makes a file's content so. `p` its path, `h` the SHA-1 of what it should hold, `c` a file with that, or `ct` it itself (in an apply),
/// `bn` a name for it in `p` where that is a directory, `force=no` only where it is missing, `bk` keep the old one, `va` a command that
/// must accept it, `fol` write through a link, `o g m` its owner, group and mode.
pub(super) static PUT: ShellFunction = ShellFunction {
    name: "crud_put",
    text: r#"crud_put() {
case $p in */) [ -n "$bn" ] && { [ -d "$p" ] || crud_do mkdir -p -- "$p"; p=${p%/}/$bn; };; esac
[ -z "$bn" ] || [ ! -d "$p" ] || p=${p%/}/$bn
[ -z "$fol" ] || [ ! -L "$p" ] || p=$(readlink -f -- "$p")
[ ! -d "$p" ] || crud_fail "can not use content with a dir as dest: $p is a directory"
case $p in */*) cp_d=${p%/*};; *) cp_d=.;; esac
[ -n "$cp_d" ] || cp_d=/
[ -d "$cp_d" ] || [ "$do" != 1 ] || crud_fail "Destination directory $cp_d does not exist"
cp_h=; [ ! -f "$p" ] || cp_h=$(sha1sum <"$p") || crud_fail "can't read $p"
cp_h=${cp_h%% *}
if [ "$cp_h" != "$h" ] && { [ "$force" != no ] || [ ! -e "$p" ]; }; then crud_do crud_put_write; fi
crud_attrs "$p" "$o" "$g" "$m"
crud_say checksum "$h"; crud_what dest "$p"; }
crud_put_write() {
cp_u=$(umask); cp_t=$cp_d/.crud$$.${p##*/}
(umask 077; set -C; if [ -n "$ct" ]; then printf %s "$ct" >"$cp_t"; else cat "${c:-/dev/null}" >"$cp_t"; fi) || { rm -f -- "$cp_t"; crud_fail "can't write to $cp_d (is the disk full, or read-only?)"; }
[ -n "$ct" ] || [ -s "$c" ] && [ ! -s "$cp_t" ] && { rm -f -- "$cp_t"; crud_fail "can't write to $cp_d"; }
if [ -e "$p" ]; then chmod "$(stat -c %a -- "$p")" "$cp_t"; chown "$(stat -c %u:%g -- "$p")" "$cp_t" 2>/dev/null
else chmod "$(printf %o $((0666 & ~cp_u)))" "$cp_t"; fi
crud_attrs "$cp_t" "$o" "$g" "$m"
if [ -n "$va" ]; then cp_v=$(crud_validate 2>&1) || { cp_s=$?; rm -f -- "$cp_t"; crud_fail "failed to validate: rc:$cp_s error:$cp_v"; }; fi
if [ -n "$bk" ] && [ -e "$p" ]; then cp_b=$p.$$.$(date +%Y-%m-%d@%H:%M:%S)~; cp -p -- "$p" "$cp_b" || crud_fail "can't keep a copy of $p"; crud_say backup_file "$cp_b"; fi
mv -f -- "$cp_t" "$p" || { rm -f -- "$cp_t"; crud_fail "can't replace $p"; }; }
crud_validate() { cv_a=${va%%%s*}; cv_b=${va#*%s}; cv_q=$(printf %s "$cp_t" | sed "s/'/'\\\\''/g"); eval "$cv_a'$cv_q'$cv_b"; }"#,
    needs: &[&ATTRS],
};
