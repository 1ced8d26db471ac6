//! The shell functions around apt-get and dpkg-query.

use crate::host::ShellFunction;
use crate::modules::guarded::GUARD;

/// `crud_apt_get ARG…`: apt-get without questions. Waits up to `$lock` seconds (60) for apt's and dpkg's locks,
/// and says who holds them when it gives up.
pub(super) static APT_GET: ShellFunction = ShellFunction {
    name: "crud_apt_get",
    text: r#"crud_apt_holder() {
for ah_f in /var/lib/dpkg/lock-frontend /var/lib/dpkg/lock /var/lib/apt/lists/lock /var/cache/apt/archives/lock; do
ah_i=$(stat -c %i "$ah_f" 2>/dev/null) || continue
ah_p=$(awk -v i="$ah_i" '{split($6,a,":"); if (a[3]==i && $5>0) {print $5; exit}}' /proc/locks 2>/dev/null)
[ -n "$ah_p" ] || continue
printf '%s is held by process %s (%s)\n' "$ah_f" "$ah_p" "$(tr '\0' ' ' <"/proc/$ah_p/cmdline" 2>/dev/null | cut -c1-200)"
return
done; }
crud_apt_locked() { case $1 in *'Could not get lock'*|*'Unable to acquire the dpkg'*|*'Unable to lock'*|*'is locked by another process'*|*'dpkg frontend lock'*) return 0;; esac; return 1; }
crud_apt_get() {
ag_t=${lock:-60}
exec 3>&1
while :; do
ag_h=$(crud_apt_holder)
ag_e=$({ DEBIAN_FRONTEND=noninteractive DEBIAN_PRIORITY=critical APT_LISTCHANGES_FRONTEND=none NEEDRESTART_MODE=${NEEDRESTART_MODE:-l} LC_ALL=C apt-get -q -y -o DPkg::Use-Pty=0 -o Dpkg::Progress-Fancy=0 "$@" </dev/null >&3; } 2>&1)
ag_s=$?
[ $ag_s -ne 0 ] && crud_apt_locked "$ag_e" && [ "$ag_t" -gt 0 ] || break
sleep 1; ag_t=$((ag_t-1))
done
exec 3>&-
[ $ag_s -eq 0 ] || { crud_apt_locked "$ag_e" && ag_e="$ag_e
waited ${lock:-60} s for the lock of apt or dpkg: ${ag_h:-its holder is not known}"; }
[ -z "$ag_e" ] || printf '%s\n' "$ag_e" >&2
return $ag_s; }"#,
    needs: &[],
};

/// `crud_apt_update [SECONDS]`: package lists anew, unless they are younger than that or (`need`) are there at all.
/// `retries` and `delay` say how often it is tried again, and for how long at most it waits before that.
pub(super) static APT_UPDATE: ShellFunction = ShellFunction {
    name: "crud_apt_update",
    text: r#"crud_apt_stamp() { stat -c %Y /var/lib/apt/periodic/update-success-stamp 2>/dev/null || stat -c %Y /var/lib/apt/lists 2>/dev/null || echo 0; }
crud_apt_lists() { set +f; for al_f in /var/lib/apt/lists/*Packages* /var/lib/apt/lists/*Sources*; do [ -e "$al_f" ] && return 0; done; return 1; }
crud_apt_fetch() {
au_n=0
until au_e=$(crud_apt_get -o APT::Update::Error-Mode=any update 2>&1 >/dev/null); do
[ $au_n -lt "${retries:-5}" ] || { printf '%s\n' "$au_e" >&2; return 1; }
au_w=$(( (1<<au_n) < ${delay:-12} ? (1<<au_n) : ${delay:-12} )); au_n=$((au_n+1)); sleep $au_w
done
touch /var/lib/apt/lists; }
crud_apt_update() {
if [ "$1" = need ]; then crud_apt_lists && return 0
elif [ "${1:-0}" -gt 0 ] && crud_apt_lists && [ $(( $(crud_apt_stamp) + $1 )) -ge "$(date +%s)" ]; then return 0; fi
crud_apt_new=1
crud_act crud_apt_fetch; }"#,
    needs: &[&APT_GET, &GUARD],
};

/// `crud_apt_state STATE SPEC…`: packages as wanted. Sets `apt_todo` to what has to be installed or removed.
///
/// A SPEC is a name with an optional architecture and `=VERSION` (a glob) or `>=VERSION`. One dpkg-query answers for all names;
/// what it doesn't know may be provided by another installed package.
pub(super) static APT_STATE: ShellFunction = ShellFunction {
    name: "crud_apt_state",
    text: r#"crud_apt_state() {
as_s=$1; shift; apt_todo=; as_names=
for as_p; do as_n=${as_p%%=*}; as_names="$as_names ${as_n%>}"; done
as_db=$(dpkg-query -W -f='${Package}|${Package}:${Architecture}|${db:Status-Abbrev}|${Version}\n' $as_names 2>/dev/null)
as_prov=
as_pol=; [ "$as_s" != latest ] || as_pol=$(LC_ALL=C apt-cache ${rel:+-t "$rel"} policy $as_names 2>/dev/null | awk '/^[^ ]/ {n=substr($1,1,length($1)-1)} $1=="Installed:" {i=$2} $1=="Candidate:" {print "|" n "|" i "|" $2 "|"}')
for as_p; do
as_n=${as_p%%=*}; as_n=${as_n%>}; as_v=; as_op=
case $as_p in *'>='*) as_op=ge; as_v=${as_p#*>=};; *=*) as_op=eq; as_v=${as_p#*=};; esac
as_have=; as_rc=
while IFS='|' read -r as_a as_b as_st as_ver; do
[ "$as_a" = "$as_n" ] || [ "$as_b" = "$as_n" ] || continue
case $as_st in ?i*) as_have=$as_ver;; ?c*) as_rc=1;; esac
done <<E
$as_db
E
case $as_s in
absent) if [ -n "$as_have" ] || { [ -n "$purge" ] && [ -n "$as_rc" ]; }; then apt_todo="$apt_todo $as_n"; fi; continue;;
esac
if [ -z "$as_have" ]; then
[ -z "$only" ] || continue
if [ -z "$as_op" ]; then
[ -n "$as_prov" ] || as_prov=" $(dpkg-query -W -f='${db:Status-Abbrev}, ${Provides},\n' 2>/dev/null | sed -n 's/^.i[^,]*,//p' | sed 's/([^)]*)//g' | tr -s ', \n' ' ') "
case $as_prov in *" $as_n "*) continue;; esac
fi
apt_todo="$apt_todo $as_p"; continue
fi
case $as_op in
eq) case $as_have in $as_v) ;; *) apt_todo="$apt_todo $as_p";; esac;;
ge) dpkg --compare-versions "$as_have" ge "$as_v" || apt_todo="$apt_todo $as_p";;
*) [ "$as_s" = latest ] || continue
case $as_pol in *"|$as_n|$as_have|$as_have|"*|*"|$as_n|$as_have|(none)|"*) ;; *"|$as_n|$as_have|"*) apt_todo="$apt_todo $as_n";; esac;;
esac
done; }"#,
    needs: &[],
};

/// `crud_apt STATE SPEC…`: the whole of `apt` for packages by name; `opts` are options of apt-get (its words hold no blanks).
pub(super) static APT: ShellFunction = ShellFunction {
    name: "crud_apt",
    text: r#"crud_apt_glob() { case $1 in *[*?[]*) ;; *) printf '%s\n' "$1"; return;; esac
for ap_c in $({ apt-cache pkgnames; dpkg-query -W -f='${Package}\n'; } 2>/dev/null | sort -u); do case $ap_c in $1) printf '%s\n' "$ap_c";; esac; done; }
crud_apt_policy() { [ -n "$policy" ] || { "$@"; return; }
[ ! -e /usr/sbin/policy-rc.d ] || mv /usr/sbin/policy-rc.d /usr/sbin/policy-rc.d.crud || return 1
printf '#!/bin/sh\nexit %s\n' "$policy" >/usr/sbin/policy-rc.d && chmod 755 /usr/sbin/policy-rc.d
"$@"; ap_s=$?
rm -f /usr/sbin/policy-rc.d; [ ! -e /usr/sbin/policy-rc.d.crud ] || mv /usr/sbin/policy-rc.d.crud /usr/sbin/policy-rc.d
return $ap_s; }
crud_apt_would() { LC_ALL=C apt-get -s -q -y $opts "$@" 2>/dev/null | grep -Eq '^(Inst|Remv|Conf|Purg) '; }
crud_apt_some() { command -v dpkg-query >/dev/null 2>&1 || crud_fail 'there is no dpkg on this host: `apt` works on Debian, Ubuntu and their like'; }
crud_apt() {
crud_apt_some; ap_st=$1; shift; set -f
ap_x=${dpkg-"-o Dpkg::Options::=--force-confdef -o Dpkg::Options::=--force-confold"}
ap_l=; for ap_p; do ap_g=$(crud_apt_glob "${ap_p%%=*}"); case $ap_p in *=*) [ -z "$ap_g" ] || ap_g=$ap_p;; esac
[ -n "$ap_g" ] || [ "$ap_st" = absent ] || crud_fail "no package matches \`$ap_p\`"; ap_l="$ap_l $ap_g"; done
case $ap_st in
build-dep|fixed) crud_apt_update need; set -f
if [ "$ap_st" = fixed ]; then set -- -f install $ap_l; else set -- build-dep $ap_l; fi
[ -n "$crud_apt_new" ] && [ "$do" != 1 ] && ap_r=1 || ap_r=
[ -n "$ap_r" ] || ! crud_apt_would "$@" || crud_do crud_apt_policy crud_apt_get $ap_x $opts "$@"; return;;
esac
set -f; crud_apt_state "$ap_st" $ap_l
[ -n "$apt_todo" ] || return 0
if [ "$ap_st" = absent ]; then
ap_c=remove; [ -z "$purge" ] || ap_c=purge
crud_do crud_apt_policy crud_apt_get $ap_x $opts $ap_c $apt_todo; return
fi
crud_apt_update need; set -f
ap_t=; for ap_p in $apt_todo; do ap_t="$ap_t ${ap_p%%>=*}"; done
crud_do crud_apt_policy crud_apt_get $ap_x $opts install $ap_t
[ "$do" != 1 ] || { ap_o=$apt_todo; only=1; crud_apt_state present $ap_o; only=; for ap_p in $apt_todo; do case $ap_p in *'>='*) crud_fail "no version that satisfies \`$ap_p\` is available";; esac; done; }
}
crud_apt_more() { case $1 in
upgrade) crud_apt_some; crud_apt_update need
if [ "$2" = dist ]; then set -- dist-upgrade; else set -- --with-new-pkgs upgrade; fi
! crud_apt_would "$@" || crud_do crud_apt_policy crud_apt_get ${dpkg-"-o Dpkg::Options::=--force-confdef -o Dpkg::Options::=--force-confold"} $opts "$@";;
autoremove) ! crud_apt_would ${purge:+--purge} autoremove || crud_do crud_apt_policy crud_apt_get $opts ${purge:+--purge} autoremove;;
autoclean) ! LC_ALL=C apt-get -s autoclean 2>/dev/null | grep -q '^Del ' || crud_do crud_apt_get autoclean;;
clean) set +f; for ap_f in /var/cache/apt/archives/*.deb; do [ ! -e "$ap_f" ] || { crud_do crud_apt_get clean; break; }; done;;
esac; }
crud_apt_stat() { crud_flag cache_updated "${crud_apt_new:-0}"; crud_num cache_update_time "$(crud_apt_stamp)"; }"#,
    needs: &[&APT_UPDATE, &APT_STATE, &GUARD],
};

/// `crud_fetch URL FILE`: a download by what the host has: curl, wget, or apt's own helper.
pub(in crate::modules) static FETCH: ShellFunction = ShellFunction {
    name: "crud_fetch",
    text: r#"crud_fetch() {
if command -v curl >/dev/null 2>&1; then curl -fsSL --retry 2 -o "$2" -- "$1"
elif command -v wget >/dev/null 2>&1; then wget -q -O "$2" -- "$1"
elif [ -x /usr/lib/apt/apt-helper ]; then /usr/lib/apt/apt-helper download-file "$1" "$2" >/dev/null
else crud_fail "can't fetch $1: the host has neither curl nor wget nor apt-helper"; fi; }"#,
    needs: &[],
};

/// `crud_apt_deb FILE`: a package's file, installed with what it depends on.
pub(super) static DEB: ShellFunction = ShellFunction {
    name: "crud_apt_deb",
    text: r#"crud_apt_deb() {
crud_apt_some
case $1 in *://*) ad_f=$(mktemp -d /tmp/crudctl.XXXXXX)/p.deb; crud_fetch "$1" "$ad_f" || { rm -rf "${ad_f%/*}"; crud_fail "can't fetch $1"; };; *) ad_f=$1; [ -f "$ad_f" ] || crud_fail "there is no file $ad_f on the host";; esac
ad_p=$(dpkg-deb -f "$ad_f" Package) && ad_v=$(dpkg-deb -f "$ad_f" Version) && ad_a=$(dpkg-deb -f "$ad_f" Architecture) || crud_fail "$1 is no Debian package"
ad_q=$ad_p; [ "$ad_a" = all ] || ad_q=$ad_p:$ad_a
ad_h=$(dpkg-query -W -f='${db:Status-Abbrev}|${Version}' "$ad_q" 2>/dev/null)
case $ad_h in
?i*'|'"$ad_v") ;;
?i*) if dpkg --compare-versions "${ad_h#*|}" gt "$ad_v" && [ -z "$down" ]; then :; else ad_h=; fi;;
*) ad_h=;;
esac
case $ad_f in /*) ;; *) ad_f=./$ad_f;; esac
[ -n "$ad_h" ] || { crud_apt_update need; set -f; crud_do crud_apt_policy crud_apt_get ${dpkg-"-o Dpkg::Options::=--force-confdef -o Dpkg::Options::=--force-confold"} $opts install "$ad_f"; }
case $1 in *://*) rm -rf "${ad_f%/*}";; esac; }"#,
    needs: &[&APT, &FETCH],
};
