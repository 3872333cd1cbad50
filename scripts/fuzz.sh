#!/usr/bin/env bash
# Runs the fuzz targets one after another: all, or TARGET; each for SECONDS. Needs a nightly Rust and
# cargo-fuzz. New inputs stay in the target folder; MINIMISE=yes replaces fuzz/corpus by those of the old and
# new inputs that reach new code.
#
#   scripts/fuzz.sh [TARGET] [SECONDS]
set -euo pipefail
cd "$(dirname "$0")/.."
ONLY=${1:-}
EACH=${2:-60}
if ! cargo +nightly fuzz --version >/dev/null 2>&1; then
  echo "FAILED  fuzz: needs a nightly Rust (rustup toolchain install nightly) and cargo-fuzz (cargo install cargo-fuzz)" >&2
  exit 1
fi
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$PWD/fuzz/target}
# No sanitizer: the connector has no unsafe code, and without a sanitizer more inputs are tried.
BUILD=(cargo +nightly fuzz build --sanitizer none)
"${BUILD[@]}" 2>&1 | tail -n 1
BIN=$CARGO_TARGET_DIR/x86_64-unknown-linux-gnu/release

for FILE in fuzz/fuzz_targets/*.rs; do
  NAME=$(basename "$FILE" .rs)
  [ -z "$ONLY" ] || [ "$ONLY" = "$NAME" ] || continue
  WORK=$CARGO_TARGET_DIR/corpus/$NAME
  SEEDS=fuzz/corpus/$NAME
  mkdir -p "$WORK" "$CARGO_TARGET_DIR/artifacts/$NAME"
  DICT=()
  case $NAME in
    pages | rows | state | csrf | events) DICT=(-dict=fuzz/json.dict) ;;
  esac
  LOG=$CARGO_TARGET_DIR/fuzz-$NAME.log
  echo "$NAME: $EACH s"
  if ! "$BIN/$NAME" "$WORK" "$SEEDS" "${DICT[@]}" -max_total_time="$EACH" -timeout=25 \
    -print_final_stats=1 -artifact_prefix="$CARGO_TARGET_DIR/artifacts/$NAME/" >"$LOG" 2>&1; then
    tail -n 40 "$LOG"
    echo "FAILED  fuzz $NAME: the input is in $CARGO_TARGET_DIR/artifacts/$NAME" >&2
    exit 1
  fi
  grep -E ' INITED | DONE ' "$LOG" | sed 's/^/  /'
  grep -E 'number_of_executed_units|peak_rss_mb' "$LOG" | sed 's/^stat::/  /'
  if [ "${MINIMISE:-}" = yes ]; then
    MERGED=$(mktemp -d)
    "$BIN/$NAME" -merge=1 "$MERGED" "$SEEDS" "$WORK" >>"$LOG" 2>&1
    rm -rf "$SEEDS"
    mv "$MERGED" "$SEEDS"
    echo "  $(find "$SEEDS" -type f | wc -l) inputs, $(du -sb "$SEEDS" | cut -f1) bytes kept"
  fi
done
