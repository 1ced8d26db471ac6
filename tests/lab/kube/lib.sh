# Sourced by kube-build, kube-up and kube-down: where things are, and how a part starts and ends.
set -eu -o pipefail
HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
D=${KUBE_LAB_DIR:-${LAB_DIR:-/var/cache/crudctl-lab}/kube}
BIN=$D/bin
PORT=${KUBE_PORT:-6443}
REGISTRY=127.0.0.1:${KUBE_REGISTRY_PORT:-5000}
NODE=lab-node
NODE_IP=10.88.0.1            # address of the bridge cni0: node, gateway of the pods, and where they find the API server
PODS=10.88.0.0/16
SERVICES=10.96.0.0/16
DNS_IP=10.96.0.10
FAKES=10.89.0.0/16           # of the fake nodes' pods
BALANCERS=10.90.0.0/16       # of services of type LoadBalancer
SOCK=$D/containerd/c.sock
PATH=$BIN:$PATH:/usr/sbin:/sbin
export KUBECONFIG=$D/admin.kubeconfig

T0=$(date +%s%N)
say() { printf '%6.1fs  %s\n' "$(( ($(date +%s%N) - T0) / 100000000 ))e-1" "$*"; }
die() { echo "$0: $*" >&2; exit 1; }

# alive NAME: the process of its pid file is there and is ours
alive() {
  local p; p=$(cat "$D/run/$1.pid" 2>/dev/null) && [ -n "$p" ] && grep -qF "$D/" "/proc/$p/cmdline" 2>/dev/null
}

# start NAME COMMAND...: in a session of its own, with a pid file and a log
start() {
  local n=$1; shift
  alive "$n" && return
  setsid nohup "$@" >>"$D/log/$n.log" 2>&1 </dev/null &
  echo $! >"$D/run/$n.pid"
}

# stop NAME: by its pid, TERM and after 5 s KILL
stop() {
  local n=$1 p i
  if alive "$n"; then
    p=$(cat "$D/run/$n.pid")
    kill -TERM "$p" 2>/dev/null || true
    for i in $(seq 50); do [ -e "/proc/$p/cmdline" ] && alive "$n" || break; sleep 0.1; done
    alive "$n" && kill -KILL "$p" 2>/dev/null || true
  fi
  rm -f "$D/run/$n.pid"
}

# await SECONDS NAME COMMAND...: until the command succeeds; ends with NAME's log if it never does
await() {
  local s=$1 n=$2 i; shift 2
  for i in $(seq $((s * 10))); do
    "$@" >/dev/null 2>&1 && return
    alive "$n" || break
    sleep 0.1
  done
  tail -n 15 "$D/log/$n.log" >&2 || true
  alive "$n" || die "$n ended: $D/log/$n.log"
  die "gave up after ${s}s: $*"
}

ctr() { command ctr -a "$SOCK" -n k8s.io "$@"; }
