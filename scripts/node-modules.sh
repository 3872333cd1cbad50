#!/usr/bin/env bash
# Installs the packages of tests/node in the cache folder once, and prints the folder that holds node_modules.
#
# Several processes may call this script at once. As in scripts/python-venv.sh, the installation is complete
# only when its stamp, a copy of the lock file, exists.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/cache-dir.sh

MODULES=$FIVETRAN_SOURCE_CACHE/node
STAMP=$MODULES/package-lock.installed

if ! cmp -s tests/node/package-lock.json "$STAMP"; then
  mkdir -p "$FIVETRAN_SOURCE_CACHE"
  exec 9>"$MODULES.lock"
  python3 -c 'import fcntl; fcntl.flock(9, fcntl.LOCK_EX)'
  if ! cmp -s tests/node/package-lock.json "$STAMP"; then
    echo "installing tests/node into $MODULES (once, some seconds)" >&2
    rm -rf "$MODULES"
    mkdir -p "$MODULES"
    cp tests/node/package.json tests/node/package-lock.json "$MODULES"
    npm ci --prefix "$MODULES" --ignore-scripts --no-audit --no-fund --loglevel=error >&2
    cp tests/node/package-lock.json "$STAMP"
  fi
  exec 9>&-
fi
echo "$MODULES"
