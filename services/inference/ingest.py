"""The ingest service, as inference sees it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator

import grpc

from keyprint.errors import DeadlineExceeded, KeyprintError, Unavailable, from_rpc_error
from keyprint.v1 import ingest_pb2, ingest_pb2_grpc
from services.inference.engine import gone

ANSWER_SECONDS = 10.0
"""Longest wait for what a dataset is; a mute ingest would hold a place for each caller."""

BATCH_SECONDS = 30.0
"""Longest wait for the next attempts of a dataset; how long their reader takes in between does not count."""

WhenGone = Callable[[Callable[[], None]], bool]
"""Has something done when the caller goes away; false if they are gone already."""


class Ingest:
    """Datasets by id, for as long as the caller is there.

    Every call may raise NotFound, Cancelled when the caller is gone, and Unavailable when ingest does not answer in
    time.
    """

    def __init__(
        self,
        stub: ingest_pb2_grpc.IngestServiceStub,
        answer_seconds: float = ANSWER_SECONDS,
        batch_seconds: float = BATCH_SECONDS,
    ) -> None:
        self._stub = stub
        self._answer_seconds = answer_seconds
        self._batch_seconds = batch_seconds

    def about(self, dataset: str, when_gone: WhenGone) -> ingest_pb2.Dataset:
        """What there is to know of a dataset."""
        request = ingest_pb2.GetDatasetRequest(dataset=dataset)
        call = self._stub.GetDataset.future(request, timeout=self._answer_seconds)
        _only_while_here(call, when_gone)
        try:
            return call.result()
        except grpc.FutureCancelledError:
            raise gone() from None
        except grpc.RpcError as caught:
            raise _told(caught) from None

    def read(self, dataset: str, when_gone: WhenGone) -> Generator[bytes, None, None]:
        """All attempts of a dataset, batch by batch as `keyprint.arrow` wrote them; close it to read no further."""
        request = ingest_pb2.ReadAttemptsRequest(
            dataset=dataset, selection=ingest_pb2.ReadAttemptsRequest.SELECTION_ALL
        )
        call = self._stub.ReadAttempts(request)
        late = threading.Event()

        def give_up() -> None:
            late.set()
            call.cancel()

        def following() -> bytes | None:
            # gRPC times whole streams, which last as long as their reader likes.
            timer = threading.Timer(self._batch_seconds, give_up)
            timer.daemon = True
            timer.start()
            try:
                batch = next(call, None)
            except grpc.RpcError as caught:
                raise (_silent() if late.is_set() else _told(caught)) from None
            finally:
                timer.cancel()
            return None if batch is None else batch.ipc

        try:
            _only_while_here(call, when_gone)
            # Nothing here holds a batch while it is worked on, nor its message: they are the most that a reader costs.
            yield from iter(following, None)
        finally:
            call.cancel()


def _only_while_here(call: grpc.RpcContext, when_gone: WhenGone) -> None:
    """Cancels a call when its caller goes away."""

    def hang_up() -> None:
        call.cancel()

    if not when_gone(hang_up):
        call.cancel()
        raise gone()


def _told(caught: grpc.RpcError) -> KeyprintError:
    error = from_rpc_error(caught, "ingest")
    return _silent() if isinstance(error, DeadlineExceeded) else error


def _silent() -> Unavailable:
    return Unavailable("SERVICE_UNAVAILABLE", "Keyprint's ingest service does not answer in time; try again later.")
