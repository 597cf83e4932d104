#!/bin/sh
# Compare the locks with pyproject.toml: exit 1 when `make lock` would change them. Without a network, print that and exit 0.
set -eu
cd "$(dirname "$0")/.."
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
cp locks/*.txt "$scratch"
if ! sh locks/make.sh "$scratch" 2>"$scratch/errors"; then
    if grep -qiE 'conflict|unsatisfiable|no solution' "$scratch/errors"; then
        cat "$scratch/errors" >&2
        exit 1
    fi
    echo "locks: not compared, the packages cannot be resolved here: $(tail -n 1 "$scratch/errors")"
    exit 0
fi
for extra in frontend sandbox; do
    diff -u "locks/$extra.txt" "$scratch/$extra.txt" || { echo "locks: run make lock" >&2; exit 1; }
done
