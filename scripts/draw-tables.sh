#!/usr/bin/env bash
# Draws docs/tables.svg from the tables, with Graphviz (`dot`). The picture contains its source graph as a comment, by
# which a test checks that the picture is current.
#
#   scripts/draw-tables.sh COMMAND...     COMMAND runs the executable
set -euo pipefail
cd "$(dirname "$0")/.."

command -v dot >/dev/null || { echo "Graphviz is not installed (Debian: apt-get install graphviz)" >&2; exit 1; }
graph=$("$@" tables --diagram)
{
  dot -Tsvg <<<"$graph"
  printf '<!-- source\n%s\n-->\n' "${graph//--/- -}"
} >docs/tables.svg
echo docs/tables.svg
