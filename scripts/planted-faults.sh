#!/usr/bin/env bash
# Plants faults in a copy of the source, one after another, and shows that the simulation, or a named test, finds each.
#
#   scripts/planted-faults.sh [NAME...]
#
# A fault is a file in tests/planted/ with a description, the invariant that it breaks, the expected failure
# (an extended regular expression), the tests that must fail, the number of failing histories to examine if
# other checks find the fault, too (default: 3), and the change itself. Without names: all faults.
# SEEDS is the number of histories that a fault may need (default: 2,000).
#
# Fails if a fault is not found, if it is found as another failure, or if the simulation fails without a fault.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/cache-dir.sh

HERE=$PWD
SEEDS=${SEEDS:-2000}
# The copy is always in the same folder, so that cargo builds only the changes of a fault.
PLANTED=$FIVETRAN_SOURCE_CACHE/planted
COPY=$PLANTED/checkout
LOG=$PLANTED/log
export CARGO_TARGET_DIR=$PLANTED/target
export DUCKDB_LIB_DIR=${DUCKDB_LIB_DIR:-$FIVETRAN_SOURCE_CACHE/duckdb}
# Debug information and backtraces would only cost time here.
export CARGO_PROFILE_LOCAL_DEBUG=false RUST_BACKTRACE=0
CARGO=(cargo test --quiet --profile local --features local --test it)

mkdir -p "$PLANTED"
if ! mkdir "$PLANTED/lock" 2>/dev/null; then
  echo "FAILED  another run is in progress; if not, remove $PLANTED/lock" >&2
  exit 1
fi
trap 'rmdir "$PLANTED/lock"' EXIT
rm -rf "$COPY"
mkdir "$COPY"
# Copies tracked and untracked files as they are, but with new times, so that cargo checks all of them.
git ls-files -z --cached --others --exclude-standard | tar -c --null -T - | tar -xm -C "$COPY"
cd "$COPY"

field() { # NAME FILE
  sed -n "s/^$1: //p;/^---/q" "$2"
}

# Prints the first line of the log that matches the pattern, preceded by the seed or the test.
found() { # PATTERN
  local line
  line=$(sed -n '/^--- failing seeds/,/^[^0-9-]/p' "$LOG" | grep -E "^[0-9]+: .*($1)" | head -n 1) || true
  if [ -z "$line" ] && grep -qE "$1" "$LOG"; then
    line=$(sed -n 's/^    \(\(sim\|catalogue\|chaos\)::[a-z_:]*\)$/\1/p' "$LOG" | grep -v random_histories | head -n 1) || true
    [ -z "$line" ] || line="$line: $(grep -m 1 -oE ".*($1).*" "$LOG")"
  fi
  printf '%s' "$line"
}

row() { printf '%-38s | %-6s | %-5s | %.120s\n' "$@"; }

FAILURES=0
fail() {
  FAILURES=$((FAILURES + 1))
  row "$@"
}

plant() { # FILE
  local name pattern test failures line
  name=$(basename "$1" .patch)
  pattern=$(field 'Caught as' "$1")
  test=$(field Test "$1")
  failures=$(field Failures "$1")
  rm -rf src
  cp -R "$HERE/src" src
  if ! patch --quiet --strip 1 --fuzz 0 --no-backup-if-mismatch <"$1" >"$LOG" 2>&1; then
    cat "$LOG" >&2
    fail "$name" - - "DOES NOT APPLY: update tests/planted/$name.patch"
  elif ! "${CARGO[@]}" --no-run >"$LOG" 2>&1; then
    cat "$LOG" >&2
    fail "$name" - - "DOES NOT BUILD: update tests/planted/$name.patch"
  elif SIM_SEEDS=$SEEDS SIM_FIRST=0 SIM_FAILURES=${failures:-3} \
    "${CARGO[@]}" "$test" -- --nocapture >"$LOG" 2>&1; then
    fail "$name" - - "NOT FOUND in $SEEDS seeds"
  else
    line=$(found "$pattern")
    if [ -z "$line" ]; then
      sed -n '/failing seeds/,/^[^0-9-]/p' "$LOG" >&2
      fail "$name" - - "FOUND AS ANOTHER FAILURE than $pattern"
    elif [[ $line =~ ^(sim|catalogue|chaos):: ]]; then
      row "$name" "$(field Invariant "$1" | cut -d, -f1)" - "$line"
    else
      row "$name" "$(field Invariant "$1" | cut -d, -f1)" "$((${line%%:*} + 1))" "${line#*: }"
    fi
  fi
}

if ! SIM_SEEDS=300 SIM_FIRST=0 "${CARGO[@]}" sim:: >"$LOG" 2>&1; then
  cat "$LOG" >&2
  echo "FAILED  the simulation fails without a planted fault" >&2
  exit 1
fi
row fault breaks 'seeds' 'found as'
row -------------------------------------- ------ ----- ------------------------------------------------------------
row 'none' - 300 'nothing'
if [ $# -gt 0 ]; then
  for name; do plant "$HERE/tests/planted/$name.patch"; done
else
  for file in "$HERE"/tests/planted/*.patch; do plant "$file"; done
fi
if [ "$FAILURES" -gt 0 ]; then
  echo "FAILED  $FAILURES fault(s) not found" >&2
  exit 1
fi
