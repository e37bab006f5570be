#!/usr/bin/env bash
# Generates Python from protos/ into the directory given (default: the checkout itself).
set -euo pipefail
cd "$(dirname "$0")/.."
out=${1:-.}
python -m grpc_tools.protoc --proto_path=protos \
    --python_out="$out" --grpc_python_out="$out" --mypy_out="quiet:$out" --mypy_grpc_out="quiet:$out" \
    protos/inference/*.proto protos/keyprint/v1/*.proto
