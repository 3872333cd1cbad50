#!/usr/bin/env bash
# Writes what the executable that Fivetran builds is made of (CycloneDX, JSON): every crate, its version,
# licence and checksum. Needs cargo-cyclonedx. It works offline, from Cargo.lock.
set -euo pipefail
cd "$(dirname "$0")/.."
OUT=${CARGO_TARGET_DIR:-target}/fivetran_source.cdx.json
mkdir -p "$(dirname "$OUT")"
# It writes beside Cargo.toml, and says where this checkout lies, which is nobody's business.
cargo cyclonedx --quiet --format json --spec-version 1.5 --describe binaries \
  --target x86_64-unknown-linux-gnu
sed "s|path+file://$PWD|path+file://.|g" fivetran_source_bin.cdx.json >"$OUT"
rm fivetran_source_bin.cdx.json
echo "$OUT: $(grep -c '"type": "library"' "$OUT") crates, those of the build included"
