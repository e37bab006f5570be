"""The process that trains: python -m services.training.worker

Reads an order from its standard input, tells how it goes on its standard output, and ends when the service does.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import threading
import time
import traceback
from collections.abc import Callable

from keyprint import logs
from keyprint.channel import channel
from keyprint.errors import KeyprintError, ResourceExhausted, Unavailable
from keyprint.v1 import ingest_pb2_grpc
from services.training.dataset import Trainable
from services.training.ingest import Ingest
from services.training.trainer import train
from services.training.work import OUT_OF_MEMORY, Failure, Order, Outcome, Progress, Said, failure_of, to_line

_AGAIN_SECONDS = 1.0


def main() -> None:
    """Works one order off."""
    logs.configure(logging.INFO)
    # Libraries print what they like; the service reads nothing but our own lines.
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    order = Order(**json.loads(sys.stdin.readline()))
    threading.Thread(target=_end_with_service, daemon=True).start()

    def tell(said: Said) -> None:
        out.write(to_line(said))
        out.flush()

    tell(work(order, tell))


def _end_with_service() -> None:
    # The service holds the other end and never writes to it again: it closes when the service ends, however it does.
    sys.stdin.read()
    os._exit(1)


def work(order: Order, tell: Callable[[Progress], None]) -> Outcome | Failure:
    """What becomes of an order."""
    try:
        return train(order, _read(order, tell), tell)
    except KeyprintError as error:
        return failure_of(error)
    except Exception as error:
        traceback.print_exc()
        return OUT_OF_MEMORY if _wants_memory(error) else failure_of(error)


def _read(order: Order, tell: Callable[[Progress], None]) -> Trainable:
    """The dataset, also of an ingest that starts only now, as after a restart of the machine, or is full."""
    until = time.monotonic() + order.ingest_seconds
    tell(Progress("reading", 0.0, "Reading the dataset."))
    while True:
        try:
            # A channel that has failed for a while tries again only now and then; a new one does at once.
            with channel(order.ingest_address) as connected:
                return Ingest(ingest_pb2_grpc.IngestServiceStub(connected)).read(order.dataset)
        except (ResourceExhausted, Unavailable) as error:
            if time.monotonic() > until:
                raise
            why = "does not answer" if isinstance(error, Unavailable) else "has too much to do"
            tell(Progress("reading", 0.0, f"Waiting for the ingest service, which {why}."))
            time.sleep(_AGAIN_SECONDS)


def _wants_memory(error: Exception) -> bool:
    # TensorFlow has an error of its own; it takes seconds to import, and whoever has not done so cannot have raised it.
    tensorflow = sys.modules.get("tensorflow")
    return isinstance(error, MemoryError) or (
        tensorflow is not None and isinstance(error, tensorflow.errors.ResourceExhaustedError)
    )


if __name__ == "__main__":
    main()
