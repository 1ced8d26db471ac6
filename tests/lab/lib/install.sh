# shellcheck shell=bash
# Debian packages, by part.

declare -A PACKAGES=(
  [core]="docker.io docker-registry iptables apache2-utils mmdebstrap systemd-container openssh-server openssh-client
          iproute2 procps util-linux openssl curl python3 busybox-static gnupg shellcheck"
  [db]="postgresql postgresql-client mariadb-server mariadb-client"
)

missing() {
  local there package
  # shellcheck disable=SC2016 # dpkg-query's own fields
  there=" $(dpkg-query -W -f '${Package}=${db:Status-Status} ' "$@" 2>/dev/null)"
  for package in "$@"; do
    [[ $there == *" $package=installed "* ]] || echo "$package"
  done
}

install_parts() {
  local part wanted=""
  [ "${1:-}" != all ] || set -- core db
  for part in "${@:-core}"; do
    [ -n "${PACKAGES[$part]:-}" ] || die "install: no part '$part' (core, db, all)"
    wanted+=" ${PACKAGES[$part]}"
  done
  # shellcheck disable=SC2086 # words
  [ -z "$(missing $wanted)" ] || with_lock install apt_install $wanted
}

apt_install() {
  local todo log=$RUN/apt.log
  mapfile -t todo < <(missing "$@")
  [ ${#todo[@]} -gt 0 ] || return 0
  say "installing ${todo[*]}"
  export DEBIAN_FRONTEND=noninteractive
  # A list of packages that is hours old names files that the mirror no longer has.
  { apt-get -o DPkg::Lock::Timeout=600 update &&
    apt-get -o DPkg::Lock::Timeout=600 install -y --no-install-recommends "${todo[@]}"; } \
    >"$log" 2>&1 </dev/null 9>&- || { tail -20 "$log" >&2; die "apt-get failed (log: $log)"; }
}
