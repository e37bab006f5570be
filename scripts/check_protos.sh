#!/usr/bin/env bash
# Fails when inference or keyprint/v1 is not what protos/ generates.
set -euo pipefail
cd "$(dirname "$0")/.."
fresh=$(mktemp -d)
trap 'rm -rf "$fresh"' EXIT
scripts/protos.sh "$fresh"
for package in inference keyprint/v1; do
    if ! diff -r -x __init__.py -x __pycache__ "$fresh/$package" "$package"; then
        echo "$package is stale: run 'make protos' and commit what changes." >&2
        exit 1
    fi
done
