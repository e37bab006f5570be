"""The models' packages, each a BentoML model in a directory of its own: NAME/VERSION.

BentoML writes and reads what is inside; where it lies, and that it lies there whole or not at all, is seen to here.
BentoML's own store copies into place file by file, and takes a version for another that begins with the same digits.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import bentoml
from bentoml.models import ModelContext

from keyprint import package
from keyprint.errors import NotFound
from services.training.tables import Model

_INFO = "model.yaml"
_INFO_BYTES = 2**20
_DIGEST = "digest"
_LATEST = "latest"
"""BentoML's note of a name's newest version, which it makes anew when it is missing."""


def said_digest(directory: Path) -> str:
    """The digest that the exporter of an unpacked model gave its package.

    Raises:
        OSError: there is no such file.
        ValueError: it says nothing of the sort.
    """
    # YAML takes its time to read.
    if (size := (directory / _INFO).stat().st_size) > _INFO_BYTES:
        raise ValueError(f"{_INFO} has {size:,} bytes, and at most {_INFO_BYTES:,} are read")
    try:
        return str(bentoml.Model.from_path(directory).info.metadata[_DIGEST])
    except Exception as error:  # a stranger wrote it
        raise ValueError(f"{_INFO} names no digest") from error


class Store:
    """A directory of models; safe to share between threads."""

    def __init__(self, directory: Path) -> None:
        """Keeps models in `directory`; what comes and goes lies beside it, and what a crash left there goes."""
        directory.mkdir(parents=True, exist_ok=True)
        self._directory = directory
        # The same disk, so that a rename moves a model in or out in one step.
        self._aside = directory.with_name(f"{directory.name}-aside")
        shutil.rmtree(self._aside, ignore_errors=True)
        self._aside.mkdir()
        # A name's directory comes with its first version and goes with its last.
        self._lock = threading.Lock()

    def put(self, name: str, version: int, directory: Path) -> Path:
        """Makes a BentoML model of a package, in place of one that a crash left; gives its directory.

        The package's own directory, on the same disk, becomes that one: it is there whole, or not at all.
        """
        self._describe(name, version, directory)
        for path in directory.rglob("*"):
            _to_disk(path)
        _to_disk(directory)
        self.delete(name, version)
        place = self._place(name, version)
        with self._lock:
            place.parent.mkdir(exist_ok=True)
            directory.rename(place)
            (place.parent / _LATEST).unlink(missing_ok=True)
        _to_disk(place.parent)
        _to_disk(self._directory)
        return place

    def _describe(self, name: str, version: int, directory: Path) -> None:
        """Writes the file by which BentoML knows a model, in place of one that another store wrote."""
        made = bentoml.Model.create(
            f"{name}:{version}",
            module="",
            api_version="v1",
            signatures={},
            metadata={_DIGEST: package.digest(directory)},
            context=ModelContext("", {}),
        )
        # It is made in a temporary directory, which goes with the object.
        made.flush()  # type: ignore[no-untyped-call]  # BentoML types it in part
        shutil.copyfile(made.path_of(_INFO), directory / _INFO)

    def directory(self, name: str, version: int) -> Path:
        """Where a model's files are.

        Raises:
            NotFound: it was just deleted.
        """
        place = self._place(name, version)
        if not place.is_dir():
            raise _gone(name, version)
        return place

    def check(self, model: Model) -> None:
        """Nothing, if a model's files are those that were published.

        Raises:
            NotFound: it was just deleted.
            Internal: they are not.
        """
        try:
            found = package.digest(self.directory(model.name, model.version))
        except FileNotFoundError:
            raise _gone(model.name, model.version) from None
        if found != model.digest:
            raise package.corrupt(model.reference, "its files are not those that were published")

    def _place(self, name: str, version: int) -> Path:
        return self._directory / name / str(version)

    def delete(self, name: str, version: int) -> None:
        """Deletes a model, if there is one."""
        with self._folder() as folder, self._lock, suppress(FileNotFoundError):
            place = self._place(name, version)
            place.rename(folder / "model")
            _tidy(place.parent)

    def keep_only(self, models: list[Model]) -> None:
        """Deletes what a crash left between this store and the tables."""
        known = {(model.name, str(model.version)) for model in models}
        for name in filter(Path.is_dir, self._directory.iterdir()):
            for version in filter(Path.is_dir, name.iterdir()):
                if (name.name, version.name) not in known:
                    shutil.rmtree(version)
            _tidy(name)

    @contextmanager
    def exported(self, name: str, version: int) -> Iterator[Path]:
        """A model as BentoML exports it, a tar file, while the context is open.

        Not the compressed form that BentoML would choose: an ensemble of trees takes it half a minute.

        Raises:
            NotFound: it was just deleted.
        """
        with self._folder() as folder:
            try:
                path = shutil.make_archive(str(folder / "model"), "tar", self.directory(name, version))
            except FileNotFoundError:
                raise _gone(name, version) from None
            yield Path(path)

    @contextmanager
    def _folder(self) -> Iterator[Path]:
        with tempfile.TemporaryDirectory(dir=self._aside) as folder:
            yield Path(folder)


def _tidy(name: Path) -> None:
    """Takes BentoML's note of the newest version away, and the directory of a name that has no version any more."""
    (name / _LATEST).unlink(missing_ok=True)
    with suppress(OSError):
        name.rmdir()


def _gone(name: str, version: int) -> NotFound:
    return NotFound("MODEL_NOT_FOUND", f"There is no model {name}@{version} any more.", "model")


def _to_disk(path: Path) -> None:
    """Has the disk hold a file's content, or a directory's names, before anything that follows."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
