#!/usr/bin/env bash
# Runs the benchmarks: rows in one thread, then the connector end to end, with a caller of its own, grpcio and
# grpc-java, compared with its floor, with an earlier build, with dlt and with the official Python connector.
#
#   scripts/bench.sh [ARGUMENTS OF THE END-TO-END BENCHMARK...]
#
# BENCH_RUNS, BENCH_LARGE (runs; 0 leaves it out), BENCH_STALL (seconds; 0 leaves it out) and BENCH_TIMES
# reduce the work. BENCH_TARGET_DIR is the target folder of the benchmarks' own workspace. BENCH_BASELINE is the
# commit of the earlier build (none: skips it).
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/cache-dir.sh

# The build with which this one is compared: the last one before the work on standard callers.
BASELINE=${BENCH_BASELINE:-ba0426d}

TARGET=$(realpath -m "${CARGO_TARGET_DIR:-target}")
BENCH_TARGET=$(realpath -m "${BENCH_TARGET_DIR:-${CARGO_TARGET_DIR:-tests/bench/target}}")
PYTHON=$(scripts/python-venv.sh dlt tests/bench/peers/dlt.txt 3.10 3.12)/bin/python
ARGUMENTS=(--dlt "$PYTHON" --grpcio "$(scripts/python-venv.sh client tests/python/client.txt 3.10 3.12)/bin/python")

# grpc-java as Debian packages it.
jars() {
  local name
  for name in grpc-api grpc-context grpc-core grpc-stub grpc-netty guava perfmark-api \
    netty-buffer netty-codec netty-codec-http netty-codec-http2 netty-codec-socks netty-common netty-handler \
    netty-handler-proxy netty-resolver netty-transport netty-transport-native-unix-common; do
    printf '%s/%s.jar:' /usr/share/java "$name"
  done
}
if [ -e /usr/share/java/grpc-netty.jar ] && [ -e /usr/share/java/netty-codec-http2.jar ] && command -v javac >/dev/null; then
  ARGUMENTS+=(--grpc-java "$(jars)")
else
  echo "grpc-java is not measured (Debian: apt-get install libgrpc-java libnetty-java libperfmark-java openjdk-17-jdk-headless)" >&2
fi

# The official connector's file is not part of this repository.
if [ -n "${BENCH_OFFICIAL_CONNECTOR:-}" ]; then
  ARGUMENTS+=(--sdk "$(scripts/python-venv.sh sdk tests/python/sdk.txt 3.10 3.12)/bin/python")
else
  echo "the official Python connector is not measured: set BENCH_OFFICIAL_CONNECTOR to the path of its connector.py" >&2
fi

# Both executables as Fivetran builds them, without the DuckDB library.
build() {
  (unset DUCKDB_LIB_DIR && cd "$1" && CARGO_TARGET_DIR=$2 cargo build --quiet --release --locked -p fivetran_source)
}
build . "$TARGET"
if [ "$BASELINE" != none ]; then
  EARLIER=$FIVETRAN_SOURCE_CACHE/bench-$BASELINE
  if [ ! -e "$EARLIER/fivetran_source" ]; then
    rm -rf "$EARLIER" && mkdir -p "$EARLIER/source"
    git archive "$BASELINE" | tar -x -C "$EARLIER/source"
    build "$EARLIER/source" "$EARLIER/target"
    cp "$EARLIER/target/release/fivetran_source" "$EARLIER/"
    rm -rf "$EARLIER/target" "$EARLIER/source"
  fi
  ARGUMENTS+=(--baseline "$EARLIER/fivetran_source")
fi
cd tests/bench
export CARGO_TARGET_DIR=$BENCH_TARGET LD_LIBRARY_PATH=$DUCKDB_LIB_DIR
cargo build --quiet --release --locked --bins
exec "$BENCH_TARGET/release/bench" --connector "$TARGET/release/fivetran_source" "${ARGUMENTS[@]}" "$@"
