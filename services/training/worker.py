"""The process that trains: python -m services.training.worker

Reads an order from its standard input, tells how it goes on its standard output, and ends when the service does.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import threading
import traceback
from collections.abc import Callable

import grpc

from keyprint.channel import channel
from keyprint.errors import Internal, KeyprintError, from_rpc_error
from keyprint.v1 import ingest_pb2_grpc
from services.training import dataset
from services.training.trainer import train
from services.training.work import Failure, Order, Outcome, Progress, Said, to_line


def main() -> None:
    """Works one order off."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    # Libraries print what they like; the service reads nothing but our own lines.
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    order = Order(**json.loads(sys.stdin.readline()))
    threading.Thread(target=_end_with_service, daemon=True).start()

    def tell(said: Said) -> None:
        out.write(to_line(said))
        out.flush()

    tell(_result(order, tell))


def _end_with_service() -> None:
    # The service holds the other end and never writes to it again: it closes when the service ends, however it does.
    sys.stdin.read()
    os._exit(1)


def _result(order: Order, tell: Callable[[Progress], None]) -> Outcome | Failure:
    try:
        tell(Progress("reading", 0.0, "Reading the dataset."))
        with channel(order.ingest_address) as ingest:
            data = dataset.read(ingest_pb2_grpc.IngestServiceStub(ingest), order.dataset)
        return train(order, data, tell)
    except grpc.RpcError as error:
        return Failure.of(from_rpc_error(error))
    except KeyprintError as error:
        return Failure.of(error)
    except Exception:
        traceback.print_exc()
        return Failure.of(Internal("INTERNAL", "Training failed inside Keyprint; the training service's log says how."))


if __name__ == "__main__":
    main()
