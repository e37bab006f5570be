"""Models, loaded when they are first asked for."""

from __future__ import annotations

import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import TypeVar

import grpc

from keyprint import package
from keyprint.errors import Internal, KeyprintError, Unavailable
from keyprint.load import Count
from keyprint.names import parse_reference
from keyprint.v1 import training_pb2, training_pb2_grpc
from services.inference.engine import Engine, Listed
from services.inference.packages import Packages
from services.inference.references import References, key, version_of
from services.inference.training import told

log = logging.getLogger(__name__)

Found = TypeVar("Found")

FAILED_SECONDS = 10.0
"""How long a model that could not be loaded is not tried again."""

MOST_WAITING = 16
"""Callers that may wait for models at once, half of those that are answered at once: the others are there for models
that are loaded."""


class Models:
    """Engines by reference; they stay in memory as long as they fit."""

    def __init__(self, training: training_pb2_grpc.TrainingServiceStub, directory: Path, memory_bytes: int) -> None:
        """Keeps packages in `directory`, and engines of up to `memory_bytes`, the newest one in any case."""
        self._training = training
        self._references = References(training)
        self._packages = Packages(training, directory)
        self._memory_bytes = memory_bytes
        self._waiting = Count(MOST_WAITING)
        self._lock = threading.Lock()
        self._engines: OrderedDict[str, Engine] = OrderedDict()
        self._loading: dict[str, Future[Engine]] = {}
        self._failed: dict[str, tuple[float, BaseException]] = {}

    def get(self, reference: str) -> Engine:
        """The engine of a model, as `name`, `name@version` or `name@alias`.

        Where the reference names another model than before, one caller loads that, and the others have the one before
        until it is there; so have all where it cannot be loaded.

        Raises:
            InvalidArgument: it is no reference.
            NotFound: there is no such model.
            Unavailable: training does not answer, and the model was never here; or many wait for models already.
            Internal: what training sent is not what it said it would be.
        """
        parse_reference(reference, "model")
        named = self._references.known(reference)
        if named is None:
            named = self._patiently(reference, lambda: self._references.first(reference))
        model, good = named.model, named.good
        engine = self._in_memory(model)
        if engine is None and good is not None and good != model:
            engine = self._newer(model)
            if engine is None:
                return self._in_memory(good) or self._patiently(reference, lambda: self._loaded(good))
        if engine is None:
            engine = self._patiently(reference, lambda: self._loaded(model))
        named.good = model
        return engine

    def _patiently(self, reference: str, work: Callable[[], Found]) -> Found:
        """What takes its time, unless many are at such work already.

        Raises:
            Unavailable: they are.
        """
        if not self._waiting.up():
            raise Unavailable(
                "MODEL_LOADING",
                f"{reference!r} has to be looked up or loaded, and many callers wait already; try again in a moment.",
                "model",
                retry_seconds=1.0,
            )
        try:
            return work()
        finally:
            self._waiting.down()

    def _in_memory(self, model: training_pb2.Model) -> Engine | None:
        with self._lock:
            engine = self._engines.get(key(model))
            if engine is not None:
                self._engines.move_to_end(key(model))
            return engine

    def _loaded(self, model: training_pb2.Model) -> Engine:
        """Loads it, or waits for who does so already; tells again what made that fail just now."""
        mine: Future[Engine] = Future()
        with self._lock:
            if engine := self._engines.get(key(model)):
                return engine
            if isinstance(error := self._failure(model), Internal):
                raise error.with_traceback(None)
            loading = self._loading.setdefault(key(model), mine)
        if loading is mine:
            try:
                mine.set_result(self._load(model))
            except BaseException as error:
                with self._lock:
                    self._failed[key(model)] = time.monotonic(), error
                mine.set_exception(error)
            finally:
                del self._loading[key(model)]
        return loading.result()

    def _newer(self, model: training_pb2.Model) -> Engine | None:
        """Loads it, unless somebody does so already, or it failed just now, or it fails."""
        if key(model) in self._loading or self._failure(model):
            return None
        try:
            return self._loaded(model)
        except (KeyprintError, OSError) as error:
            log.error("%s cannot be loaded, the one before it stays: %s", version_of(model), error)
            return None

    def _failure(self, model: training_pb2.Model) -> BaseException | None:
        """What kept it from being loaded, if that was just now."""
        when, error = self._failed.get(key(model), (0.0, None))
        return error if time.monotonic() - when < FAILED_SECONDS else None

    def _load(self, model: training_pb2.Model) -> Engine:
        reference = version_of(model)
        engine = self._read(reference, model) or self._read(reference, model)
        if engine is None:
            raise package.corrupt(reference, "its files went away twice while they were read")
        with self._lock:
            self._engines[key(model)] = engine
            while len(self._engines) > 1 and sum(one.size for one in self._engines.values()) > self._memory_bytes:
                _, out = self._engines.popitem(last=False)
                mib = self._memory_bytes >> 20
                log.warning("%s leaves memory for %s: there is room for %d MiB", out.reference, reference, mib)
        return engine

    def _read(self, reference: str, model: training_pb2.Model) -> Engine | None:
        """None if it was swept while it was read: training has it again, or says that it has not."""
        directory = self._packages.get(model)
        try:
            return Engine(reference, directory)
        except Exception as error:
            if not self._packages.has(model.digest):
                return None
            if isinstance(error, OSError):
                # The system's trouble, and no fault of the package.
                raise
            # Of another Keyprint: should training mend it, it is pulled again.
            self._packages.drop(model.digest)
            raise package.corrupt(reference, error) from error

    def index(self) -> list[Listed]:
        """Every model that training has.

        Raises:
            Unavailable: training does not answer.
        """
        return [
            Listed(model.name, model.version, key(model) in self._engines, str(self._failure(model) or ""))
            for model in self._all()
        ]

    def unload(self, reference: str) -> None:
        """Takes a model out of memory; its package stays on disk, and the next call for it loads it again.

        Raises:
            InvalidArgument: it is no reference.
            NotFound: there is no such model.
            Unavailable: training does not answer, and the model was never here.
        """
        parse_reference(reference, "model")
        named = self._references.known(reference) or self._references.first(reference)
        with self._lock:
            self._engines.pop(key(named.model), None)

    def sweep(self) -> None:
        """Drops the packages, engines and references of models that training does not have any more; without training,
        none.
        """
        # What is here before training is asked and is not in its answer was deleted, not just published.
        here = self._packages.here()
        with self._lock:
            known = self._references.keys() | self._engines.keys() | self._failed.keys()
        gone: set[str] = set()
        if here or known:
            try:
                listed = list(self._all())
            except KeyprintError:
                return
            gone, forgotten = here - {model.digest for model in listed}, known - set(map(key, listed))
            self._references.forget(forgotten)
            with self._lock:
                for one in forgotten:
                    self._engines.pop(one, None)
                    self._failed.pop(one, None)
        self._packages.sweep(gone)

    def _all(self) -> Iterator[training_pb2.Model]:
        token, more = "", True
        while more:
            request = training_pb2.ListModelsRequest(page_size=1000, page_token=token)
            try:
                page = self._training.ListModels(request, timeout=10)
            except grpc.RpcError as error:
                raise told(error) from None
            yield from page.models
            token = page.next_page_token
            more = bool(token)
