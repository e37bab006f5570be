"""Processes that read documents, so that what is fetched, written and served meanwhile does not wait for it."""

from __future__ import annotations

import logging
import subprocess
import sys
import threading
from contextlib import ExitStack
from multiprocessing import Pipe

from keyprint.errors import InvalidArgument, Unavailable
from keyprint.settings import IngestSettings
from services.ingest.reading import Reading, Rules
from services.ingest.shelf import Shelf

log = logging.getLogger(__name__)

SECONDS = IngestSettings.model_construct().ingest_reader_seconds

_COMMAND = [sys.executable, "-m", "services.ingest.reader"]


class Readers:
    """Up to so many processes; safe to share between threads.

    The first one is started at once, for it takes a moment, and each further one when it is needed.
    """

    def __init__(self, most: int, seconds: float = SECONDS) -> None:
        """Has `most` of them, each of which may take so many seconds for a document."""
        self._turns = threading.Semaphore(most)
        self._seconds = seconds
        self._idle = [_Reader()]

    def __enter__(self) -> Readers:
        return self

    def __exit__(self, *_: object) -> None:
        while self._idle:
            self._idle.pop().end()

    def read(self, content: bytes, rules: Rules) -> Reading:
        """What `read_document` gives, once a reader has time.

        Raises:
            InvalidArgument: as that does, or it takes too long.
            Unavailable: the document ends whoever reads it, or nobody can be had who does.
        """
        with self._turns:
            # All that are idle may have been ended, for the memory that others took; a second try has a new one.
            for take in (self._idle_one, _Reader):
                try:
                    reader = take()
                except OSError as error:
                    log.warning("a process that reads documents cannot be started: %s", error)
                    continue
                try:
                    answer = reader.ask(content, rules, self._seconds)
                except TimeoutError:
                    reader.end()
                    told = f"It takes longer than {self._seconds:g} seconds to read, which is a limit of this Keyprint."
                    raise InvalidArgument("LIMIT_EXCEEDED", told, "url") from None
                except (EOFError, OSError):
                    log.warning("a process that reads documents ended with status %s", reader.wait())
                    continue
                self._idle.append(reader)
                if isinstance(answer, InvalidArgument):
                    raise answer
                return answer
        raise Unavailable(
            "READER_DIED",
            "The process that reads it ends or cannot be started, as when the machine runs out of memory.",
            "url",
        )

    def _idle_one(self) -> _Reader:
        try:
            return self._idle.pop()
        except IndexError:
            return _Reader()


class _Reader:
    """One of them."""

    def __init__(self) -> None:
        with ExitStack() as opened:
            self._line, theirs = Pipe()
            opened.enter_context(self._line)
            self._shelf = Shelf()
            opened.callback(self._shelf.close)
            with theirs:
                # Spawned and not forked, which gRPC does not survive.
                self._process = subprocess.Popen(  # noqa: S603 - our own module
                    [*_COMMAND, str(self._shelf.descriptor)], stdin=theirs.fileno(), pass_fds=[self._shelf.descriptor]
                )
            self._opened = opened.pop_all()

    def ask(self, content: bytes, rules: Rules, seconds: float) -> Reading | InvalidArgument:
        """What it says of a document.

        Raises:
            TimeoutError: it says nothing for so many seconds.
            EOFError or OSError: it has ended.
        """
        self._shelf.write(content)
        self._line.send((rules, len(content)))
        if not self._line.poll(seconds):
            raise TimeoutError
        answer: Reading | InvalidArgument = self._line.recv()
        self._shelf.shrink()
        return answer

    def wait(self) -> int:
        """Waits for its end; gives the status that it ends with."""
        self._opened.close()
        return self._process.wait()

    def end(self) -> None:
        """Ends it."""
        self._process.kill()
        self.wait()
