#!/usr/bin/env bash
# Extracts the API of some versions of Prefect, for tests: tests/fixtures/openapi/VERSION.json.
#
#   scripts/openapi-extract.sh [VERSION...]            (default: the versions of the existing files)
#
# Each version is installed into an environment of its own, in a temporary folder, which takes a minute or
# two. tests/python/openapi_extract.py describes the files. Run this script for a new version of Prefect, or
# to extract more of the API.
set -euo pipefail
cd "$(dirname "$0")/.."

FIXTURES=tests/fixtures/openapi
WORK=$(mktemp -d)
trap 'rm -rf "$WORK"' EXIT

# Installs the pinned packages of the tests' servers if the version is one of them. Otherwise it installs the
# current packages, except for FastAPI: its newer versions do not support older servers.
install_into() {
  local venv=$1 version=$2 pinned
  pinned=$(grep -lx "prefect==$version" tests/python/prefect-*.txt || true)
  "${PYTHON:-python3}" -m venv "$venv"
  if [ -n "$pinned" ]; then
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --requirement "$pinned" >&2
    return
  fi
  "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps "prefect==$version" >&2
  # Certificates do not affect the document, and the newest version may not be available everywhere.
  "$venv/bin/python" - >"$venv/requirements.txt" <<'PY'
import importlib.metadata, re
for requirement in importlib.metadata.requires("prefect"):
    if "extra ==" not in requirement:
        print(re.sub(r"^certifi.*", "certifi", requirement))
PY
  grep '^fastapi==' tests/python/prefect-3.txt >"$venv/constraints.txt"
  "$venv/bin/python" -m pip install --quiet --disable-pip-version-check \
    --requirement "$venv/requirements.txt" --constraint "$venv/constraints.txt" >&2
}

mkdir -p "$FIXTURES"
if [ $# -eq 0 ]; then
  for FILE in "$FIXTURES"/*.json; do
    set -- "$@" "$(basename "$FILE" .json)"
  done
fi
for VERSION in "$@"; do
  VENV=$WORK/$VERSION
  install_into "$VENV" "$VERSION"
  env -u PREFECT_API_URL -u PREFECT_PROFILE PREFECT_HOME="$VENV/home" DO_NOT_TRACK=1 \
    "$VENV/bin/python" -W ignore tests/python/openapi_extract.py "$WORK/extract.json"
  mv "$WORK/extract.json" "$FIXTURES/$VERSION.json"
  rm -rf "$VENV"
  echo "$FIXTURES/$VERSION.json"
done
