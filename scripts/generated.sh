#!/usr/bin/env bash
# Writes the files that are generated from the tables, the messages and the rules of conformance; CONTRIBUTING.md lists
# all generated files.
#
#   scripts/generated.sh COMMAND...     COMMAND runs the executable
set -euo pipefail
cd "$(dirname "$0")/.."

COMMAND=("$@")
NEW=$(mktemp)
trap 'rm -f "$NEW"' EXIT

write() { # FILE ARGUMENTS...
  "${COMMAND[@]}" "${@:2}" >"$NEW"
  # Not moved, so that the file keeps its permissions, and not touched without a change, so that nothing is rebuilt.
  cmp --silent "$NEW" "$1" || cat "$NEW" >"$1"
  echo "$1"
}

write docs/TABLES.md tables --markdown
write docs/MESSAGES.md messages
write docs/CONFORMANCE.md conformance --list-rules
"${COMMAND[@]}" tables --json | python3 scripts/table_lists.py
if command -v dot >/dev/null; then
  scripts/draw-tables.sh "${COMMAND[@]}"
else
  echo "SKIPPED  docs/tables.svg: Graphviz is not installed (Debian: apt-get install graphviz)" >&2
fi
