#!/usr/bin/env bash
# Builds the local run for other machines: a Python wheel, and an archive with the executable and DuckDB's library.
#
#   scripts/wheel.sh DIR    writes DIR/fivetran_source_prefect-VERSION-py3-none-manylinux_*_x86_64.whl and
#                           DIR/fivetran_source-VERSION-linux-x86_64.tar.gz
#
# Zig links the executable with the symbols of an old glibc, so that it runs on machines older than this one. The tag of
# the wheel names the oldest glibc with all symbols that the two files need.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/cache-dir.sh

DIR=${1:?usage: wheel.sh DIR}
export DUCKDB_LIB_DIR=${DUCKDB_LIB_DIR:-$FIVETRAN_SOURCE_CACHE/duckdb}
BASE=$(realpath -m "${CARGO_TARGET_DIR:-target}")
# A separate folder, because zig is another linker.
export CARGO_TARGET_DIR=$BASE/wheel
# The executable must not name a folder of this machine.
export FIVETRAN_SOURCE_PORTABLE=1
# The oldest glibc that the wheel is for, which zig links with. DuckDB's library needs 2.25.
GLIBC=2.28
VERSION=$(scripts/version.sh)
NAME=fivetran_source-$VERSION-linux-x86_64

scripts/fetch-duckdb.sh "$DUCKDB_LIB_DIR"
VENV=$(scripts/python-venv.sh wheel packaging/wheel/requirements.txt 3.9 3.13)
mkdir -p "$DIR"
DIR=$(realpath "$DIR")
WORK=$(mktemp -d)
trap 'rm -rf "$WORK" packaging/wheel/data' EXIT

# The times of the files in the archives: that of the last commit, so that two builds are equal.
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || echo 315532800)}
export SOURCE_DATE_EPOCH
# Without the paths of this machine.
export RUSTFLAGS="--remap-path-prefix=$PWD=. --remap-path-prefix=${CARGO_HOME:-$HOME/.cargo}=cargo --remap-path-prefix=$CARGO_TARGET_DIR=target"

rm -rf packaging/wheel/data
mkdir -p packaging/wheel/data/data/lib/fivetran_source
cp "$DUCKDB_LIB_DIR/libduckdb.so" "$DUCKDB_LIB_DIR/LICENSE.duckdb" packaging/wheel/data/data/lib/fivetran_source/
(
  cd packaging/wheel
  PATH=$VENV/bin:$PATH maturin build --quiet --release --zig --target x86_64-unknown-linux-gnu \
    --compatibility "manylinux_${GLIBC/./_}" --out "$WORK"
)
WHEEL=$(echo "$WORK"/*.whl)

# The archive: the same two files, beside each other.
mkdir "$WORK/$NAME"
python3 - "$WHEEL" "$WORK/$NAME" <<'PY'
import pathlib, sys, zipfile

wheel, folder = zipfile.ZipFile(sys.argv[1]), pathlib.Path(sys.argv[2])
for member in wheel.namelist():
    name = member.rsplit("/", 1)[-1]
    if name in ("fivetran_source", "libduckdb.so"):
        (folder / name).write_bytes(wheel.read(member))
        (folder / name).chmod(0o755)
PY
cp LICENSE README.md CHANGELOG.md configuration.example.json "$DUCKDB_LIB_DIR/LICENSE.duckdb" "$WORK/$NAME/"
scripts/archive.sh "$WORK/$NAME" "$WORK/$NAME.tar.gz"

FLOOR=$(objdump -T "$WORK/$NAME/fivetran_source" "$WORK/$NAME/libduckdb.so" | grep -o 'GLIBC_[0-9.]*' | sort -Vu | tail -1)
if [ "$FLOOR" != "GLIBC_$GLIBC" ]; then
  echo "FAILED  wheel: its tag names glibc $GLIBC, its files need $FLOOR" >&2
  exit 1
fi
if grep -aq "$PWD" "$WORK/$NAME/fivetran_source"; then
  echo "FAILED  wheel: the executable names the folder $PWD" >&2
  exit 1
fi
mv "$WHEEL" "$WORK/$NAME.tar.gz" "$DIR/"
for FILE in "$DIR/$(basename "$WHEEL")" "$DIR/$NAME.tar.gz"; do
  echo "wheel: $FILE, $(($(wc -c <"$FILE") / 1024)) KiB, needs glibc $GLIBC"
done
