"""A process that reads documents: python -m services.ingest.reader SHELF

Rules come by a pipe to its service, its standard input, and what documents say goes back by it.  The documents lie on a
shelf, by its descriptor.  It ends when the service closes its end of the pipe, as it does when that dies.
"""

from __future__ import annotations

import gc
import os
import signal
import sys
from contextlib import suppress
from multiprocessing.connection import Connection

import pyarrow as pa

from keyprint.errors import InvalidArgument
from services.ingest.reading import Reading, read_document
from services.ingest.shelf import Shelf


def main() -> None:
    """Reads one document after the other until there are no more."""
    # Who stops the service may tell all of its processes, and an import is to go on until the service itself ends.
    for one in (signal.SIGINT, signal.SIGTERM):
        signal.signal(one, signal.SIG_IGN)
    # It gives back what it took: the usual one keeps some for each thread.
    pa.set_memory_pool(pa.system_memory_pool())
    service, shelf = Connection(os.dup(0)), Shelf(int(sys.argv[1]))
    # A document's keystrokes are objects that live for a moment; the collector is to look through these alone, and not
    # after every few hundred of them.
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)
    # The service may end at any moment.
    with suppress(EOFError, ConnectionError):
        while True:
            rules, size = service.recv()
            try:
                answer: Reading | InvalidArgument = read_document(shelf.read(size), rules)
            except InvalidArgument as error:
                answer = error
            service.send(answer)


if __name__ == "__main__":
    main()
