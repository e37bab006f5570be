"""A model's package: the files that training writes and inference reads.

    model.onnx       features float32[N, F] -> probabilities float32[N, K]; scaling and calibration included
    features.json    which features of which phrase (`Inputs`)
    labels.json      the K users, in the order of the outputs
    decision.json    thresholds by false accept rate (`Thresholds`)
    metrics.json     how it did on its hold-out
    training.json    what it was trained on and how, with the ids of the attempts that it saw

The source estimator lies beside them in a safe format.  Nothing here is a pickle.
"""

from __future__ import annotations

import json
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np

SCHEMA_VERSION = 1

UNPACKED_BYTES = 2 * 2**30
"""Largest package that is unpacked."""

GRAPH = "model.onnx"
INPUT, OUTPUT = "features", "probabilities"

_STORE_FILE = "model.yaml"
"""Written by the model store; it differs from store to store, so no digest covers it."""


@dataclass(frozen=True)
class Inputs:
    """What the graph is fed: a feature set of one version, for one phrase, with or without release times."""

    feature_set: str
    version: int
    phrase: str
    release_times: bool


@dataclass(frozen=True)
class Thresholds:
    """Score from which a claim is accepted, by false accept rate.

    Attributes:
        default_far: the rate used when a caller names none.
        far: rates in rising order, each above 0.
        threshold: the score for each rate.
    """

    default_far: float
    far: tuple[float, ...]
    threshold: tuple[float, ...]

    def at(self, far: float) -> float:
        """The threshold for a false accept rate, interpolated over its logarithm, the nearest end beyond the ends."""
        return float(np.interp(np.log(far), np.log(self.far), self.threshold))


@dataclass(frozen=True)
class Package:
    """A package as read."""

    directory: Path
    inputs: Inputs
    labels: tuple[str, ...]
    thresholds: Thresholds
    trained_ids: frozenset[bytes]


def write(
    directory: Path,
    inputs: Inputs,
    labels: Sequence[str],
    thresholds: Thresholds,
    metrics: Mapping[str, Any],
    training: Mapping[str, Any],
    trained_ids: Sequence[bytes],
) -> None:
    """Writes everything but the graph and the source estimator into `directory`."""
    contents: dict[str, Mapping[str, Any]] = {
        "features.json": asdict(inputs),
        "labels.json": {"labels": list(labels)},
        "decision.json": asdict(thresholds),
        "metrics.json": metrics,
        "training.json": {**training, "attempt_ids": [one.hex() for one in trained_ids]},
    }
    for name, content in contents.items():
        text = json.dumps({"schema_version": SCHEMA_VERSION, **content}, indent=1, sort_keys=True, allow_nan=False)
        (directory / name).write_text(text + "\n", encoding="utf-8")


def read(directory: Path) -> Package:
    """Reads what `write` wrote.

    Raises:
        ValueError: a file is of another schema version, or not what it should be.
    """
    features, labels, decision, training = (
        _load(directory / f"{name}.json") for name in ("features", "labels", "decision", "training")
    )
    try:
        return Package(
            directory=directory,
            inputs=Inputs(**features),
            labels=tuple(labels["labels"]),
            thresholds=Thresholds(decision["default_far"], tuple(decision["far"]), tuple(decision["threshold"])),
            trained_ids=frozenset(map(bytes.fromhex, training["attempt_ids"])),
        )
    except (KeyError, TypeError) as error:
        raise ValueError(f"The package in {directory.name} is not complete: {error}.") from error


def read_training(directory: Path) -> dict[str, Any]:
    """What the model was trained on and how, as `write` was given it, and `attempt_ids` in hex."""
    return _load(directory / "training.json")


def read_metrics(directory: Path) -> dict[str, Any]:
    """How the model did on its hold-out, as `write` was given it."""
    return _load(directory / "metrics.json")


def unpack(archive: Path, directory: Path) -> None:
    """Unpacks a package that crossed the network as a tar file.

    Raises:
        OSError: it is damaged.
        tarfile.TarError: it is damaged, larger than `UNPACKED_BYTES`, or has a file that would lie elsewhere.
    """
    with tarfile.open(archive, "r:") as packed:
        if sum(member.size for member in packed.getmembers()) > UNPACKED_BYTES:
            raise tarfile.TarError(f"it is larger than {UNPACKED_BYTES} bytes")
        packed.extractall(directory, filter="data")


def _load(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    version = content.pop("schema_version", None)
    if version != SCHEMA_VERSION:
        raise ValueError(f"{path.name} has schema version {version}; this Keyprint reads {SCHEMA_VERSION}.")
    return content


def digest(directory: Path) -> str:
    """SHA-256 over the names and contents of the package's files, as 64 hex digits; the same in every store."""
    total = sha256()
    for path in sorted(path for path in directory.rglob("*") if path.is_file() and path.name != _STORE_FILE):
        content = sha256(path.read_bytes()).digest()
        total.update(path.relative_to(directory).as_posix().encode() + b"\0" + content)
    return total.hexdigest()
