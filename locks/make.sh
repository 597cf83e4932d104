#!/bin/sh
# Resolve what is installed on front-ends and in the sandbox: `make lock` writes locks/*.txt, `make lock-check` compares.
# One file for Python 3.10 to 3.14 on every architecture: uv resolves all of them at once and notes where they differ.
# Versions that are locked stay, unless pyproject.toml excludes them or UPGRADE=1 is set.
set -eu
cd "$(dirname "$0")/.."
uv=${UV:-uv}
made=${1:-locks}

resolve() { # EXTRA OPTION…
    extra=$1
    shift
    "$uv" pip compile --quiet --universal --python-version 3.10 --generate-hashes --no-header --no-annotate \
        ${UPGRADE:+--upgrade} --extra "$extra" "$@" -o "$made/$extra.txt" pyproject.toml locks/build.in
}

resolve sandbox
# What runs as root on a front-end is never built there: wheels only, in the versions that the sandbox has.
resolve frontend --only-binary :all: --constraint "$made/sandbox.txt"
