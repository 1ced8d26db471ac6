//! The shell function of `user`.

use super::group::ENTRY;
use crate::host::ShellFunction;
use crate::modules::guarded::GUARD;

/// `n=NAME uid=… crud_user`, or `crud_user absent`. `$crud_pw` is the hash of the password, `$crud_kp` the passphrase of the key.
pub(super) static USER: ShellFunction = ShellFunction {
    name: "crud_user",
    text: r#"crud_us_pw() { command -v chpasswd >/dev/null 2>&1 || crud_fail 'the host has no chpasswd'; printf '%s:%s\n' "$n" "$crud_pw" | chpasswd -e; }
crud_us_home() {
[ -d "${us_home%/*}" ] || mkdir -p -- "${us_home%/*}" || return 1
us_d=${skel:-/etc/skel}
if [ -d "$us_d" ]; then cp -R -- "$us_d" "$us_home"; else mkdir -- "$us_home"; fi || return 1
us_m=${um:-$(awk '$1=="HOME_MODE" {h=$2} $1=="UMASK" {u=$2} END {print h ? "m" h : u}' /etc/login.defs 2>/dev/null)}
case $us_m in m*) us_m=${us_m#m};; *) us_m=$(printf %o $((0777 & ~0${us_m:-022})));; esac
chmod "$us_m" "$us_home" && chown -R "$us_uid:$us_gid" "$us_home"; }
crud_us_key() {
us_o=$(crud_us_keygen 2>&1) || { printf '%s\n' "$us_o" >&2; return 1; }; }
crud_us_keygen() {
us_d=${us_kf%/*}
[ -d "$us_d" ] || { mkdir -p -- "$us_d" && chmod 700 "$us_d" && chown "$us_uid:$us_gid" "$us_d"; } || return 1
us_c=${kc:-"ansible-generated on $(hostname)"}
if [ -n "$crud_kp" ]; then
us_a=$(mktemp) && printf '#!/bin/sh\nprintf "%%s\\n" "$crud_kp"\n' >"$us_a" && chmod 700 "$us_a" || return 1
export crud_kp; SSH_ASKPASS_REQUIRE=force SSH_ASKPASS=$us_a DISPLAY=:0 ssh-keygen -q -t "$kt" ${kb:+-b "$kb"} -C "$us_c" -f "$us_kf" </dev/null; us_r=$?
rm -f "$us_a"; [ $us_r -eq 0 ] || return 1
else ssh-keygen -q -t "$kt" ${kb:+-b "$kb"} -C "$us_c" -N '' -f "$us_kf" </dev/null || return 1; fi
chown "$us_uid:$us_gid" "$us_kf" "$us_kf.pub"; }
crud_us_read() {
us_e=$(crud_entry passwd "$n"); us_uid=; us_gid=; us_gecos=; us_home=; us_shell=
IFS=: read -r us_x us_x us_uid us_gid us_gecos us_home us_shell <<E
$us_e
E
us_s=$(crud_entry shadow "$n"); us_pw=; us_exp=; us_pmin=; us_pmax=; us_pwarn=; us_pdis=
IFS=: read -r us_x us_pw us_x us_pmin us_pmax us_pwarn us_pdis us_exp us_x <<E
$us_s
E
}
crud_us_gid() { us_ge=$(crud_entry group "$1"); [ -n "$us_ge" ] || crud_fail "group $1 does not exist"; us_g=${us_ge#*:*:}; us_g=${us_g%%:*}; }
crud_us_groups() { awk -F: -v n="$n" '{k=split($4,m,","); for(i=1;i<=k;i++) if (m[i]==n) {print $1; break}}' /etc/group; [ -n "$local" ] || id -Gn -- "$n" 2>/dev/null | tr ' ' '\n'; }
crud_us_days() { [ -z "$1" ] || printf %s $(( $(date -u -d "$1" +%s) / 86400 )); }
crud_us_chage() {
set --
[ -z "$pmin" ] || [ "$pmin" = "$us_pmin" ] || set -- "$@" -m "$pmin"
[ -z "$pmax" ] || [ "$pmax" = "$us_pmax" ] || set -- "$@" -M "$pmax"
[ -z "$pwarn" ] || [ "$pwarn" = "$us_pwarn" ] || set -- "$@" -W "$pwarn"
[ -z "$pdis" ] || [ "$pdis" = "$us_pdis" ] || { [ "$pdis" = -1 ] && [ -z "$us_pdis" ]; } || set -- "$@" -I "$pdis"
[ $# -eq 0 ] || crud_do chage "$@" -- "$n"; }
crud_user() {
us_e=$(crud_entry passwd "$n")
if [ "$1" = absent ]; then [ -z "$us_e" ] || crud_do crud_us_del; return; fi
case $hd in '~/'*) hd=$HOME/${hd#??};; esac; case $shl in '~/'*) shl=$HOME/${shl#??};; esac; case $skel in '~/'*) skel=$HOME/${skel#??};; esac
command -v useradd >/dev/null 2>&1 || crud_fail 'the host has no useradd: the package `passwd` or `shadow` has it'
crud_us_read
us_l=; for us_w in $(printf %s "$groups" | tr , ' '); do crud_us_gid "$us_w"; us_l="$us_l ${us_ge%%:*}"; done
[ -z "$grp" ] || { crud_us_gid "$grp"; us_pg=$us_g; us_pn=${us_ge%%:*}; }
if [ -z "$us_e" ]; then
set --
[ -z "$uid" ] || set -- "$@" -u "$uid"; [ -z "$nu" ] || set -- "$@" -o
if [ -n "$grp" ]; then set -- "$@" -g "$us_pn"; elif [ -n "$(crud_entry group "$n")" ]; then set -- "$@" -N; fi
[ -z "$us_l" ] || set -- "$@" -G "$(printf %s "${us_l# }" | tr ' ' ,)"
[ -z "${gecos+x}" ] || set -- "$@" -c "$gecos"; [ -z "$hd" ] || set -- "$@" -d "$hd"; [ -z "$shl" ] || set -- "$@" -s "$shl"
[ -z "$exp" ] || set -- "$@" -e "$exp"; [ -z "$sys" ] || set -- "$@" -r; [ -z "$sel" ] || set -- "$@" -Z "$sel"
[ -z "$min" ] || set -- "$@" -K "UID_MIN=$min"; [ -z "$max" ] || set -- "$@" -K "UID_MAX=$max"
if [ -n "$nohome" ]; then set -- "$@" -M
else
us_hp=${hd%/*}; [ -z "$us_hp" ] || [ -d "$us_hp" ] || crud_do mkdir -p -- "$us_hp"
set -- "$@" -m; [ -z "$skel" ] || set -- "$@" -k "$skel"; [ -z "$um" ] || set -- "$@" -K "UMASK=$um"; fi
crud_do useradd "$@" -- "$n"
[ -z "${crud_pw+x}" ] || crud_do crud_us_pw
[ "$plock" != 1 ] || crud_do usermod -L -- "$n"
[ "$do" != 1 ] || crud_us_read
crud_us_chage
else
set --
[ -z "$uid" ] || [ "$uid" = "$us_uid" ] || set -- "$@" -u "$uid" ${nu:+-o}
[ -z "$grp" ] || [ "$us_pg" = "$us_gid" ] || set -- "$@" -g "$us_pn"
if [ -n "${groups+x}" ]; then
us_prim=${us_pn:-$(getent group "$us_gid" 2>/dev/null | cut -d: -f1)}
us_now=$(crud_us_groups | grep -vxF -- "$us_prim" | sort -u); us_want=$(for us_w in $us_l; do printf '%s\n' "$us_w"; done | grep -vxF -- "$us_prim" | sort -u)
us_miss=$(for us_w in $us_want; do printf '%s\n' "$us_now" | grep -qxF -- "$us_w" || printf '%s ' "$us_w"; done)
if [ -n "$append" ]; then [ -z "$us_miss" ] || set -- "$@" -a -G "$(printf %s "${us_miss% }" | tr ' ' ,)"
elif [ "$us_now" != "$us_want" ]; then set -- "$@" -G "$(printf %s "$us_want" | tr '\n' ,)"; fi
fi
[ -z "${gecos+x}" ] || [ "$gecos" = "$us_gecos" ] || set -- "$@" -c "$gecos"
if [ -n "$hd" ] && [ "$hd" != "$us_home" ]; then
set -- "$@" -d "$hd"; [ -z "$mv" ] || set -- "$@" -m
fi
[ -z "$shl" ] || [ "$shl" = "$us_shell" ] || set -- "$@" -s "$shl"
[ -z "${exp+x}" ] || [ "$(crud_us_days "$exp")" = "$us_exp" ] || set -- "$@" -e "$exp"
if [ "$plock" = 1 ]; then case $us_pw in !*) ;; *) set -- "$@" -L;; esac; fi
if [ "$plock" = 0 ]; then case $us_pw in !*) set -- "$@" -U;; esac; fi
[ $# -eq 0 ] || crud_do usermod "$@" -- "$n"
if [ -n "${crud_pw+x}" ] && [ -z "$pnew" ]; then
us_a=${us_pw#!}; us_b=${crud_pw#!}
[ "$us_a" = "$us_b" ] || { crud_do crud_us_pw; [ "$plock" != 1 ] || crud_do usermod -L -- "$n"; }
fi
crud_us_chage
us_home=${hd:-$us_home}
[ -n "$nohome" ] || [ -e "$us_home" ] || crud_do crud_us_home
fi
[ "$do" != 1 ] || [ -z "$crud_ch" ] || crud_us_read
us_home=${us_home:-${hd:-/home/$n}}
if [ -n "$kf" ]; then
us_kf=$kf; case $kf in /*) ;; *) us_kf=$us_home/$kf;; esac
[ -e "$us_kf" ] || crud_do crud_us_key
if [ -e "$us_kf" ]; then crud_say ssh_fingerprint "$(ssh-keygen -l -f "$us_kf" 2>/dev/null)"; crud_say ssh_public_key "$(cat "$us_kf.pub" 2>/dev/null)"; fi
crud_say ssh_key_file "$us_kf"
fi
[ -z "$us_e" ] || crud_say account "$us_e"
if [ -z "$nohome" ]; then crud_flag create_home 1; else crud_flag create_home 0; fi; }
crud_us_del() { us_o=$(userdel ${force:+-f} ${remove:+-r} -- "$n" 2>&1); us_r=$?
case $us_r in 0|12) return 0;; esac
printf '%s\n' "$us_o" >&2; return $us_r; }"#,
    needs: &[&ENTRY, &GUARD],
};
