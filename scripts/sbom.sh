#!/usr/bin/env bash
# Writes the bill of materials of the executable that Fivetran builds (CycloneDX, JSON): every crate with its
# version, licence and checksum. Needs cargo-cyclonedx. Works offline, from Cargo.lock.
set -euo pipefail
cd "$(dirname "$0")/.."
OUT=${CARGO_TARGET_DIR:-target}/fivetran_source.cdx.json
mkdir -p "$(dirname "$OUT")"
# cargo-cyclonedx writes beside Cargo.toml and includes the private path of this checkout, which is removed below.
cargo cyclonedx --quiet --format json --spec-version 1.5 --describe binaries \
  --target x86_64-unknown-linux-gnu
sed "s|path+file://$PWD|path+file://.|g" fivetran_source_bin.cdx.json >"$OUT"
rm fivetran_source_bin.cdx.json
echo "$OUT: $(grep -c '"type": "library"' "$OUT") crates, including build dependencies"
