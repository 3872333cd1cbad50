#!/usr/bin/env bash
# Writes docs/report.png and docs/report-dark.png: the pages of the demo workspace's first sync in light mode and of
# its second sync in dark mode, in Chromium.
#
#   scripts/report-screenshot.sh COMMAND...     COMMAND runs the executable
#
# Needs Chromium and Node, and compresses the pictures with pngquant if that is installed.
set -euo pipefail
CHECKOUT=$(cd "$(dirname "$0")/.." && pwd)

CHROMIUM=${CHROMIUM:-$(command -v chromium chromium-browser google-chrome google-chrome-stable | head -n 1 || true)}
[ -n "$CHROMIUM" ] || {
  echo "Chromium is not installed (Debian: apt-get install chromium)" >&2
  exit 1
}
WORK=$(mktemp -d)
trap 'rm -rf "$WORK"' EXIT
# In this folder, the paths on the page are those of `make demo`.
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
