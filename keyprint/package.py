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

import io
import json
import shutil
import tarfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from hashlib import file_digest, sha256
from itertools import pairwise
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Annotated

import numpy as np
from pydantic import Field

from keyprint.errors import Internal
from keyprint.holdout import Split
from keyprint.typed import Count, Many, Number, Positive, Read, Score, Share, Text, load

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

SCHEMA_VERSION = 5
_READ_VERSIONS = (4, SCHEMA_VERSION)
"""The one before differs in metrics.json alone, which had every cell of the confusion matrix."""

_MOST_MEMBERS = 100
_LONGEST_NAME = 200
_MOST_READ = 2**16
"""Of a file that holds a package: how many files, characters of a name in there, and bytes read at once."""

UNPACKED_BYTES = 2 * 2**30
"""Largest package of our own that is unpacked."""

GRAPH = "model.onnx"
INPUT, OUTPUT = "features", "probabilities"

FILES = frozenset((GRAPH, "features.json", "labels.json", "decision.json", "metrics.json", "training.json"))
SOURCES = frozenset((".keras", ".skops"))
"""Every file of a package, and how the names of source estimators end."""

_STORE_FILE = "model.yaml"
"""Written by the model store; it differs from store to store, so no digest covers it."""


Rate = Annotated[float, Field(gt=0, le=1)]


@dataclass(frozen=True)
class Inputs:
    """What the graph is fed: a feature set of one version, for one phrase, with or without release times."""

    feature_set: Text
    version: Count
    phrase: Annotated[Text, Field(min_length=2, max_length=256)]
    release_times: bool


@dataclass(frozen=True)
class Labels:
    """The users, in the order of the graph's outputs."""

    labels: Annotated[Many[Text], Field(min_length=2)]

    def __post_init__(self) -> None:
        if len(set(self.labels)) < len(self.labels):
            raise ValueError("a label is there twice")


@dataclass(frozen=True)
class Thresholds:
    """Probability of a user from which an attempt is believed to be theirs, by false accept rate.

    The rate is of claims by people whom the model does not know: of those to be any one of its users, the share that is
    believed.

    Attributes:
        default_far: the rate used when a caller names none.
        far: rates in rising order, each above 0; the first is the smallest of which calibration can say anything.
        threshold: the score for each rate.
    """

    default_far: Rate
    far: Annotated[Many[Rate], Field(min_length=1)]
    threshold: Many[Score]

    def __post_init__(self) -> None:
        if len(self.far) != len(self.threshold) or any(one >= other for one, other in pairwise(self.far)):
            raise ValueError("there must be one threshold for each rate, and the rates must rise")
        if any(one < other for one, other in pairwise(self.threshold)):
            raise ValueError("a threshold for a larger rate must not be larger")

    def at(self, far: float) -> float:
        """The threshold for a false accept rate, interpolated over its logarithm, the nearest end beyond the ends."""
        return float(np.interp(np.log(far), np.log(self.far), self.threshold))

    @cached_property
    def default(self) -> float:
        """The threshold at the default rate."""
        return self.at(self.default_far)


@dataclass(frozen=True)
class Point:
    """One epoch or boosting round of the final fit: loss in nats, accuracy 0 to 1, None where there is none."""

    step: Count
    loss: Number | None
    accuracy: Share | None


Digest = Annotated[str, Field(pattern="^[0-9a-f]{32}$")]


@dataclass(frozen=True)
class Typical:
    """The usual timing of the attempts that a model was trained on: medians at each of the L keys.

    Attributes:
        latency_us: from the press before; 0 for the first key.
        hold_us: from press to release, at least 0; none for a model without release times.
    """

    latency_us: Many[Count]
    hold_us: Many[Count]

    @cached_property
    def gap_us(self) -> float:
        """The mean latency of all keys but the first."""
        return sum(self.latency_us[1:]) / (len(self.latency_us) - 1)


@dataclass(frozen=True)
class Training:
    """What a model was trained on and how.

    Attributes:
        dataset: its id.
        fingerprint: of the dataset when it was read.
        learner: its name.
        params: every parameter by name.
        holdout: share kept from training.
        split: how that was chosen.
        seed: of every random choice.
        impostors: share of the users that it was evaluated with as impostors, as asked for.
        temperature: by which the logits are divided.
        libraries: what it was trained with, Python and Keyprint themselves included, to its version.
        fit_seconds: how long the fit alone took.
        near_ties: hold-out attempts whose order of candidates a rounding may turn.
        curve: of the fit.
        attempt_ids: of the attempts that it saw, calibration included, as 32 hex digits.
        timing_ids: likewise, of their timing to the millisecond (`keyprint.attempts.timing_ids`).
        typical: their usual timing.
    """

    dataset: Text
    fingerprint: Annotated[Text, Field(max_length=64)]
    learner: Text
    params: dict[Text, Number]
    holdout: Annotated[float, Field(gt=0, lt=1)]
    split: Split
    seed: Count
    impostors: Annotated[float, Field(ge=0, lt=1)]
    temperature: Annotated[float, Field(gt=0, allow_inf_nan=False)]
    libraries: dict[Text, Text]
    fit_seconds: Positive
    near_ties: Count
    curve: Many[Point]
    attempt_ids: Many[Digest]
    timing_ids: Many[Digest]
    typical: Typical


@dataclass(frozen=True)
class Package:
    """A package as read."""

    directory: Path
    inputs: Inputs
    labels: tuple[str, ...]
    decision: Thresholds
    training: Training

    @cached_property
    def trained_ids(self) -> frozenset[bytes]:
        """Of the attempts that it saw."""
        return frozenset(map(bytes.fromhex, self.training.attempt_ids))

    @cached_property
    def trained_timings(self) -> frozenset[bytes]:
        """Of their timing to the millisecond (`keyprint.attempts.timing_ids`)."""
        return frozenset(map(bytes.fromhex, self.training.timing_ids))


def write(
    directory: Path,
    inputs: Inputs,
    labels: Sequence[str],
    decision: Thresholds,
    metrics: DataclassInstance,
    training: Training,
) -> None:
    """Writes everything but the graph and the source estimator into `directory`."""
    contents: dict[str, DataclassInstance] = {
        "features.json": inputs,
        "labels.json": Labels(tuple(labels)),
        "decision.json": decision,
        "metrics.json": metrics,
        "training.json": training,
    }
    for name, content in contents.items():
        said = {"schema_version": SCHEMA_VERSION, **asdict(content)}
        text = json.dumps(said, indent=1, sort_keys=True, allow_nan=False)
        (directory / name).write_text(text + "\n", encoding="utf-8")


def read(directory: Path) -> Package:
    """Reads what `write` wrote.

    Raises:
        OSError: a file is missing.
        ValueError: a file is of another schema version, or not what it should be; says which and where.
    """
    inputs = read_file(directory / "features.json", Inputs)
    training = read_file(directory / "training.json", Training)
    _check_typical(training.typical, inputs)
    return Package(
        directory=directory,
        inputs=inputs,
        labels=read_file(directory / "labels.json", Labels).labels,
        decision=read_file(directory / "decision.json", Thresholds),
        training=training,
    )


def _check_typical(typical: Typical, inputs: Inputs) -> None:
    keys = len(inputs.phrase)
    expected = {"latency_us": keys, "hold_us": keys if inputs.release_times else 0}
    for name, count in expected.items():
        given = len(getattr(typical, name))
        if given != count:
            raise ValueError(f"training.json: typical.{name}: there must be {count} of them, and there are {given}")


def read_metrics(directory: Path, kind: type[Read]) -> Read:
    """How the model did on its hold-out, as `write` was given it.

    Raises:
        OSError: the file is missing.
        ValueError: it is of another schema version, or not what it should be.
    """
    return read_file(directory / "metrics.json", kind, (SCHEMA_VERSION,))


def read_file(path: Path, kind: type[Read], versions: Sequence[int] = _READ_VERSIONS) -> Read:
    """Reads one file of a package.

    Raises:
        OSError: it is missing.
        ValueError: it is of another schema version, or not what it should be.
    """
    text = path.read_bytes()
    try:
        version = load(text, _Versioned).schema_version
        if version not in versions:
            raise ValueError(f"it has schema version {version}, and this Keyprint reads {SCHEMA_VERSION}")
        return load(text, kind)
    except ValueError as error:
        raise ValueError(f"{path.name}: {error}") from None


@dataclass(frozen=True)
class _Versioned:
    schema_version: int


@dataclass(frozen=True)
class File:
    """One file of a package: its path in there, and its bytes."""

    name: str
    size: int


def files(directory: Path) -> list[File]:
    """The files of a package, that of a model store left out, by name."""
    return [File(name, path.stat().st_size) for name, path in sorted(_contents(directory).items())]


def _contents(directory: Path) -> dict[str, Path]:
    """Where the files of a package are, by their name in there."""
    found = {path.relative_to(directory).as_posix(): path for path in directory.rglob("*") if path.is_file()}
    return {name: path for name, path in found.items() if name != _STORE_FILE}


def unpack(archive: Path, directory: Path, most_bytes: int) -> None:
    """Unpacks a package that crossed the network as a tar file.

    Raises:
        OSError: it is damaged.
        tarfile.TarError: it is damaged, larger than `most_bytes`, or has what no package has: many files, one
            that would lie elsewhere, or what is neither file nor folder.
    """
    size = 0
    with _Sparing(io.FileIO(archive)) as file, tarfile.open(fileobj=file, mode="r:") as packed:
        for number, member in enumerate(packed, 1):
            size += member.size
            if number > _MOST_MEMBERS:
                raise tarfile.TarError(f"it holds more than {_MOST_MEMBERS} files")
            if size > most_bytes:
                raise tarfile.TarError(f"it is larger than {most_bytes:,} bytes")
            _check_member(member)
        # All of it are plain names of files and folders; owners and modes are not taken over.  Debian's Python, 3.11.2,
        # does not know tarfile's own filters.
        for member in packed:
            _extract(packed, member, directory / member.name)


def _extract(packed: tarfile.TarFile, member: tarfile.TarInfo, place: Path) -> None:
    content = packed.extractfile(member)
    if content is None:
        place.mkdir(parents=True, exist_ok=True)
        return
    # One that is a file is told by what cannot lie in it.
    if not place.parent.exists():
        place.parent.mkdir(parents=True)
    with content, place.open("wb") as file:
        shutil.copyfileobj(content, file)


class _Sparing(io.BufferedReader):
    """A tar file, read in small pieces: only headers ask for large ones, which may say that a name has gibibytes."""

    def read(self, size: int | None = -1) -> bytes:
        """The next bytes.

        Raises:
            tarfile.TarError: they are too many for a header.
        """
        if size is not None and size > _MOST_READ:
            raise tarfile.TarError("it holds a name or an attribute that is far too long")
        return super().read(size)


def _check_member(member: tarfile.TarInfo) -> None:
    shown = member.name if len(member.name) <= _LONGEST_NAME else f"{member.name[:_LONGEST_NAME]}…"
    if not member.isfile() and not member.isdir():
        raise tarfile.TarError(f"it holds {shown!r}, which is neither a file nor a folder")
    place = PurePosixPath(member.name)
    if len(member.name) > _LONGEST_NAME or place.is_absolute() or ".." in place.parts or "\0" in member.name:
        raise tarfile.TarError(f"it holds {shown!r}, which is no name of a file in a package")


def corrupt(reference: str, why: object) -> Internal:
    """What is told of a model's package that is damaged, or of another Keyprint."""
    return Internal("MODEL_CORRUPT", f"The package of {reference} cannot be used: {why}.", "model")


def digest(directory: Path) -> str:
    """SHA-256 over the names and contents of the package's files, as 64 hex digits; the same in every store."""
    total = sha256()
    for name, path in sorted(_contents(directory).items(), key=lambda one: one[1]):
        with path.open("rb") as file:
            total.update(name.encode() + b"\0" + file_digest(file, "sha256").digest())
    return total.hexdigest()
