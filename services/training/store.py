"""The models' packages, in a BentoML model store."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import bentoml

# The public functions take a store, and only this module names its class.
from bentoml._internal.models import ModelStore
from bentoml._internal.models.model import ModelInfo
from bentoml.exceptions import NotFound as BentoNotFound

from keyprint import package
from keyprint.errors import NotFound
from services.training.tables import Model

_INFO = "model.yaml"
_DIGEST = "digest"


def said_digest(directory: Path) -> str:
    """The digest that the exporter of an unpacked model gave its package.

    Raises:
        OSError: there is no such file.
        ValueError: it says nothing of the sort.
    """
    with (directory / _INFO).open() as file:
        try:
            return str(ModelInfo.from_yaml_file(file).metadata[_DIGEST])
        except Exception as error:  # a stranger wrote it
            raise ValueError(f"{_INFO} names no digest: {error}") from error


class Store:
    """A BentoML model store in a directory; a model's tag is its name and version."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._store = ModelStore(directory)

    def put(self, name: str, version: int, directory: Path) -> Path:
        """Makes a BentoML model of a package's files, in place of one that a crash left; gives its directory."""
        self.delete(name, version)
        said = {_DIGEST: package.digest(directory)}
        with bentoml.models.create(f"{name}:{version}", metadata=said, _model_store=self._store) as model:
            # A package that came as an export has the file that its own store wrote.
            shutil.copytree(directory, model.path, dirs_exist_ok=True, ignore=shutil.ignore_patterns(_INFO))
        return self.directory(name, version)

    def directory(self, name: str, version: int) -> Path:
        """Where a model's files are.

        Raises:
            NotFound: it was just deleted.
        """
        return Path(self._get(name, version).path)

    def _get(self, name: str, version: int) -> bentoml.Model:
        try:
            return bentoml.models.get(f"{name}:{version}", _model_store=self._store)
        except BentoNotFound:
            raise NotFound("MODEL_NOT_FOUND", f"There is no model {name}@{version} any more.", "model") from None

    def delete(self, name: str, version: int) -> None:
        """Deletes a model, if there is one."""
        with suppress(BentoNotFound):
            bentoml.models.delete(f"{name}:{version}", _model_store=self._store)

    def keep_only(self, models: list[Model]) -> None:
        """Deletes what a crash left between this store and the tables."""
        known = {f"{model.name}:{model.version}" for model in models}
        for found in bentoml.models.list(_model_store=self._store):
            if str(found.tag) not in known:
                bentoml.models.delete(found.tag, _model_store=self._store)

    @contextmanager
    def exported(self, name: str, version: int) -> Iterator[Path]:
        """BentoML's own export of a model, a tar file, while the context is open.

        Not the compressed form that BentoML would choose: an ensemble of trees takes it half a minute.
        """
        with tempfile.TemporaryDirectory(prefix="keyprint-export-") as folder:
            path = Path(folder) / "model.tar"
            self._get(name, version).export(str(path), output_format="tar")
            yield path
