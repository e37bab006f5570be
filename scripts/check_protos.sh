#!/usr/bin/env bash
# Fails when keyprint/v1 is not what protos/ generates.
set -euo pipefail
cd "$(dirname "$0")/.."
fresh=$(mktemp -d)
trap 'rm -rf "$fresh"' EXIT
scripts/protos.sh "$fresh"
if ! diff -r -x __init__.py -x __pycache__ "$fresh/keyprint/v1" keyprint/v1; then
    echo "keyprint/v1 is stale: run 'make protos' and commit what changes." >&2
    exit 1
fi
