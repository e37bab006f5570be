"""Models, pulled from training when they are first asked for."""

from __future__ import annotations

import logging
import shutil
import tarfile
import tempfile
import threading
import time
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import grpc

from keyprint import package
from keyprint.errors import KeyprintError, NotFound, from_rpc_error
from keyprint.names import parse_reference
from keyprint.v1 import training_pb2, training_pb2_grpc
from services.inference.engine import Engine

log = logging.getLogger(__name__)

MEMORY_SECONDS = 2.0
"""How long a reference is taken to name the same model without asking training again."""

MOST_REFERENCES = 1000
"""How many are remembered; anybody may spell a model in many ways."""

PULL_SECONDS = 300.0
"""Longest download of a model."""

FAILED_SECONDS = 10.0
"""How long a model that could not be loaded is not tried again by those who have the one before it."""


@dataclass
class _Named:
    """What a reference named when training was last asked.

    Attributes:
        model: that.
        asked_at: when, by the monotonic clock.
        good: the last one under this reference that could be loaded; None before the first.
    """

    model: training_pb2.Model
    asked_at: float
    good: training_pb2.Model | None = None


class Models:
    """Engines by reference.  Packages stay on disk by digest; engines stay in memory as long as they fit."""

    def __init__(self, training: training_pb2_grpc.TrainingServiceStub, directory: Path, memory_bytes: int) -> None:
        """Unpacks into `directory`; keeps engines of up to `memory_bytes` of graphs, the newest one in any case."""
        self._training = training
        self._directory = directory
        self._memory_bytes = memory_bytes
        self._lock = threading.Lock()
        self._named: OrderedDict[str, _Named] = OrderedDict()
        self._engines: OrderedDict[str, Engine] = OrderedDict()
        self._loading: dict[str, threading.Lock] = {}
        self._failed: dict[str, float] = {}
        directory.mkdir(parents=True, exist_ok=True)
        for left in directory.glob(".*"):
            shutil.rmtree(left, ignore_errors=True)

    def get(self, reference: str) -> Engine:
        """The engine of a model, as `name`, `name@version` or `name@alias`.

        Where the reference names another model than before, one caller loads that, and the others have the one before
        until it is there; so have all where it cannot be loaded.

        Raises:
            InvalidArgument: it is no reference.
            NotFound: there is no such model.
            Unavailable: training does not answer, and the model was never here.
            Internal: what training sent is not what it said it would be.
        """
        parse_reference(reference, "model")
        named, model = self._resolve(reference)
        good = named.good
        engine = self._in_memory(model)
        if engine is None:
            if good is None or good == model:
                engine = self._loaded(model)
            else:
                engine = self._newer(model)
                if engine is None:
                    return self._in_memory(good) or self._loaded(good)
        named.good = model
        return engine

    def _in_memory(self, model: training_pb2.Model) -> Engine | None:
        with self._lock:
            engine = self._engines.get(_key(model))
            if engine is not None:
                self._engines.move_to_end(_key(model))
            return engine

    def _loaded(self, model: training_pb2.Model) -> Engine:
        # One caller loads, the others wait for that.
        with self._loading_of(model):
            return self._in_memory(model) or self._load(model)

    def _newer(self, model: training_pb2.Model) -> Engine | None:
        """Loads it, unless somebody does so already, or it failed just now, or it fails."""
        key, now = _key(model), time.monotonic()
        if now - self._failed.get(key, -FAILED_SECONDS) < FAILED_SECONDS:
            return None
        loading = self._loading_of(model)
        if not loading.acquire(blocking=False):
            return None
        try:
            return self._in_memory(model) or self._load(model)
        except (KeyprintError, OSError) as error:
            self._failed[key] = now
            log.error("%s@%d cannot be loaded, the one before it stays: %s", model.name, model.version, error)
            return None
        finally:
            loading.release()

    def _loading_of(self, model: training_pb2.Model) -> threading.Lock:
        with self._lock:
            return self._loading.setdefault(_key(model), threading.Lock())

    def index(self) -> list[tuple[str, int, bool]]:
        """Every model that training has: its name, its version, and whether it is in memory.

        Raises:
            grpc.RpcError: training does not answer.
        """
        listed = list(self._all())
        with self._lock:
            return [(model.name, model.version, _key(model) in self._engines) for model in listed]

    def unload(self, reference: str) -> None:
        """Takes a model out of memory; its package stays on disk, and the next call for it loads it again.

        Raises:
            InvalidArgument: it is no reference.
            NotFound: there is no such model.
            Unavailable: training does not answer, and the model was never here.
        """
        parse_reference(reference, "model")
        key = _key(self._resolve(reference)[1])
        with self._lock:
            self._engines.pop(key, None)

    def sweep(self) -> None:
        """Drops the packages, engines and references of models that training does not have any more; without training,
        none.
        """
        # What is here before training is asked and is not in its answer was deleted, not just published.
        here = {path.name for path in self._directory.glob("[!.]*")}
        with self._lock:
            known = {_key(one.model) for one in self._named.values()} | self._engines.keys() | self._failed.keys()
            known |= {_key(one.good) for one in self._named.values() if one.good}
        if not here and not known:
            return
        try:
            listed = list(self._all())
        except grpc.RpcError:
            return
        gone = here - {model.digest for model in listed}
        forgotten = known - set(map(_key, listed))
        with self._lock:
            for key in forgotten & self._engines.keys():
                del self._engines[key]
            for reference, named in list(self._named.items()):
                # Training may go away; what is forgotten is not served on then.
                if _key(named.model) in forgotten:
                    del self._named[reference]
                elif named.good and _key(named.good) in forgotten:
                    named.good = None
            for key in forgotten & self._failed.keys():
                del self._failed[key]
        for name in gone:
            log.info("dropped package %s: its model was deleted", name)
            shutil.rmtree(self._directory / name, ignore_errors=True)

    def _all(self) -> Iterator[training_pb2.Model]:
        token, more = "", True
        while more:
            page = self._training.ListModels(
                training_pb2.ListModelsRequest(page_size=1000, page_token=token), timeout=10
            )
            yield from page.models
            token = page.next_page_token
            more = bool(token)

    def _resolve(self, reference: str) -> tuple[_Named, training_pb2.Model]:
        now = time.monotonic()
        with self._lock:
            known = self._named.get(reference)
            if known:
                if now - known.asked_at < MEMORY_SECONDS:
                    return known, known.model
                # One caller asks; training may take its time, and the others go on with what is known.
                known.asked_at = now
        try:
            model = self._training.GetModel(training_pb2.GetModelRequest(model=reference), timeout=10)
        except grpc.RpcError as error:
            told = from_rpc_error(error)
            if known and not isinstance(told, NotFound):
                log.warning("training does not answer; %s stays version %d", reference, known.model.version)
                return known, known.model
            with self._lock:
                self._named.pop(reference, None)
            raise told from None
        with self._lock:
            named = self._named.setdefault(reference, known or _Named(model, now))
            named.model, named.asked_at = model, time.monotonic()
            self._named.move_to_end(reference)
            while len(self._named) > MOST_REFERENCES:
                self._named.popitem(last=False)
        return named, model

    def _load(self, model: training_pb2.Model) -> Engine:
        reference = f"{model.name}@{model.version}"
        directory = self._directory / model.digest
        if not _is_whole(directory, model.digest):
            shutil.rmtree(directory, ignore_errors=True)
            self._pull(reference, model.digest, directory)
        try:
            engine = Engine(reference, directory)
        except Exception as error:
            # Of another Keyprint: should training mend it, the next caller pulls it again.
            shutil.rmtree(directory, ignore_errors=True)
            raise package.corrupt(reference, error) from error
        with self._lock:
            self._engines[_key(model)] = engine
            self._loading.pop(_key(model), None)
            while len(self._engines) > 1 and sum(one.size for one in self._engines.values()) > self._memory_bytes:
                self._engines.popitem(last=False)
        return engine

    def _pull(self, reference: str, digest: str, directory: Path) -> None:
        began = time.monotonic()
        with tempfile.TemporaryDirectory(prefix=".pull-", dir=self._directory) as folder:
            archive, unpacked = Path(folder) / "model.tar", Path(folder) / "model"
            with archive.open("wb") as file:
                self._download(reference, file)
            try:
                package.unpack(archive, unpacked, package.UNPACKED_BYTES)
            except (OSError, tarfile.TarError) as error:
                raise package.corrupt(reference, error) from error
            if package.digest(unpacked) != digest:
                raise package.corrupt(reference, "its digest is another")
            # Whole or not at all; two processes may do this at once.
            if not directory.exists():
                unpacked.rename(directory)
        log.info("pulled %s in %.2f s", reference, time.monotonic() - began)

    def _download(self, reference: str, file: BinaryIO) -> None:
        request = training_pb2.DownloadModelRequest(model=reference)
        try:
            for piece in self._training.DownloadModel(request, timeout=PULL_SECONDS):
                file.write(piece.content)
        except grpc.RpcError as error:
            raise from_rpc_error(error) from None


def _is_whole(directory: Path, digest: str) -> bool:
    try:
        return directory.exists() and package.digest(directory) == digest
    except OSError:
        # Just swept, or no longer readable.
        return False


def _key(model: training_pb2.Model) -> str:
    # Two versions may well have the same content.
    return f"{model.name}@{model.version} {model.digest}"
