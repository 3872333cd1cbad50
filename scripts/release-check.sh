#!/usr/bin/env bash
# Builds what Fivetran builds, the way Fivetran builds it, and looks at the result: exactly one
# executable, that runs, and that needs no library which Fivetran's machine may not have.
set -euo pipefail
cd "$(dirname "$0")/.."

fail() {
  echo "FAILED  release check: $*" >&2
  exit 1
}

# Locked: what was tested is what gets built. Fivetran knows nothing of the DuckDB library; neither may the build.
unset DUCKDB_LIB_DIR
cargo build --quiet --release --locked -p fivetran_source

RELEASE=${CARGO_TARGET_DIR:-target}/release
FOUND=$(find "$RELEASE" -maxdepth 1 -type f -perm -u+x ! -name '*.so' ! -name '*.dylib' ! -name '*.d')
[ "$FOUND" = "$RELEASE/fivetran_source" ] || fail "expected one executable, found: $FOUND"

"$RELEASE/fivetran_source" --version >/dev/null || fail "it does not run"

if command -v ldd >/dev/null; then
  NEEDS=$(ldd "$RELEASE/fivetran_source")
  if echo "$NEEDS" | grep -Ei 'ssl|crypto|stdc\+\+|duckdb|not found'; then
    fail "it needs the libraries above"
  fi
fi
SIZE=$(wc -c <"$RELEASE/fivetran_source")
echo "release: one executable, $((SIZE / 1024)) KiB"
