#!/usr/bin/env bash
# Creates a Python environment in the cache folder once, and prints its folder.
#
#   scripts/python-venv.sh NAME REQUIREMENTS OLDEST NEWEST
#
#   NAME          the environment's name
#   REQUIREMENTS  a requirements file with every version pinned
#   OLDEST NEWEST Python versions (3.10 3.12) that the requirements are known to install on
#
# Several processes may call this script at once: one installs, the others wait for it. An environment is
# complete only when its stamp, a copy of the requirements, exists; so an interrupted installation, or one of
# other versions, is repeated. $PYTHON overrides the choice of interpreter.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/cache-dir.sh

NAME=${1:?name} REQUIREMENTS=${2:?requirements file} OLDEST=${3:?oldest} NEWEST=${4:?newest}
VENV=$FIVETRAN_SOURCE_CACHE/venv-$NAME
STAMP=$VENV/requirements.installed

suits() {
  "$1" - "$OLDEST" "$NEWEST" 2>/dev/null <<'PY'
import ensurepip, sys, venv
version = lambda text: tuple(int(part) for part in text.split("."))
sys.exit(not version(sys.argv[1]) <= sys.version_info[:2] <= version(sys.argv[2]))
PY
}

choose_python() {
  local candidate
  for candidate in ${PYTHON:-python3 python3.12 python3.11 python3.10 python3.9}; do
    if suits "$candidate"; then
      echo "$candidate"
      return
    fi
  done
  echo "no Python $OLDEST to $NEWEST with venv and ensurepip found (Debian: apt-get install python3-venv); or set PYTHON" >&2
  return 1
}

finished() {
  cmp -s "$REQUIREMENTS" "$STAMP" && "$VENV/bin/python" -c '' 2>/dev/null
}

if ! finished; then
  BASE=$(choose_python)
  mkdir -p "$FIVETRAN_SOURCE_CACHE"
  # The lock belongs to this shell's file descriptor, so it is released however the process ends. Python takes
  # the lock, because macOS has no flock(1).
  exec 9>"$VENV.lock"
  "$BASE" -c 'import fcntl; fcntl.flock(9, fcntl.LOCK_EX)'
  if ! finished; then
    echo "installing $NAME into $VENV (once, a minute or two)" >&2
    rm -rf "$VENV"
    "$BASE" -m venv "$VENV"
    "$VENV/bin/python" -m pip install --quiet --disable-pip-version-check --no-input \
      --requirement "$REQUIREMENTS" >&2
    cp "$REQUIREMENTS" "$STAMP"
  fi
  exec 9>&-
fi
echo "$VENV"
