"""Processes that read documents, so that what is fetched, written and served meanwhile does not wait for it."""

from __future__ import annotations

import logging
import subprocess
import sys
import threading
from multiprocessing import Pipe

from keyprint.errors import InvalidArgument, Unavailable
from services.ingest.reading import Reading, Rules
from services.ingest.shelf import Shelf

log = logging.getLogger(__name__)

_COMMAND = [sys.executable, "-m", "services.ingest.reader"]


class Readers:
    """Up to so many processes; safe to share between threads.

    The first one is started at once, for it takes a moment, and each further one when it is needed.
    """

    def __init__(self, most: int) -> None:
        self._turns = threading.Semaphore(most)
        self._idle = [_Reader()]

    def __enter__(self) -> Readers:
        return self

    def __exit__(self, *_: object) -> None:
        while self._idle:
            self._idle.pop().end()

    def read(self, content: bytes, rules: Rules) -> Reading:
        """What `read_document` gives, once a reader has time.

        Raises:
            InvalidArgument: as that does.
            Unavailable: the document ends whoever reads it.
        """
        with self._turns:
            # All that are idle may have been ended, for the memory that others took; a second try has a new one.
            for take in (self._idle_one, _Reader):
                reader = take()
                try:
                    answer = reader.ask(content, rules)
                except (EOFError, OSError):
                    log.warning("a process that reads documents ended with status %s", reader.wait())
                    continue
                self._idle.append(reader)
                if isinstance(answer, InvalidArgument):
                    raise answer
                return answer
        raise Unavailable(
            "READER_DIED", "The process that reads it ends, as it does when the machine runs out of memory.", "url"
        )

    def _idle_one(self) -> _Reader:
        try:
            return self._idle.pop()
        except IndexError:
            return _Reader()


class _Reader:
    """One of them."""

    def __init__(self) -> None:
        self._line, theirs = Pipe()
        self._shelf = Shelf()
        with theirs:
            # Spawned and not forked, which gRPC does not survive.
            self._process = subprocess.Popen(  # noqa: S603 - our own module
                [*_COMMAND, str(self._shelf.descriptor)], stdin=theirs.fileno(), pass_fds=[self._shelf.descriptor]
            )

    def ask(self, content: bytes, rules: Rules) -> Reading | InvalidArgument:
        """What it says of a document; EOFError or OSError if it ends instead."""
        self._shelf.write(content)
        self._line.send((rules, len(content)))
        answer: Reading | InvalidArgument = self._line.recv()
        return answer

    def wait(self) -> int:
        """Waits for its end; gives the status that it ends with."""
        self._line.close()
        self._shelf.close()
        return self._process.wait()

    def end(self) -> None:
        """Ends it."""
        self._process.kill()
        self.wait()
