#!/usr/bin/env bash
# Builds the connector the way Fivetran builds it, and checks the result: exactly one executable, which runs
# and needs no library that Fivetran's machine may lack.
set -euo pipefail
cd "$(dirname "$0")/.."

fail() {
  echo "FAILED  release check: $*" >&2
  exit 1
}

# Locked, so that the tested versions are built. Fivetran has no DuckDB library, so the build must not use one.
unset DUCKDB_LIB_DIR
cargo build --quiet --release --locked -p fivetran_source

RELEASE=${CARGO_TARGET_DIR:-target}/release
FOUND=$(find "$RELEASE" -maxdepth 1 -type f -perm -u+x ! -name '*.so' ! -name '*.dylib' ! -name '*.d')
[ "$FOUND" = "$RELEASE/fivetran_source" ] || fail "expected one executable, found: $FOUND"

TREE=$(cargo tree --locked --edges normal --prefix none -p fivetran_source)
if echo "$TREE" | grep -E '^(fivetran-runner|prefect-fake|duckdb) '; then
  fail "the packages above belong to the local run only"
fi

"$RELEASE/fivetran_source" --version >/dev/null || fail "it does not run"

if command -v ldd >/dev/null; then
  NEEDS=$(ldd "$RELEASE/fivetran_source")
  if echo "$NEEDS" | grep -Ei 'ssl|crypto|stdc\+\+|duckdb|not found'; then
    fail "it needs the libraries above"
  fi
fi
# The oldest glibc with all symbols that the executable needs; that of this machine is the highest possible.
FLOOR=
if command -v objdump >/dev/null; then
  FLOOR=", needs $(objdump -T "$RELEASE/fivetran_source" | grep -o 'GLIBC_[0-9.]*' | sort -Vu | tail -1)"
fi
SIZE=$(wc -c <"$RELEASE/fivetran_source")
echo "release: one executable, $((SIZE / 1024)) KiB$FLOOR"
