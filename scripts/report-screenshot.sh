#!/usr/bin/env bash
# Makes docs/report.png and docs/report-dark.png anew: the pages of the demo workspace's first and second sync, as
# Chromium shows them to those who like it light, and dark.
#
#   scripts/report-screenshot.sh COMMAND...     COMMAND runs the executable
#
# Needs Chromium and Node, and makes the pictures smaller with pngquant where that is installed.
set -euo pipefail
CHECKOUT=$(cd "$(dirname "$0")/.." && pwd)

CHROMIUM=${CHROMIUM:-$(command -v chromium chromium-browser google-chrome google-chrome-stable | head -n 1 || true)}
[ -n "$CHROMIUM" ] || {
  echo "there is no Chromium (Debian: apt-get install chromium)" >&2
  exit 1
}
WORK=$(mktemp -d)
trap 'rm -rf "$WORK"' EXIT
# Paths on the page are then those of `make demo`.
cd "$WORK"

picture() { # NAME DARK
  "${COMMAND[@]}" debug --demo --dir files >/dev/null
  node "$CHECKOUT/tests/node/browser.mjs" "$CHROMIUM" \
    "{\"url\":\"file://$WORK/files/report.html\",\"dark\":$2,\"screenshot\":\"$WORK/$1.png\"}" >/dev/null
  ! command -v pngquant >/dev/null || pngquant --force --output "$1.png" 128 "$1.png"
  mv "$1.png" "$CHECKOUT/docs/$1.png"
}

COMMAND=("$@")
picture report false
picture report-dark true
