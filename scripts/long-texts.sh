#!/usr/bin/env bash
# Syncs rows with long texts into a new warehouse with 2 GB of memory, and prints the peak RSS of the local run. By
# default 10,240 rows of 1 MiB. Needs a tenth more than their size as free space in $TMPDIR.
#
#   scripts/long-texts.sh EXECUTABLE [ROWS] [BYTES]
#
# The limit of 2 GB includes the connector. It is set by a control group, which needs root permissions; without them the
# sync runs without a limit, and only the peak RSS is checked.
set -euo pipefail
cd "$(dirname "$0")/.."

EXECUTABLE=$(realpath "${1:?executable}") ROWS=${2:-10240} BYTES=${3:-1048576}
PYTHON=$(scripts/python-venv.sh client tests/python/client.txt 3.10 3.12)/bin/python
PROTOS=$PWD/proto
CONNECTOR=$PWD/tests/python/long_texts.py
export LD_LIBRARY_PATH=$DUCKDB_LIB_DIR
LIMIT=$((2 << 30))

WORK=$(mktemp -d)
GROUP=
finish() {
  rm -rf "$WORK"
  if [ -n "$GROUP" ]; then
    # The shell leaves the group, which can be removed only when it is empty.
    echo $$ >"$(dirname "$GROUP")/cgroup.procs"
    rmdir "$GROUP"
  fi
}
trap finish EXIT

# Control groups of version 1 have a folder for each controller.
ROOT=/sys/fs/cgroup NAME=memory.max
if [ -d "$ROOT/memory" ]; then
  ROOT=$ROOT/memory NAME=memory.limit_in_bytes
fi
if mkdir "$ROOT/long-texts-$$" 2>/dev/null; then
  GROUP=$ROOT/long-texts-$$
fi
if [ -n "$GROUP" ] && echo "$LIMIT" 2>/dev/null >"$GROUP/$NAME" && echo $$ >"$GROUP/cgroup.procs"; then
  echo "$ROWS rows of $BYTES bytes, with 2 GB of memory"
else
  echo "$ROWS rows of $BYTES bytes, without a limit of the memory (that needs root and the memory controller)"
fi

cd "$WORK"
"$PYTHON" - "$LIMIT" "$EXECUTABLE" debug --spawn "$PYTHON $CONNECTOR $PROTOS {port} $ROWS $BYTES" <<'PY'
import os
import subprocess
import sys

limit, command = int(sys.argv[1]), sys.argv[2:]
with open("output", "w+") as output:
    sync = subprocess.Popen(command, stdout=output, stderr=output, stdin=subprocess.DEVNULL)
    _, status, used = os.wait4(sync.pid, 0)
    output.seek(0)
    last = [line for line in output.read().splitlines() if line.startswith(("Took", "Sync"))]
print(*last, sep="\n")
print(f"peak RSS: {used.ru_maxrss >> 10} MiB")
sys.exit(status != 0 or used.ru_maxrss << 10 > limit)
PY
