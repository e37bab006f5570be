"""Models that come as files: what DownloadModel gave, here or elsewhere."""

from __future__ import annotations

import errno
import os
import shutil
import tarfile
import tempfile
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from keyprint import package
from keyprint.errors import FailedPrecondition, InvalidArgument
from keyprint.features import FEATURE_SETS
from keyprint.intime import Sent, in_time
from keyprint.pace import Pace
from services.training.entry import entry
from services.training.models import Models
from services.training.store import Store, said_digest
from services.training.tables import Model
from services.training.trial import check_graph

_JSON_BYTES = 128 * 2**20
"""Largest JSON file of a package that is read: the ids of 1.5 million attempts."""


@dataclass(frozen=True)
class Limits:
    """What a model that comes may take.

    Attributes:
        file_bytes: its file, and the package in there unpacked.
        memory_mib: its graph, loaded and run.
        pace: how fast it must come.
    """

    file_bytes: int
    memory_mib: int
    pace: Pace


_OF_ITS_CONTENT = (errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.ENAMETOOLONG)
"""What the system says of files that are not there, or in each other's place; whatever else it says is our affair."""


class Arrivals:
    """Receives models and publishes them; a refused one leaves nothing."""

    def __init__(self, models: Models, store: Store, directory: Path, limits: Limits) -> None:
        """Unpacks in `directory`, which belongs to this object: what a crash left there is thrown away."""
        self._models = models
        self._store = store
        self._directory = directory
        self._limits = limits
        shutil.rmtree(directory, ignore_errors=True)
        directory.mkdir(parents=True)

    def in_time(self, sent: Iterator[Sent], size: Callable[[Sent], int]) -> Generator[Sent, None, None]:
        """What a caller sends, each of so many bytes, until that takes too long.

        Raises:
            TooSlow: it does.
        """
        return in_time(sent, size, self._limits.pace, "content")

    def receive(self, pieces: Iterable[bytes], name: str, new_version: bool) -> Model:
        """Publishes the model that the pieces make.

        Raises:
            InvalidArgument: they are no model, or not all of it.
            FailedPrecondition: this Keyprint has not the features that it reads.
            AlreadyExists: the name is taken, and no new version was asked for.
            OSError: the disk does not do its part.
        """
        with tempfile.TemporaryDirectory(dir=self._directory) as folder:
            archive, unpacked = Path(folder) / "model.tar", Path(folder) / "model"
            _write(pieces, archive, self._limits.file_bytes)
            try:
                package.unpack(archive, unpacked, self._limits.file_bytes)
                model = _checked(name, unpacked, self._limits.memory_mib)
            except (tarfile.TarError, ValueError) as error:
                raise _invalid(str(error)) from None
            except OSError as error:
                if error.errno not in _OF_ITS_CONTENT:
                    raise
                raise _invalid(_of_file(error)) from None
            self._publish(model, unpacked, new_version)
            return model

    def _publish(self, model: Model, directory: Path, new_version: bool) -> None:
        # Moving it takes its time, in which nobody is to wait for the database.
        model.version = self._models.reserve(model.name, new_version)
        try:
            self._store.put(model.name, model.version, directory)
            self._models.add(model, new_version)
        except BaseException:
            self._store.delete(model.name, model.version)
            raise


def _write(pieces: Iterable[bytes], archive: Path, most_bytes: int) -> None:
    size = 0
    with archive.open("wb") as file:
        for piece in pieces:
            size += len(piece)
            if size > most_bytes:
                raise _invalid(f"it is larger than {most_bytes:,} bytes")
            file.write(piece)


def _checked(name: str, directory: Path, memory_mib: int) -> Model:
    """The row of a package that is what its exporter said, and can be told of and served here; its version is 0.

    Raises:
        InvalidArgument: its content is not what its digest says, or its graph does not answer for its users.
        FailedPrecondition: it reads features that this Keyprint has not.
        OSError: a file is missing.
        ValueError: a file is not what it should be.
    """
    for file in package.files(directory):
        if file.name not in package.FILES and Path(file.name).suffix not in package.SOURCES:
            raise _invalid(f"it holds {file.name!r}, which no model has")
        if file.name.endswith(".json") and file.size > _JSON_BYTES:
            raise _invalid(f"{file.name} has {file.size:,} bytes, and at most {_JSON_BYTES:,} are read")
    model = entry(name, 0, directory)
    if said_digest(directory) != model.digest:
        raise _invalid("its digest is another than that of its content")
    features = FEATURE_SETS.get(model.features)
    if features is None or features.version != model.features_version:
        raise FailedPrecondition(
            "OTHER_FEATURES",
            f"The model reads features {model.features!r} of version {model.features_version}, which this Keyprint "
            "does not have.",
            "content",
        )
    width = len(features.columns(model.phrase, model.release_times))
    check_graph(directory / package.GRAPH, width, model.user_count, memory_mib)
    return model


def _of_file(error: OSError) -> str:
    """What is wrong with a file, by its own name: where it lies is nobody's business."""
    return f"{Path(str(error.filename)).name!r}: {os.strerror(error.errno or 0)}"


def _invalid(why: str) -> InvalidArgument:
    return InvalidArgument(
        "MODEL_FILE_INVALID", f"The file is no model that Keyprint exported: {why}; export it again.", "content"
    )
