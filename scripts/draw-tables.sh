#!/usr/bin/env bash
# Draws docs/tables.svg from the catalogue, with Graphviz (`dot`). The picture contains its source graph as a
# comment, by which a test checks that the picture is current.
set -euo pipefail
cd "$(dirname "$0")/.."

command -v dot >/dev/null || { echo "Graphviz is not installed (Debian: apt-get install graphviz)" >&2; exit 1; }
graph=$(cargo run --quiet -- tables --diagram)
{
  dot -Tsvg <<<"$graph"
  printf '<!-- source\n%s\n-->\n' "${graph//--/- -}"
} >docs/tables.svg
echo "docs/tables.svg: $(wc -c <docs/tables.svg) bytes"
