#!/usr/bin/env bash
# Pins every package with its hashes: one file per container, one each for clients, for Bentos, for what builds the wheel,
# and for developers.
# The files name no index, so whichever one a machine is set up with serves them.
set -euo pipefail
cd "$(dirname "$0")/.."
compile() {
    uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
        --no-emit-index-url --no-annotate --no-header "$@"
}
compile pyproject.toml --all-extras --output-file requirements/dev.txt
compile pyproject.toml --constraint requirements/dev.txt --output-file requirements/client.txt
for part in ingest training inference gateway bento; do
    compile pyproject.toml --extra "$part" --constraint requirements/dev.txt --output-file "requirements/$part.txt"
done
builds='import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["build-system"]["requires"], sep="\n")'
python -c "$builds" | compile - --constraint requirements/dev.txt --output-file requirements/build.txt
