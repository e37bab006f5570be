#!/usr/bin/env bash
# Builds the images of the parts named, or of all four, as keyprint-<part>:<TAG>.
#
# usage: [BUILDER="docker build"] [TAG=0.1.0] [BASE=IMAGE] scripts/images.sh [PART...]
#
# BUILDER is the command that builds, with options of its own.
set -euo pipefail
cd "$(dirname "$0")/.."
version=$(sed -n 's/^version = "\(.*\)"$/\1/p' pyproject.toml)
revision=$(git describe --always --dirty --abbrev=40 --exclude='*' 2>/dev/null || echo unknown)
# Health checks are Docker's own addition to images.
read -ra builder <<<"${BUILDER:-podman build --format docker}"
if (($# == 0)); then set -- ingest training inference gateway; fi
for part in "$@"; do
    "${builder[@]}" ${BASE:+--build-arg "BASE=$BASE"} --build-arg "PART=$part" --build-arg "VERSION=$version" \
        --build-arg "REVISION=$revision" --tag "keyprint-$part:${TAG:-$version}" --file deploy/docker/Dockerfile .
done
