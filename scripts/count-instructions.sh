#!/usr/bin/env bash
# Counts the instructions that reading, encoding and fingerprinting take for each row, and compares them with
# the recorded numbers: it reports every change, and fails if one is more than a quarter higher.
#
#   scripts/count-instructions.sh        compares with tests/count/baseline.txt
#   scripts/count-instructions.sh new    writes that file again
#
# A simulated processor counts (valgrind), so the numbers are the same on a busy machine. They may differ on
# another machine, because text is searched with the instructions that its processor has.
set -euo pipefail
cd "$(dirname "$0")/.."

BASELINE=tests/count/baseline.txt
# The highest allowed increase, in percent.
MOST=25
# The difference between FEW and MANY rounds is measured.
FEW=1 MANY=11 ROWS=200

if ! command -v valgrind >/dev/null; then
  echo "SKIPPED  counting instructions: valgrind is not installed (Debian: apt-get install valgrind)" >&2
  exit 0
fi

SECONDS=0
WORK=$(mktemp -d)
trap 'rm -rf "$WORK"' EXIT

# As Fivetran builds it: `unset` as in release-check.sh, whose build this shares.
unset DUCKDB_LIB_DIR
cargo build --quiet --release --locked -p fivetran_source --bench count --message-format=json >"$WORK/build"
COUNT=$(python3 - "$WORK/build" <<'PY'
import json, sys
built = [json.loads(line) for line in open(sys.argv[1]) if line.startswith("{")]
print(*[made["executable"] for made in built
        if made["reason"] == "compiler-artifact" and made["target"]["name"] == "count" and made["executable"]])
PY
)

# Prints the instructions of a number of rounds of a stage.
instructions() {
  local log="$WORK/$1-$2-$3"
  valgrind --tool=cachegrind --cache-sim=no --cachegrind-out-file=/dev/null --log-file="$log" "$COUNT" "$@" || {
    cat "$log" >&2
    echo "FAILED  counting instructions: $COUNT $*" >&2
    return 1
  }
  awk '/I *refs:/ { gsub(",", "", $NF); print $NF }' "$log"
}

"$COUNT" >"$WORK/list"
while read -r TABLE STAGE; do
  ONCE=$(instructions "$TABLE" "$STAGE" "$FEW")
  OFTEN=$(instructions "$TABLE" "$STAGE" "$MANY")
  echo "$TABLE $STAGE $(((OFTEN - ONCE) / (MANY - FEW) / ROWS))"
done <"$WORK/list" >"$WORK/now"

if [ "${1:-}" = new ]; then
  cp "$WORK/now" "$BASELINE"
  echo "wrote $BASELINE"
fi

# Both files have: table, stage, instructions a row. Entries that are in only one file are reported, too.
awk -v most="$MOST" '
  NR == FNR { was[$1 " " $2] = $3; next }
  !($1 " " $2 in was) { printf "      %-12s %-12s %7d instructions per row, not in the baseline\n", $1, $2, $3; bad = 1; next }
  {
    before = was[$1 " " $2]
    change = ($3 - before) * 100 / before
    printf "      %-12s %-12s %7d instructions per row, before %7d: %+6.1f %%\n", $1, $2, $3, before, change
    if (change > most) bad = 1
    delete was[$1 " " $2]
  }
  END {
    for (gone in was) { printf "      %s is only in the baseline\n", gone; bad = 1 }
    exit bad
  }
' "$BASELINE" "$WORK/now" >"$WORK/report" || {
  cat "$WORK/report" >&2
  echo "FAILED  instructions: more than $MOST % above $BASELINE, or different stages; see CONTRIBUTING.md" >&2
  exit 1
}
printf 'ok  %-44s %4d s\n' "instructions per row, against the baseline" "$SECONDS"
cat "$WORK/report"
