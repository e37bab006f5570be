#!/usr/bin/env bash
# Pins every package with its hashes, one file per container, one for Bentos and one for developers.
# The files name no index, so whichever one a machine is set up with serves them.
set -euo pipefail
cd "$(dirname "$0")/.."
compile() {
    uv pip compile pyproject.toml --quiet --universal --python-version 3.11 --generate-hashes \
        --no-emit-index-url --no-annotate --no-header "$@"
}
compile --all-extras --output-file requirements/dev.txt
for part in ingest training inference gateway bento; do
    compile --extra "$part" --constraint requirements/dev.txt --output-file "requirements/$part.txt"
done
