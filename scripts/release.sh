#!/usr/bin/env bash
# Builds all files of a release into an empty folder.
#
#   scripts/release.sh DIR
#
#   fivetran_source-VERSION-linux-x86_64-static.tar.gz   the connector as a static executable
#   fivetran_source-VERSION-linux-x86_64.tar.gz          the local run, with DuckDB's library
#   fivetran_source_prefect-VERSION-….whl                the same as a Python wheel
#   sbom.cdx.json                                        the components of the connector (needs cargo-cyclonedx)
#   THIRD_PARTY_LICENCES.txt, RELEASE_NOTES.md, SHA256SUMS
#
# Nothing is published.
set -euo pipefail
cd "$(dirname "$0")/.."

DIR=${1:?usage: release.sh DIR}
VERSION=$(scripts/version.sh)
BASE=$(realpath -m "${CARGO_TARGET_DIR:-target}")
if [ -e "$DIR" ] && [ -n "$(ls -A "$DIR")" ]; then
  echo "FAILED  release: $DIR is not empty" >&2
  exit 1
fi
mkdir -p "$DIR"
DIR=$(realpath "$DIR")
WORK=$(mktemp -d)
trap 'rm -rf "$WORK"' EXIT
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || echo 315532800)}
export SOURCE_DATE_EPOCH

# The notes: the section of this version, or what is not released yet.
awk -v version="$VERSION" '
  /^## / { shown = index($0, "[" version "]") > 0; if (shown) found = 1 }
  shown
  END { exit !found }
' CHANGELOG.md >"$DIR/RELEASE_NOTES.md" ||
  awk '/^## / { shown = index($0, "[Unreleased]") > 0 } shown' CHANGELOG.md >"$DIR/RELEASE_NOTES.md"

TREE=$(cargo tree --locked --edges normal --prefix none --features local -p fivetran_source | sort -u)
mapfile -t PACKAGES <<<"$TREE"
cargo metadata --locked --format-version 1 |
  python3 scripts/third_party_licences.py "${PACKAGES[@]}" >"$DIR/THIRD_PARTY_LICENCES.txt"

scripts/static.sh build
NAME=fivetran_source-$VERSION-linux-x86_64-static
mkdir "$WORK/$NAME"
cp "${STATIC_TARGET_DIR:-$BASE/static}/x86_64-unknown-linux-gnu/release/fivetran_source" \
  LICENSE README.md CHANGELOG.md "$DIR/THIRD_PARTY_LICENCES.txt" "$WORK/$NAME/"
scripts/archive.sh "$WORK/$NAME" "$DIR/$NAME.tar.gz"

scripts/wheel.sh "$DIR"
if command -v cargo-cyclonedx >/dev/null; then
  scripts/sbom.sh
  cp "$BASE/fivetran_source.cdx.json" "$DIR/sbom.cdx.json"
else
  echo "SKIPPED  sbom.cdx.json: cargo-cyclonedx is not installed" >&2
fi
(cd "$DIR" && sha256sum -- *.gz *.whl *.txt *.md $(ls ./*.json 2>/dev/null | sed 's|^\./||') >SHA256SUMS)
(cd "$DIR" && cat SHA256SUMS)
