# shellcheck shell=bash
# Messages, processes, locks and the network: what the other parts share.

LAB_DIR=${LAB_DIR:-/var/cache/crudctl-lab}
RUN=$LAB_DIR/run
HOSTS=$LAB_DIR/hosts
KEY=$LAB_DIR/id_ed25519
SSH_CONFIG=$LAB_DIR/ssh_config
KNOWN_HOSTS=$LAB_DIR/known_hosts
BRIDGE=crud0
NET=10.77
GATEWAY=$NET.0.1

say() { printf 'lab: %s\n' "$*" >&2; }
die() { say "$@"; exit 1; }

check_machine() {
  [ "$(id -u)" = 0 ] || die "must be run as root"
  local ID=unknown VERSION_ID=0
  # shellcheck source=/dev/null
  [ -r /etc/os-release ] && . /etc/os-release
  [ "$ID" = debian ] || die "needs Debian, this is $ID $VERSION_ID"
}

# with_lock NAME CMD...: one CMD at a time for each NAME. File descriptor 9 is the lock; daemons close it.
with_lock() {
  local name=$1
  shift
  ( flock -w 600 9 || die "waited 600 s for another lab call ($name)"; "$@" ) 9>"$RUN/lock/$name"
}

# retry SECONDS CMD...: until CMD succeeds.
retry() {
  local end=$((SECONDS + $1))
  shift
  until "$@" 2>/dev/null; do
    [ "$SECONDS" -lt "$end" ] || return 1
    sleep 0.05
  done
}

# A process is known by pid, start time and boot, so that a pid used again is never taken for ours.
read -r BOOT </proc/sys/kernel/random/boot_id
identity() {
  local stat fields
  { read -r stat <"/proc/$1/stat"; } 2>/dev/null || return 1
  read -ra fields <<<"${stat##*) }"
  [ "${fields[0]}" != Z ] && echo "$1 ${fields[19]} $BOOT"
}

pid_of() { # pid_of ID: only of one that runs
  local known
  { read -r known <"$RUN/$1.pid"; } 2>/dev/null && [ "$(identity "${known%% *}")" = "$known" ] && echo "${known%% *}"
}
running() { pid_of "$1" >/dev/null; }
gone() { ! running "$1"; }

child_of() { # child_of PID [NAME]: its first child, or its first child of that name
  local children child name
  { read -ra children <"/proc/$1/task/$1/children"; } 2>/dev/null
  for child in "${children[@]}"; do
    { read -r name <"/proc/$child/comm"; } 2>/dev/null || continue
    [ "${2:-$name}" != "$name" ] || { echo "$child"; return; }
  done
  return 1
}

# start ID CMD...: a daemon of its own session, log in $RUN/ID.log, pid in $RUN/ID.pid
start() {
  local id=$1
  shift
  mkdir -p "$(dirname "$RUN/$id")"
  ( exec 9>&-; exec setsid "$@" ) >"$RUN/$id.log" 2>&1 </dev/null &
  identity $! >"$RUN/$id.pid"
}

# stop ID [SIGNAL]: ends the daemon, by force after 10 s.
stop() {
  local pid
  if pid=$(pid_of "$1"); then
    kill "-${2:-TERM}" "$pid"
    retry 10 gone "$1" || { kill -KILL "$pid"; retry 5 gone "$1"; }
  fi
  rm -f "$RUN/$1.pid"
}

# started ID SECONDS CMD...: waits until CMD says that the daemon answers, or shows its log.
started() {
  local id=$1 end=$((SECONDS + $2))
  shift 2
  until "$@" >/dev/null 2>&1; do
    if gone "$id" || [ "$SECONDS" -ge "$end" ]; then
      tail -20 "$RUN/$id.log" >&2
      stop "$id"
      die "$id did not come up (its log is above)"
    fi
    sleep 0.05
  done
}

free_port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }

# rule ADD|DELETE TABLE CHAIN RULE...: an iptables rule, once.
rule() {
  local action=$1 table=$2 chain=$3
  shift 3
  if [ "$action" = add ]; then
    iptables -w -t "$table" -C "$chain" "$@" 2>/dev/null || iptables -w -t "$table" -I "$chain" "$@"
  else
    while iptables -w -t "$table" -D "$chain" "$@" 2>/dev/null; do :; done
  fi
}

net_up() {
  ip link show "$BRIDGE" >/dev/null 2>&1 || ip link add "$BRIDGE" type bridge
  ip addr replace "$GATEWAY/16" dev "$BRIDGE"
  ip link set "$BRIDGE" up
  sysctl -qw net.ipv4.ip_forward=1
  rule add nat POSTROUTING -s "$NET.0.0/16" ! -d "$NET.0.0/16" -j MASQUERADE
  rule add filter FORWARD -i "$BRIDGE" -j ACCEPT
  rule add filter FORWARD -o "$BRIDGE" -j ACCEPT
}

net_down() {
  ip link show "$BRIDGE" >/dev/null 2>&1 || return 0
  rule delete nat POSTROUTING -s "$NET.0.0/16" ! -d "$NET.0.0/16" -j MASQUERADE
  rule delete filter FORWARD -i "$BRIDGE" -j ACCEPT
  rule delete filter FORWARD -o "$BRIDGE" -j ACCEPT
  ip link del "$BRIDGE"
}

show_status() {
  local file id
  while read -r file; do
    id=${file#"$RUN"/} id=${id%.pid}
    printf '%-24s %s\n' "$id" "$(pid_of "$id" || echo ended)"
  done < <(find "$RUN" -name '*.pid' | sort)
}

clean_lab() {
  mini_down
  # shellcheck disable=SC2046 # names have no blanks
  host_down $(host_names)
  db_down
  docker_down
  registry_down --every
  docker-com_down
  net_down
  rm -rf "$RUN"
  [ "${1:-}" != --all ] || rm -rf --one-file-system "$LAB_DIR"
}
