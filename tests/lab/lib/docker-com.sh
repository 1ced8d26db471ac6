# shellcheck shell=bash
# Docker's apt repositories and Docker Hub, as far as tests/fixtures/seed000 and `crudctl up` ask them: one HTTPS server
# (docker-com.py) at this machine's address on the bridge, its key, certificate, repository and image made here.

DOCKER_COM=$LAB_DIR/docker-com

docker-com_up() {
  install_parts core
  with_lock net net_up
  with_lock docker-com docker-com_begin
}

docker-com_begin() {
  local www=$DOCKER_COM/www
  if [ ! -e "$DOCKER_COM/ready" ]; then
    stop docker-com/server # it holds the old certificate
    rm -rf "$DOCKER_COM"
    mkdir -p "$www"
    "$LAB" _docker-com_make "$www" >"$RUN/docker-com.log" 2>&1 || { tail -20 "$RUN/docker-com.log" >&2; die "docker-com: cannot be made"; }
    touch "$DOCKER_COM/ready"
  fi
  running docker-com/server || start docker-com/server /usr/bin/python3 "$PARTS/docker-com.py" "$GATEWAY" "$DOCKER_COM/server.pem" "$www"
  started docker-com/server 10 curl -sS -o /dev/null --cacert "$DOCKER_COM/ca.crt" --resolve "download.docker.com:443:$GATEWAY" \
    https://download.docker.com/linux/ubuntu/gpg
}

docker-com_down() { stop docker-com/server; }

# Only names that this host resolves itself: nothing on any other host changes.
docker-com_trust() {
  need_host "$1"
  host_run "$1" "cat >/usr/local/share/ca-certificates/lab-docker-com.crt && update-ca-certificates >/dev/null
    grep -q download.docker.com /etc/hosts || echo '$GATEWAY download.docker.com registry-1.docker.io' >>/etc/hosts" <"$DOCKER_COM/ca.crt"
}

host_run() { ssh -F "$SSH_CONFIG" "$@"; }

docker-com_make() { # docker-com_make WWW
  docker-com_certificate "$DOCKER_COM"
  docker-com_packages "$1/pool"
  docker-com_repository "$1" ubuntu jammy
  docker-com_repository "$1" debian "$(. /etc/os-release && echo "$VERSION_CODENAME")"
  docker-com_image "$1/v2/appan/flask-app-2"
}

docker-com_certificate() {
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 3650 -subj "/CN=lab docker.com CA" \
    -keyout "$1/ca.key" -out "$1/ca.crt"
  openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=download.docker.com -keyout "$1/server.key" -out "$1/server.csr"
  openssl x509 -req -in "$1/server.csr" -CA "$1/ca.crt" -CAkey "$1/ca.key" -CAcreateserial -days 3650 -out "$1/server.crt" \
    -extfile <(echo 'subjectAltName=DNS:download.docker.com,DNS:registry-1.docker.io')
  cat "$1/server.key" "$1/server.crt" >"$1/server.pem"
  chmod 600 "$1/server.pem"
}

# The distribution's engine under the names of Docker's packages, which take the places of the distribution's.
docker-com_packages() { # docker-com_packages POOL
  local version=27.5.1-1 empty=$DOCKER_COM/docker-ce-cli
  mkdir -p "$1" "$empty/DEBIAN"
  cd "$DOCKER_COM" || return
  apt-get download docker.io containerd || { apt-get update && apt-get download docker.io containerd; }
  docker-com_package docker.io docker-ce "5:$version" "$1" -e 's/^(Depends: .*)/\1, docker-ce-cli, containerd.io/'
  docker-com_package containerd containerd.io 1.7.25-1 "$1" -e 's/^(Depends: .*)/\1\nProvides: containerd (= 1.7.25)\nConflicts: containerd/'
  # The distribution's docker.io brings the client along.
  printf 'Package: docker-ce-cli\nVersion: 5:%s\nArchitecture: %s\nMaintainer: Lab <lab@example.org>\nDescription: nothing\n' \
    "$version" "$(dpkg --print-architecture)" >"$empty/DEBIAN/control"
  dpkg-deb --build --root-owner-group -Zgzip -z1 "$empty" "$1/docker-ce-cli.deb"
}

docker-com_package() { # docker-com_package FROM NAME VERSION POOL SED...
  local from=$1 name=$2 version=$3 pool=$4 build=$DOCKER_COM/$2
  shift 4
  dpkg-deb --raw-extract "$from"_*.deb "$build"
  rm "$from"_*.deb
  sed -i -E -e "s/^Package: .*/Package: $name/" -e "s/^Version: .*/Version: $version/" \
    -e '/^(Source|Built-Using|Static-Built-Using|Conflicts|Breaks|Replaces|Recommends|Suggests|Provides):/d' "$@" "$build/DEBIAN/control"
  dpkg-deb --build --root-owner-group -Zgzip -z1 "$build" "$pool/$name.deb"
}

docker-com_repository() { # docker-com_repository WWW DISTRIBUTION SUITE: with the packages of WWW/pool
  local root=$1/linux/$2 suite=$3 home=$DOCKER_COM/gnupg deb dists
  dists=$root/dists/$suite
  mkdir -p "$dists/stable/binary-amd64" "$dists/stable/binary-arm64"
  cp -rl "$1/pool" "$root/pool"
  for deb in "$root"/pool/*.deb; do
    dpkg-deb --field "$deb"
    printf 'Filename: pool/%s\nSize: %s\nSHA256: %s\n\n' "${deb##*/}" "$(stat -c %s "$deb")" "$(sha256sum <"$deb" | cut -d ' ' -f 1)"
  done | tee "$dists/stable/binary-amd64/Packages" >"$dists/stable/binary-arm64/Packages"
  (
    cd "$dists" || exit
    printf 'Origin: Docker\nLabel: Docker CE\nSuite: %s\nCodename: %s\nArchitectures: amd64 arm64\nComponents: stable\n' "$suite" "$suite"
    printf 'Date: %s\nSHA256:\n' "$(LC_ALL=C date -u -R)"
    local file
    for file in stable/binary-*/Packages; do
      printf ' %s %s %s\n' "$(sha256sum <"$file" | cut -d ' ' -f 1)" "$(stat -c %s "$file")" "$file"
    done
  ) >"$DOCKER_COM/Release"
  mv "$DOCKER_COM/Release" "$dists/Release"
  local gpg=(gpg --homedir "$home" --batch --yes --pinentry-mode loopback --passphrase '')
  [ -d "$home" ] || { install -d -m 700 "$home" && "${gpg[@]}" --quick-gen-key 'Lab Docker Release <lab@example.org>' rsa2048 sign never; }
  "${gpg[@]}" --armor --export >"$root/gpg"
  "${gpg[@]}" --clearsign --output "$dists/InRelease" "$dists/Release"
  "${gpg[@]}" --armor --detach-sign --output "$dists/Release.gpg" "$dists/Release"
  gpgconf --homedir "$home" --kill gpg-agent
}

# A registry is static files as long as nobody pushes: manifests by tag and digest, blobs by digest.
docker-com_image() {
  local root=$1 build=$DOCKER_COM/image layer config manifest media=application/vnd.docker
  mkdir -p "$root/blobs" "$root/manifests" "$build/bin" "$build/www"
  cp /bin/busybox "$build/bin/busybox"
  echo 'hello from flask-app' >"$build/www/index.html"
  tar -C "$build" --sort=name --owner=0 --group=0 --mtime=@0 -cf "$DOCKER_COM/layer.tar" .
  layer=$(sha256sum <"$DOCKER_COM/layer.tar" | cut -d ' ' -f 1)
  gzip -n "$DOCKER_COM/layer.tar"
  cat >"$DOCKER_COM/config.json" <<JSON
{"architecture":"$(dpkg --print-architecture)","os":"linux","created":"2025-01-01T00:00:00Z",
 "config":{"Cmd":["/bin/busybox","httpd","-f","-p","5000","-h","/www"],"ExposedPorts":{"5000/tcp":{}}},
 "rootfs":{"type":"layers","diff_ids":["sha256:$layer"]},"history":[{"created":"2025-01-01T00:00:00Z"}]}
JSON
  layer=$(docker-com_blob "$DOCKER_COM/layer.tar.gz" "$root/blobs")
  config=$(docker-com_blob "$DOCKER_COM/config.json" "$root/blobs")
  cat >"$DOCKER_COM/manifest.json" <<JSON
{"schemaVersion":2,"mediaType":"$media.distribution.manifest.v2+json",
 "config":{"mediaType":"$media.container.image.v1+json","size":${config#* },"digest":"${config% *}"},
 "layers":[{"mediaType":"$media.image.rootfs.diff.tar.gzip","size":${layer#* },"digest":"${layer% *}"}]}
JSON
  manifest=$(docker-com_blob "$DOCKER_COM/manifest.json" "$root/manifests")
  cp "$root/manifests/${manifest% *}" "$root/manifests/latest"
}

docker-com_blob() { # docker-com_blob FILE DIR: moves it there under its digest; prints "DIGEST SIZE"
  local digest size
  digest=sha256:$(sha256sum <"$1" | cut -d ' ' -f 1) size=$(stat -c %s "$1")
  mv "$1" "$2/$digest"
  echo "$digest $size"
}
