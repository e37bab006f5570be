#!/usr/bin/env bash
# Builds the wheel: the client and the command line, without the services.  usage: scripts/wheel.sh DIRECTORY
set -euo pipefail
directory=$(realpath --canonicalize-missing "$1")
cd "$(dirname "$0")/.."
python -m pip wheel . --quiet --no-deps --no-build-isolation --wheel-dir "$directory"
