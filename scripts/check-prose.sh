#!/usr/bin/env bash
# Counts expressions that make code and documents hard to read, and fails if one occurs more often than
# scripts/prose.txt allows. Doc comments that begin with a question word are never allowed.
#
#   scripts/check-prose.sh          checks
#   scripts/check-prose.sh lower    writes the present numbers where they are lower than the allowed ones
set -euo pipefail
cd "$(dirname "$0")/.."

BUDGET=scripts/prose.txt
FILES=$(git ls-files -- src crates tests docs scripts fuzz README.md CONTRIBUTING.md Makefile |
  grep -E '\.(rs|md|sh|py|js)$|^Makefile$' | grep -vE '^scripts/check-prose.sh$')

count() { # REGEX
  # shellcheck disable=SC2086 # a list
  { grep -ohiE -- "$1" $FILES || true; } | wc -l
}

FAILED=
# shellcheck disable=SC2086 # a list
if grep -nE '^\s*//[/!] (What|How|Whether|Who|Where|When)\b' $FILES; then
  echo "FAILED  the doc comments above begin with a question word: begin with a noun or a verb (\"Returns…\")" >&2
  FAILED=yes
fi
NEW=$(mktemp)
trap 'rm -f "$NEW"' EXIT
while IFS= read -r line; do
  case $line in
  '#'* | '')
    printf '%s\n' "$line" >>"$NEW"
    continue
    ;;
  esac
  read -r allowed expression <<<"$line"
  found=$(count "$expression")
  if [ "$found" -gt "$allowed" ]; then
    echo "FAILED  \"$expression\" occurs $found times, $allowed are allowed: use another expression (docs/GLOSSARY.md)" >&2
    FAILED=yes
  elif [ "$found" -lt "$allowed" ] && [ "${1:-}" != lower ]; then
    echo "\"$expression\" occurs $found times, $allowed are allowed: run scripts/check-prose.sh lower" >&2
  fi
  [ "$found" -le "$allowed" ] || found=$allowed
  printf '%4d %s\n' "$found" "$expression" >>"$NEW"
done <"$BUDGET"
if [ "${1:-}" = lower ]; then
  cp "$NEW" "$BUDGET"
fi
[ -z "$FAILED" ]
