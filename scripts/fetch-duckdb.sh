#!/bin/sh
# Fetches DuckDB's prebuilt library, which the local run links, and verifies its checksum.
#
#   scripts/fetch-duckdb.sh DIR [PLATFORM]    writes the library of PLATFORM (this machine's by default) and
#                                             its licence to DIR, unless that version is there already
#
# The pinned version is the one that the `duckdb` crate in Cargo.toml is generated for (1.10506 =
# DuckDB 1.5.6). It comes from the npm registry, as part of DuckDB's own Node.js bindings. On a
# machine this script does not know, unpack DuckDB's official release of that version
# (libduckdb-<os>-<arch>.zip) anywhere and set DUCKDB_LIB_DIR to that folder.
set -eu

DIR=${1:?usage: fetch-duckdb.sh DIR [PLATFORM]}
VERSION=1.5.6-r.1

this_platform() {
  case "$(uname -s)-$(uname -m)" in
    Linux-x86_64) echo linux-x64 ;;
    Linux-aarch64 | Linux-arm64) echo linux-arm64 ;;
    Darwin-arm64) echo darwin-arm64 ;;
    Darwin-x86_64) echo darwin-x64 ;;
    MINGW*-x86_64 | MSYS*-x86_64 | CYGWIN*-x86_64) echo win32-x64 ;;
    *) echo "$(uname -s)-$(uname -m)" ;;
  esac
}

PLATFORM=${2:-$(this_platform)}
case "$PLATFORM" in
  linux-x64)
    SHA512=21772b64913a904a8cd19e30c1d5671811d7fdface4b7dd53cd0300d743f43e16cf386f4e7c41ef78721ac208870d2651bc6375072145387817824315b998dd5
    LIBRARY=libduckdb.so
    ;;
  linux-arm64)
    SHA512=de39d46838a5d41ac5ffabc067055a227275c6805a5861c1e0f0e2527cc958a0a8f1af132f1f63eff80fc8f97f5064417edad822e4e28516527c5e2658c82d58
    LIBRARY=libduckdb.so
    ;;
  darwin-arm64)
    SHA512=2854ff27fa72a2eb800f58dfb4021f716551768ae0f9cff2551fc124bf0b24aad24fe9980b877b412b90fa25d261b1691c435401e6546a05eb30fb594fc5f3b2
    LIBRARY=libduckdb.dylib
    ;;
  darwin-x64)
    SHA512=b55c1464dbdd42868f261ae1dead9eea3c66d4c85a84d1c940afe9bc2c9ca38e8d5f4984b86ce5c3d8b49f6300ae0b32cdc71d0b049c38af5cb5bcabfb7a0c6d
    LIBRARY=libduckdb.dylib
    ;;
  win32-x64)
    SHA512=e51a67e565c41b9818feeeca7a1f9ce24bb01bf2e2137d6908ff42a02a21bfebb46857a7b24ff24484155bf097b88a084e4cbdc4585d47369652d02719363125
    LIBRARY=duckdb.dll
    ;;
  *)
    echo "no pinned DuckDB library for $PLATFORM: unpack DuckDB 1.5.6's official release and set DUCKDB_LIB_DIR to its folder" >&2
    exit 1
    ;;
esac
PACKAGE=@duckdb/node-bindings-$PLATFORM

[ -e "$DIR/$VERSION.ok" ] && [ -e "$DIR/LICENSE.duckdb" ] && exit 0

command -v npm >/dev/null || { echo "npm is needed to fetch DuckDB (or set DUCKDB_LIB_DIR)" >&2; exit 1; }
echo "fetching DuckDB ($PACKAGE $VERSION)" >&2
mkdir -p "$DIR"
WORK=$(mktemp -d "$DIR/fetch.XXXXXX")
trap 'rm -rf "$WORK"' EXIT

(cd "$WORK" && npm pack --silent "$PACKAGE@$VERSION" >/dev/null)
TARBALL=$(echo "$WORK"/*.tgz)
# macOS has no sha512sum.
if command -v sha512sum >/dev/null; then
  FOUND=$(sha512sum "$TARBALL")
else
  FOUND=$(shasum -a 512 "$TARBALL")
fi
[ "${FOUND%% *}" = "$SHA512" ] || {
  echo "DuckDB's package does not have the expected checksum; nothing was installed" >&2
  exit 1
}
tar -xzf "$TARBALL" -C "$WORK"
mv "$WORK/package/LICENSE" "$DIR/LICENSE.duckdb"
mv "$WORK/package/$LIBRARY" "$DIR/$LIBRARY"
touch "$DIR/$VERSION.ok"
