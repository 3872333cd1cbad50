#!/usr/bin/env bash
# Packs a folder so that equal contents are equal bytes: sorted, without owners, with one time.
#
#   scripts/archive.sh FOLDER FILE.tar.gz
#
# The time of the files is $SOURCE_DATE_EPOCH, by default that of the last commit.
set -euo pipefail

FOLDER=${1:?folder} FILE=${2:?file}
EPOCH=${SOURCE_DATE_EPOCH:-$(git -C "$(dirname "$0")" log -1 --format=%ct 2>/dev/null || echo 315532800)}
tar --sort=name --mtime="@$EPOCH" --owner=0 --group=0 --numeric-owner --mode='u+rwX,go+rX,go-w' \
  --create --file - --directory "$(dirname "$FOLDER")" "$(basename "$FOLDER")" | gzip --no-name -9 >"$FILE"
