"""References, as callers spell them, and the models that they name."""

from __future__ import annotations

import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Collection
from copy import copy
from dataclasses import dataclass

import grpc

from keyprint.errors import NotFound
from keyprint.v1 import training_pb2, training_pb2_grpc
from services.inference.training import told

log = logging.getLogger(__name__)

MEMORY_SECONDS = 2.0
"""How long a reference is taken to name the same model without asking training again; and how long a training that did
not answer is left alone, but for one caller at a time."""

MISSING_SECONDS = 1.0
"""How long a reference is taken to name no model without asking training again."""

MOST_REFERENCES = 1000
"""How many are remembered, and as many that name no model; anybody may spell a model in many ways."""

ASK_SECONDS, ASK_AGAIN_SECONDS = 10.0, 0.5
"""How long training gets to say what a reference names: who knows what it named before does not wait for long."""


@dataclass
class Named:
    """What a reference named when training was last asked.

    Attributes:
        model: that.
        asked_at: when, by the monotonic clock.
        asking: whether a caller is asking again.
        good: the last one under this reference that could be loaded; None before the first.
    """

    model: training_pb2.Model
    asked_at: float
    asking: bool = False
    good: training_pb2.Model | None = None


def version_of(model: training_pb2.Model) -> str:
    """The reference of this very version."""
    return f"{model.name}@{model.version}"


def key(model: training_pb2.Model) -> str:
    """Tells a version from all others, of whatever content: two may well have the same."""
    return f"{version_of(model)} {model.digest}"


class References:
    """What training says that references name, remembered for a moment, and for longer while it does not answer."""

    def __init__(self, training: training_pb2_grpc.TrainingServiceStub) -> None:
        self._training = training
        self._lock = threading.Lock()
        self._named: OrderedDict[str, Named] = OrderedDict()
        self._missing: OrderedDict[str, tuple[float, NotFound]] = OrderedDict()
        self._silent_until = 0.0

    def known(self, reference: str) -> Named | None:
        """What a reference names, if anybody asked before, be it that a name was this version; None otherwise.

        One caller asks again when that was a while ago; the others, and this one if training takes its time, go on with
        what is known.

        Raises:
            NotFound: there is no such model, or not any more.
        """
        now = time.monotonic()
        with self._lock:
            named = self._named.get(reference)
            if named is None and reference in self._missing:
                when, missing = self._missing[reference]
                if now < when + MISSING_SECONDS:
                    raise copy(missing)
            if named is None or named.asking or now < max(named.asked_at + MEMORY_SECONDS, self._silent_until):
                return named
            named.asking = True
            if self._silent_until:
                self._silent_until = now + MEMORY_SECONDS
        try:
            model = self._ask(reference, ASK_AGAIN_SECONDS)
        except grpc.RpcError as error:
            trouble = told(error)
            with self._lock:
                if isinstance(trouble, NotFound):
                    self._named.pop(reference, None)
                    self._miss(reference, trouble)
                    raise trouble from None
                self._silent_until = time.monotonic() + MEMORY_SECONDS
            log.warning("training does not answer; %s stays version %d", reference, named.model.version)
        else:
            with self._lock:
                named.model, self._silent_until = model, 0.0
                self._keep(version_of(model), model)
                if reference in self._named:
                    self._named.move_to_end(reference)
        finally:
            named.asked_at, named.asking = time.monotonic(), False
        return named

    def first(self, reference: str) -> Named:
        """What a reference names that is not known yet.

        Raises:
            NotFound: there is no such model.
            Unavailable: training does not answer.
        """
        try:
            model = self._ask(reference, ASK_SECONDS)
        except grpc.RpcError as error:
            trouble = told(error)
            if isinstance(trouble, NotFound):
                with self._lock:
                    self._miss(reference, trouble)
            raise trouble from None
        with self._lock:
            # Should training go away, it is known by its version as well.
            self._keep(version_of(model), model)
            return self._keep(reference, model)

    def _keep(self, reference: str, model: training_pb2.Model) -> Named:
        # Somebody may have been quicker, and may have asked later.
        named = self._named.setdefault(reference, Named(model, time.monotonic()))
        while len(self._named) > MOST_REFERENCES:
            self._named.popitem(last=False)
        return named

    def _miss(self, reference: str, error: NotFound) -> None:
        self._missing.pop(reference, None)
        # One that was raised holds on to all that its callers had, requests too.
        self._missing[reference] = time.monotonic(), copy(error)
        while len(self._missing) > MOST_REFERENCES:
            self._missing.popitem(last=False)

    def keys(self) -> set[str]:
        """The keys of all models that they name, or named last."""
        with self._lock:
            known = list(self._named.values())
        return {key(one.model) for one in known} | {key(one.good) for one in known if one.good}

    def forget(self, keys: Collection[str]) -> None:
        """Does not know these models any more: training may go away, and they are not to be served on then."""
        with self._lock:
            for reference, named in list(self._named.items()):
                if key(named.model) in keys:
                    del self._named[reference]
                elif named.good and key(named.good) in keys:
                    named.good = None

    def _ask(self, reference: str, seconds: float) -> training_pb2.Model:
        return self._training.GetModel(training_pb2.GetModelRequest(model=reference), timeout=seconds)
