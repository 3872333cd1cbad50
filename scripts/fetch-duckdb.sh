#!/usr/bin/env bash
# Fetches DuckDB's prebuilt library, which the local run links, and verifies its checksum.
#
#   scripts/fetch-duckdb.sh DIR    writes DIR/libduckdb.so; does nothing if that version is there already
#
# The pinned version is the one that the `duckdb` crate in Cargo.toml is generated for (1.10506 =
# DuckDB 1.5.6). It comes from the npm registry, as part of DuckDB's own Node.js bindings. On a
# machine this script does not know, unpack DuckDB's official release of that version
# (libduckdb-<os>-<arch>.zip) anywhere and set DUCKDB_LIB_DIR to that folder.
set -euo pipefail

DIR=${1:?usage: fetch-duckdb.sh DIR}
VERSION=1.5.6-r.1

case "$(uname -s)-$(uname -m)" in
  Linux-x86_64)
    PACKAGE=@duckdb/node-bindings-linux-x64
    SHA512=21772b64913a904a8cd19e30c1d5671811d7fdface4b7dd53cd0300d743f43e16cf386f4e7c41ef78721ac208870d2651bc6375072145387817824315b998dd5
    LIBRARY=libduckdb.so
    ;;
  *)
    echo "no pinned DuckDB library for $(uname -s)-$(uname -m): unpack DuckDB 1.5.6's official release and set DUCKDB_LIB_DIR to its folder" >&2
    exit 1
    ;;
esac

[ -e "$DIR/$VERSION.ok" ] && exit 0

command -v npm >/dev/null || { echo "npm is needed to fetch DuckDB (or set DUCKDB_LIB_DIR)" >&2; exit 1; }
echo "fetching DuckDB ($PACKAGE $VERSION)" >&2
mkdir -p "$DIR"
WORK=$(mktemp -d "$DIR/fetch.XXXXXX")
trap 'rm -rf "$WORK"' EXIT

(cd "$WORK" && npm pack --silent "$PACKAGE@$VERSION" >/dev/null)
TARBALL=$(echo "$WORK"/*.tgz)
echo "$SHA512  $TARBALL" | sha512sum --check --quiet - || {
  echo "DuckDB's package does not have the expected checksum; nothing was installed" >&2
  exit 1
}
tar -xzf "$TARBALL" -C "$WORK"
mv "$WORK/package/$LIBRARY" "$DIR/$LIBRARY"
touch "$DIR/$VERSION.ok"
