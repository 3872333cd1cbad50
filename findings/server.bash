# Sourced by the scripts beside it: a private Prefect server on this machine, made of pinned public packages that are
# installed in a temporary folder and removed with it. Nothing of the connector runs.
#
#   environment NAME REQUIREMENTS   installs findings/REQUIREMENTS; prints the environment's folder
#   start_server FOLDER             starts the server of that environment; sets URL to the address of its API
#
# Needs Python 3.11 or 3.12 as `python3` ($PYTHON names another one).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

WORK=$(mktemp -d)
SERVER=
finish() {
  if [ -n "$SERVER" ]; then
    kill "$SERVER" 2>/dev/null || true
    wait "$SERVER" 2>/dev/null || true
  fi
  rm -rf "$WORK"
}
trap finish EXIT
for NAME in ${!PREFECT_*}; do unset "$NAME"; done
export PREFECT_HOME=$WORK/home DO_NOT_TRACK=1 PREFECT_SERVER_ANALYTICS_ENABLED=false
export PYTHONPATH=findings PYTHONDONTWRITEBYTECODE=1
export PREFECT_SERVER_UI_ENABLED=false NO_PROXY=127.0.0.1 PYTHONWARNINGS=ignore

environment() {
  "${PYTHON:-python3}" -m venv "$WORK/$1"
  "$WORK/$1/bin/python" -m pip install --quiet --disable-pip-version-check --requirement "findings/$2" >&2
  echo "$WORK/$1"
}

start_server() {
  "$1/bin/python" tests/python/prefect_server.py 0 >"$WORK/url" 2>"$WORK/server.log" &
  SERVER=$!
  until grep -qs http "$WORK/url"; do
    kill -0 "$SERVER"
    sleep 0.2
  done
  URL=$(head -n 1 "$WORK/url")
  # Answered when the server is up.
  "$1/bin/python" -c 'import httpx, sys; httpx.get(sys.argv[1] + "/ready", timeout=300).raise_for_status()' "$URL"
}
