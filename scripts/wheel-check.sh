#!/usr/bin/env bash
# Installs the wheel and unpacks the archive of scripts/wheel.sh as a user would, and syncs the demo with each.
#
#   scripts/wheel-check.sh DIR
#
# As root, the commands run as the user with the id 65534, with an environment that has no Rust.
set -euo pipefail
cd "$(dirname "$0")/.."

DIR=$(realpath "${1:?usage: wheel-check.sh DIR}")
WORK=$(mktemp -d)
trap 'rm -rf "$WORK"' EXIT
chmod 755 "$WORK"
mkdir -m 777 "$WORK/user"

as_user() {
  local user=()
  if [ "$(id -u)" = 0 ]; then
    user=(setpriv --reuid=65534 --regid=65534 --clear-groups)
  fi
  (cd "$WORK/user" && env -i HOME="$WORK/user" PATH=/usr/bin:/bin:/usr/local/bin "${user[@]}" "$@")
}

sync_demo() { # NAME EXECUTABLE
  local begin end
  begin=$(date +%s%N)
  as_user "$2" debug --demo --dir "$WORK/user/$1" >"$WORK/$1.log" 2>&1 || {
    cat "$WORK/$1.log" >&2
    echo "FAILED  $1: the demo could not be synced" >&2
    exit 1
  }
  end=$(date +%s%N)
  grep -q '^Sync SUCCEEDED' "$WORK/$1.log"
  echo "$1: the demo was synced in $(((end - begin) / 1000000)) ms"
}

WHEEL=$(echo "$DIR"/fivetran_source_prefect-*.whl)
cp "$WHEEL" "$WORK/user/"
as_user python3 -m venv "$WORK/user/venv"
BEGIN=$(date +%s%N)
as_user "$WORK/user/venv/bin/pip" install --quiet --no-index --disable-pip-version-check "$WORK/user/$(basename "$WHEEL")"
echo "wheel: $(wc -c <"$WHEEL") bytes, installed in $((($(date +%s%N) - BEGIN) / 1000000)) ms"
sync_demo wheel "$WORK/user/venv/bin/fivetran_source"

as_user tar -xzf "$(echo "$DIR"/fivetran_source-*-linux-x86_64.tar.gz)"
mkdir "$WORK/elsewhere"
cp "$WORK"/user/fivetran_source-*/fivetran_source "$WORK"/user/fivetran_source-*/libduckdb.so "$WORK/elsewhere/"
chmod -R go+rX "$WORK/elsewhere"
sync_demo archive "$(echo "$WORK"/user/fivetran_source-*/fivetran_source)"
sync_demo copy "$WORK/elsewhere/fivetran_source"
