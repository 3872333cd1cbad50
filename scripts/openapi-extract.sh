#!/usr/bin/env bash
# What some versions of Prefect's API take and give, for tests: tests/fixtures/openapi/VERSION.json.
#
#   scripts/openapi-extract.sh [VERSION...]            (without one: those that are there already)
#
# Each version is installed into an environment of its own, in a temporary folder, a minute or two for
# each. tests/python/openapi_extract.py tells what the files hold. For a new version of Prefect, or when
# more of the API is to be looked at.
set -euo pipefail
cd "$(dirname "$0")/.."

FIXTURES=tests/fixtures/openapi
WORK=$(mktemp -d)
trap 'rm -rf "$WORK"' EXIT

# What the tests' servers are made of where it is one of them. Otherwise today's packages, but for
# FastAPI: newer ones do not take what older servers ask of it.
install_into() {
  local venv=$1 version=$2 pinned
  pinned=$(grep -lx "prefect==$version" tests/python/prefect-*.txt || true)
  "${PYTHON:-python3}" -m venv "$venv"
  if [ -n "$pinned" ]; then
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --requirement "$pinned" >&2
    return
  fi
  "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps "prefect==$version" >&2
  # Certificates do not shape the document, and the newest may not be had everywhere.
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
