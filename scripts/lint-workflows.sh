#!/usr/bin/env bash
# Checks the workflows and actions of .github/ against their published schemas, and for insecure settings. They run only
# on GitHub.
set -euo pipefail
cd "$(dirname "$0")/.."

BIN=$(scripts/python-venv.sh workflows .github/lint.txt 3.10 3.14)/bin
"$BIN/check-jsonschema" --builtin-schema vendor.github-workflows .github/workflows/*.yml
"$BIN/check-jsonschema" --builtin-schema vendor.github-actions .github/actions/*/action.yml
"$BIN/zizmor" --offline --no-progress --quiet .github
