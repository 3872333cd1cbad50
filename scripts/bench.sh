#!/usr/bin/env bash
# Runs the benchmarks: rows in one thread, then the connector end to end, compared with its floor and with dlt.
#
#   scripts/bench.sh [ARGUMENTS OF THE END-TO-END BENCHMARK...]
#
# BENCH_RUNS, BENCH_LARGE (runs; 0 leaves it out), BENCH_STALL (seconds; 0 leaves it out) and BENCH_TIMES
# reduce the work. BENCH_TARGET_DIR is the target folder of the benchmarks' own workspace.
set -euo pipefail
cd "$(dirname "$0")/.."

TARGET=$(realpath -m "${CARGO_TARGET_DIR:-target}")
BENCH_TARGET=$(realpath -m "${BENCH_TARGET_DIR:-${CARGO_TARGET_DIR:-tests/bench/target}}")
PYTHON=$(scripts/python-venv.sh dlt tests/bench/dlt.txt 3.10 3.12)/bin/python

# The executable as Fivetran builds it, without the DuckDB library.
(unset DUCKDB_LIB_DIR && cargo build --quiet --release --locked -p fivetran_source)
cd tests/bench
export CARGO_TARGET_DIR=$BENCH_TARGET LD_LIBRARY_PATH=$DUCKDB_LIB_DIR
cargo build --quiet --release --locked --bins
exec "$BENCH_TARGET/release/bench" --connector "$TARGET/release/fivetran_source" --dlt "$PYTHON" "$@"
