# shellcheck shell=bash
# What a controller has beside its hosts: dockerd, registries, databases.

# containerd of its own, so that no other containerd on this machine can take dockerd down with it.
docker_up() {
  local dir=$LAB_DIR/docker policy
  install_parts core
  docker_answers && { gone docker/dockerd && say "another dockerd already answers"; return 0; }
  mkdir -p "$dir" "$RUN/docker"
  policy=$(iptables -w -S FORWARD | head -1)
  printf 'version = 2\nroot = "%s"\nstate = "%s"\ndisabled_plugins = ["io.containerd.grpc.v1.cri"]\n[grpc]\naddress = "%s"\n' \
    "$dir/containerd" "$RUN/docker/containerd" "$RUN/docker/containerd.sock" >"$RUN/docker/containerd.toml"
  running docker/containerd || start docker/containerd containerd --config "$RUN/docker/containerd.toml"
  started docker/containerd 20 [ -S "$RUN/docker/containerd.sock" ]
  rm -f /var/run/docker.pid
  start docker/dockerd dockerd --containerd "$RUN/docker/containerd.sock" --data-root "$dir/data" --exec-root "$RUN/docker/exec"
  started docker/dockerd 30 docker_answers
  # shellcheck disable=SC2086 # dockerd sets it to DROP, which would cut off the hosts and others' pods
  iptables -w $policy
}

docker_answers() { /usr/bin/docker version >/dev/null 2>&1; }

docker_down() {
  stop docker/dockerd
  stop docker/containerd
}

registry_options() {
  PORT=5055 AUTH="" TLS="" EVERY=""
  while [ $# -gt 0 ]; do
    case $1 in
      --port) PORT=$2; shift ;;
      --auth) AUTH=$2; shift ;;
      --tls) TLS=1 ;;
      --every) EVERY=1 ;;
      *) die "registry: no option $1" ;;
    esac
    shift
  done
}

registry_up() {
  registry_options "$@"
  install_parts core
  with_lock net net_up
  with_lock "registry-$PORT" registry_begin
}

registry_begin() {
  local dir=$LAB_DIR/registry/$PORT scheme=http
  mkdir -p "$dir/data"
  [ -z "$TLS" ] || { scheme=https; tls_make "$dir"; }
  if gone "registry/$PORT"; then
    {
      printf 'version: 0.1\nlog: {level: warn, accesslog: {disabled: true}}\n'
      printf 'storage: {filesystem: {rootdirectory: %s}, delete: {enabled: true}}\n' "$dir/data"
      printf 'http:\n  addr: 0.0.0.0:%s\n' "$PORT"
      [ -z "$TLS" ] || printf '  tls: {certificate: %s, key: %s}\n' "$dir/server.crt" "$dir/server.key"
      if [ -n "$AUTH" ]; then
        htpasswd -Bbn "${AUTH%%:*}" "${AUTH#*:}" >"$dir/htpasswd"
        printf 'auth: {htpasswd: {realm: lab, path: %s}}\n' "$dir/htpasswd"
      fi
    } >"$dir/config.yml"
    start "registry/$PORT" docker-registry serve "$dir/config.yml"
    started "registry/$PORT" 10 curl -ksS -o /dev/null "$scheme://127.0.0.1:$PORT/v2/"
  fi
  echo "$scheme://$GATEWAY:$PORT  (here also 127.0.0.1:$PORT${TLS:+; CA in $dir/ca.crt})"
}

tls_make() { # tls_make DIR: a CA and a server's certificate of it
  [ ! -e "$1/server.crt" ] || return 0
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 365 -subj "/CN=lab CA" \
    -keyout "$1/ca.key" -out "$1/ca.crt" 2>/dev/null
  openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=registry \
    -keyout "$1/server.key" -out "$1/server.csr" 2>/dev/null
  printf 'subjectAltName=DNS:localhost,IP:127.0.0.1,IP:%s\n' "$GATEWAY" |
    openssl x509 -req -in "$1/server.csr" -CA "$1/ca.crt" -CAkey "$1/ca.key" -CAcreateserial -days 365 -extfile /dev/stdin -out "$1/server.crt" 2>/dev/null
}

registry_down() { # what was pushed goes too
  local dir
  registry_options "$@"
  for dir in "$LAB_DIR"/registry/*/; do
    dir=${dir%/}
    if [ -n "$EVERY" ] || [ "${dir##*/}" = "$PORT" ]; then
      stop "registry/${dir##*/}"
      rm -rf "$dir"
    fi
  done
}

# A database's id is its kind and port; its data are in $LAB_DIR/db/ID and go with it.
db_up() {
  local kind=${1:-} listen=127.0.0.1
  shift
  [ "${1:-}" != --listen ] || listen=$2
  case $kind in
    postgres | mariadb) ;;
    *) die "db up: postgres or mariadb" ;;
  esac
  install_parts db
  [ "$listen" = 127.0.0.1 ] || with_lock net net_up
  with_lock db "${kind}_up" "$listen"
}

# db_data KIND USER: a fresh data directory, copied from one that was initialised once
db_data() {
  local template=$LAB_DIR/db-template/$1
  if [ ! -d "$template" ]; then
    mkdir -p "$template.new"
    chown "$2:" "$template.new"
    "${1}_init" "$template.new" >"$RUN/db-template.log" 2>&1 || { cat "$RUN/db-template.log" >&2; die "$1: cannot initialise"; }
    mv "$template.new" "$template"
  fi
  mkdir -p "$LAB_DIR/db/$1-$PORT"
  cp -a "$template" "$LAB_DIR/db/$1-$PORT/data"
  chown "$2:" "$LAB_DIR/db/$1-$PORT"
}

as() { local user=$1; shift; setpriv --reuid "$user" --regid "$user" --init-groups -- "$@"; }

postgres_bin() { find /usr/lib/postgresql -maxdepth 2 -name bin | sort -V | tail -1; }
postgres_init() { as postgres "$(postgres_bin)/initdb" -D "$1" -U postgres -A scram-sha-256 --auth-local=trust -E UTF8 --locale=C.UTF-8 --no-sync; }
mariadb_init() { mariadb-install-db --no-defaults --user=mysql --datadir="$1" --auth-root-authentication-method=normal --skip-test-db; }

postgres_up() {
  local dir id
  PORT=$(free_port) id=db/postgres-$PORT dir=$LAB_DIR/db/postgres-$PORT
  db_data postgres postgres
  start "$id" setpriv --reuid postgres --regid postgres --init-groups -- "$(postgres_bin)/postgres" -D "$dir/data" \
    -p "$PORT" -k "$dir" -c "listen_addresses=$1" -c fsync=off -c max_connections=200
  [ "$1" = 127.0.0.1 ] || echo "host all all 10.77.0.0/16 scram-sha-256" >>"$dir/data/pg_hba.conf"
  started "$id" 20 psql -h "$dir" -p "$PORT" -U postgres -qc 'select 1'
  psql -h "$dir" -p "$PORT" -U postgres -qc "create role crud login password 'crud'" -c 'create database crud owner crud'
  echo "postgres://crud:crud@${1/0.0.0.0/127.0.0.1}:$PORT/crud"
}

mariadb_up() {
  local dir id
  PORT=$(free_port) id=db/mariadb-$PORT dir=$LAB_DIR/db/mariadb-$PORT
  db_data mariadb mysql
  start "$id" mariadbd --no-defaults --user=mysql --datadir="$dir/data" --port="$PORT" --bind-address="$1" --socket="$dir/socket" \
    --skip-name-resolve --skip-log-bin --innodb-use-native-aio=0 --innodb-flush-log-at-trx-commit=0 --character-set-server=utf8mb4
  started "$id" 30 mariadb --no-defaults -S "$dir/socket" -u root -e 'select 1'
  mariadb --no-defaults -S "$dir/socket" -u root \
    -e "create database crud; create user crud@'%' identified by 'crud'; grant all on crud.* to crud@'%'"
  echo "mysql://crud:crud@${1/0.0.0.0/127.0.0.1}:$PORT/crud"
}

db_list() { local dir; for dir in "$LAB_DIR"/db/*/; do [ -d "$dir" ] && basename "$dir"; done; }

db_down() { # db_down [URL | ID]: without a name all of them
  local id port=${1:-}
  port=${port%/*} port=${port##*[:-]}
  for id in $(db_list); do
    [ -z "$port" ] || [ "${id##*-}" = "$port" ] || continue
    stop "db/$id" "$([[ $id == postgres* ]] && echo INT || echo TERM)"
    rm -rf "${LAB_DIR:?}/db/$id"
  done
}
