#!/usr/bin/env bash
# Measures four syncs of a real Prefect server with PostgreSQL; see tests/bench/peers/real_server.py.
#
#   scripts/bench-real.sh [--runs NUMBER]
#
# BENCH_OFFICIAL_CONNECTOR is the path of the official Python connector's connector.py, which makes the same syncs then.
set -euo pipefail
cd "$(dirname "$0")/.."

TARGET=$(realpath -m "${CARGO_TARGET_DIR:-target}")
(unset DUCKDB_LIB_DIR && cargo build --quiet --release --locked -p fivetran_source)
PYTHON=$(scripts/python-venv.sh client tests/python/client.txt 3.10 3.12)/bin/python
ARGUMENTS=()
if [ -n "${BENCH_OFFICIAL_CONNECTOR:-}" ]; then
  SDK=$(scripts/python-venv.sh sdk tests/python/sdk.txt 3.10 3.12)/bin/python
  ARGUMENTS+=(--official "$SDK" "$BENCH_OFFICIAL_CONNECTOR")
fi
exec "$PYTHON" tests/bench/peers/real_server.py "$TARGET/release/fivetran_source" "${ARGUMENTS[@]}" "$@"
