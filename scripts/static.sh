#!/usr/bin/env bash
# Builds a static executable (glibc). Without the argument `build`, it is also run in an empty root, which has only
# the executable, /etc/hosts and /etc/resolv.conf. There the executable must sync over TLS from a server whose authority is in the
# configuration, by a host name that is in /etc/hosts and by one that only a name server knows. Needs openssl;
# the empty root, and the name server's port 53 on 127.83.0.1, need root privileges.
set -euo pipefail
cd "$(dirname "$0")/.."

fail() {
  echo "FAILED  static executable: $*" >&2
  exit 1
}

TARGET=x86_64-unknown-linux-gnu
BASE=${CARGO_TARGET_DIR:-target}
# A separate folder, because Fivetran takes the one executable that it finds in target/release. With an
# explicit target, the flag does not apply to build scripts and macros.
CARGO_TARGET_DIR=${STATIC_TARGET_DIR:-$BASE/static} RUSTFLAGS='-C target-feature=+crt-static' \
  cargo build --quiet --release --locked -p fivetran_source --target "$TARGET"
EXECUTABLE=${STATIC_TARGET_DIR:-$BASE/static}/$TARGET/release/fivetran_source

SIZE=$(wc -c <"$EXECUTABLE")
echo "static: $EXECUTABLE, $((SIZE / 1024)) KiB"
if command -v file >/dev/null; then
  file -b "$EXECUTABLE"
fi
# The output stream and the exit code of ldd depend on its version.
NEEDS=$(ldd "$EXECUTABLE" 2>&1 || true)
echo "ldd: $NEEDS" | tr -s '[:space:]' ' '
echo
echo "$NEEDS" | grep -Eq 'statically linked|not a dynamic executable' || fail "it needs libraries"

if [ "${1:-}" = build ]; then
  exit 0
fi
if [ "$(id -u)" != 0 ]; then
  echo "SKIPPED  the empty root: chroot needs root (run this as root, or in a container)"
  exit 0
fi
command -v openssl >/dev/null || fail "openssl is needed to create a certificate"

WORK=$(mktemp -d)
trap 'rm -rf "$WORK"' EXIT
mkdir -p "$WORK/empty/etc" "$WORK/tls"
cp "$EXECUTABLE" "$WORK/empty/fivetran_source"
echo "127.0.0.1 prefect.test" >"$WORK/empty/etc/hosts"
echo "nameserver 127.83.0.1" >"$WORK/empty/etc/resolv.conf"

# A separate certificate authority, and a certificate for both names.
(
  cd "$WORK/tls"
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 \
    -subj "/CN=Authority of an hour" -keyout ca.key -out ca.pem
  openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes \
    -subj "/CN=prefect.test" -keyout server.key -out server.csr
  printf 'subjectAltName=DNS:prefect.test,DNS:prefect-by-dns.test\nbasicConstraints=CA:FALSE\n' >server.ext
  openssl x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 \
    -extfile server.ext -out server.pem
) >/dev/null 2>"$WORK/openssl.log" || {
  cat "$WORK/openssl.log"
  fail "openssl could not create a certificate"
}

echo "the root: $(cd "$WORK/empty" && find . -type f | sort | tr '\n' ' ')"
STATIC_ROOT=$WORK/empty STATIC_TLS=$WORK/tls \
  cargo test --quiet --profile local --features local --test it static_executable:: -- \
  --ignored --nocapture
