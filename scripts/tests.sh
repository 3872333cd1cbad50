#!/usr/bin/env bash
# Runs all tests, and prints the number of tests, the number that ran against real Prefect servers, and the number that
# ran in a real browser.
#
#   scripts/tests.sh CARGO_ARGUMENTS...
#
# If no test ran against a real server, the script fails: otherwise test code that stopped using such servers would
# pass unnoticed. Tests that found no Chromium are reported; in CI (where $CI is set) they fail.
set -euo pipefail
cd "$(dirname "$0")/.."

WORK=$(mktemp -d)
trap 'rm -rf "$WORK"' EXIT
export REAL_SERVER_TALLY=$WORK/tally
: >"$REAL_SERVER_TALLY"
export BROWSER_TALLY=$WORK/browser
: >"$BROWSER_TALLY"

# Installed in advance, so that the installation does not count in the time of a test.
scripts/prefect-server.sh install 3 >/dev/null
scripts/prefect-server.sh install 2 >/dev/null
scripts/prefect-server.sh install client-3.1 >/dev/null
scripts/prefect-server.sh install postgres >/dev/null
scripts/python-venv.sh client tests/python/client.txt 3.10 3.12 >/dev/null
scripts/python-venv.sh sdk tests/python/sdk.txt 3.10 3.12 >/dev/null
scripts/node-modules.sh >/dev/null

SECONDS=0
if ! cargo test --quiet --workspace "$@" >"$WORK/log" 2>&1; then
  cat "$WORK/log" >&2
  echo "FAILED  tests" >&2
  exit 1
fi
PASSED=$(awk '/^test result: ok/ { sum += $4 } END { print sum + 0 }' "$WORK/log")
REAL=$(sort -u "$REAL_SERVER_TALLY" | grep -c . || true)
printf 'ok  %-44s %4d s\n' "$PASSED tests, $REAL of them on real Prefect servers" "$SECONDS"
sort -u "$REAL_SERVER_TALLY" | sed 's/^Three/      Prefect 3 /; s/^Two/      Prefect 2 /'
sort -u "$BROWSER_TALLY" | grep -v '^SKIPPED' | sed 's/^/      /' || true
if grep '^SKIPPED' "$BROWSER_TALLY" | sort -u | sed 's/^/      /' | grep .; then
  echo "      SKIPPED  the tests above: report.html was not opened in a browser." >&2
fi
if [ "$REAL" -eq 0 ]; then
  echo "FAILED  no test ran against a real Prefect server" >&2
  exit 1
fi
echo "$PASSED passed, 0 failed"
