#!/usr/bin/env bash
# Runs a command and shows its output only if it fails.
#
#   scripts/quietly.sh LABEL COMMAND...
set -uo pipefail

LABEL=${1:?label}
shift
LOG=$(mktemp)
trap 'rm -f "$LOG"' EXIT
SECONDS=0
"$@" >"$LOG" 2>&1
STATUS=$?
if [ "$STATUS" -ne 0 ]; then
  cat "$LOG" >&2
  echo "FAILED  $LABEL: $*" >&2
  exit "$STATUS"
fi
printf 'ok  %-44s %4d s\n' "$LABEL" "$SECONDS"
