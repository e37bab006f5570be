"""Packages of models on disk, pulled from training."""

from __future__ import annotations

import errno
import logging
import shutil
import tarfile
import tempfile
import time
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

import grpc

from keyprint import package
from keyprint.v1 import training_pb2, training_pb2_grpc
from services.inference.references import version_of
from services.inference.training import told

log = logging.getLogger(__name__)

PULL_SECONDS = 300.0
"""Longest download of a model."""

_PULL = ".pull-"

_OF_THE_ARCHIVE = (errno.EEXIST, errno.EISDIR, errno.ENOTDIR, errno.ENAMETOOLONG, errno.EINVAL)
"""What the system says of an archive whose files cannot lie as it wants them to; all else is its own trouble."""


class Packages:
    """Each under its digest; several processes may share a directory."""

    def __init__(self, training: training_pb2_grpc.TrainingServiceStub, directory: Path) -> None:
        self._training = training
        self._directory = directory
        directory.mkdir(parents=True, exist_ok=True)

    def get(self, model: training_pb2.Model) -> Path:
        """The directory of a model's package, whole; pulls it where it is not here.

        Raises:
            NotFound: training does not have it any more.
            Unavailable: training does not answer.
            Internal: what training sent is not what it said it would be.
            OSError: the disk is full, or cannot be written.
        """
        directory = self._directory / model.digest
        if not self.has(model.digest):
            self.drop(model.digest)
            self._pull(version_of(model), model.digest, directory)
        return directory

    def has(self, digest: str) -> bool:
        """Whether a package is here, whole."""
        directory = self._directory / digest
        try:
            return directory.exists() and package.digest(directory) == digest
        except OSError:
            # Just swept, or no longer readable.
            return False

    def drop(self, digest: str) -> None:
        """Takes a package off the disk."""
        shutil.rmtree(self._directory / digest, ignore_errors=True)

    def here(self) -> set[str]:
        """The digests of what is here."""
        return {path.name for path in self._directory.glob("[!.]*")}

    def sweep(self, gone: Collection[str]) -> None:
        """Drops packages, and what pulls left that ended with their process."""
        for digest in gone:
            log.info("dropped package %s: its model was deleted", digest)
            self.drop(digest)
        for path in self._directory.glob(f"{_PULL}*"):
            # Of another process, it may be at work.
            with suppress(OSError):
                if time.time() - path.stat().st_mtime > PULL_SECONDS:
                    shutil.rmtree(path, ignore_errors=True)

    def _pull(self, reference: str, digest: str, directory: Path) -> None:
        began = time.monotonic()
        self._directory.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=_PULL, dir=self._directory) as folder:
            archive, unpacked = Path(folder) / "model.tar", Path(folder) / "model"
            with archive.open("wb") as file:
                self._download(reference, file)
            try:
                package.unpack(archive, unpacked, package.UNPACKED_BYTES)
            except (OSError, tarfile.TarError) as error:
                if isinstance(error, OSError) and error.errno not in _OF_THE_ARCHIVE:
                    raise
                raise package.corrupt(reference, error) from error
            if package.digest(unpacked) != digest:
                raise package.corrupt(reference, "its digest is another")
            try:
                unpacked.rename(directory)
            except OSError:
                # Another caller or process may have been quicker.
                if not self.has(digest):
                    raise
        log.info("pulled %s in %.2f s", reference, time.monotonic() - began)

    def _download(self, reference: str, file: BinaryIO) -> None:
        request = training_pb2.DownloadModelRequest(model=reference)
        try:
            for piece in self._training.DownloadModel(request, timeout=PULL_SECONDS):
                file.write(piece.content)
        except grpc.RpcError as error:
            raise told(error) from None
