"""Documents on their way: fetched ahead of their use, from the cache where it has them."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeout
from contextlib import ExitStack
from dataclasses import dataclass
from hashlib import sha256
from itertools import islice
from typing import TypeVar

from keyprint.errors import InvalidArgument, NotFound
from services.ingest.fetch import Content, Fetcher
from services.ingest.parse import Decoded, Document, decode, to_document
from services.ingest.store import Store
from services.ingest.urls import resolve, without_credentials

Got = TypeVar("Got")

AHEAD = 4
"""Documents of a list that are fetched at once."""

LOOK_SECONDS = 0.2
"""How often somebody who waits for a download looks up."""

UPLOAD = "upload:"
"""What stands for the URL of a document that a caller sent; its SHA-256 follows."""


@dataclass(frozen=True)
class Download:
    """A document as it came, read.

    Attributes:
        url: where it came from.
        following: where the chain goes on; None at its end and in a list.
        digest: SHA-256 of its bytes, decompressed, as 64 hex digits.
        size: how many these are.
        document: what they say.
    """

    url: str
    following: str | None
    digest: str
    size: int
    document: Document


@dataclass(frozen=True)
class Fetched:
    """A document's bytes, where they really came from, and their SHA-256, which the thread that fetched them takes."""

    content: bytes
    url: str
    digest: str


class Downloads:
    """Gets documents with a few threads, each with a session of its own."""

    def __init__(
        self,
        store: Store,
        open_fetcher: Callable[[], Fetcher],
        refresh: bool,
        most_attempts: int,
        check: Callable[[str], None],
    ) -> None:
        """Prepares.

        Args:
            store: with the cache, which is asked first.
            open_fetcher: opens a session.
            most_attempts: attempts that a document may have.
            refresh: ask each server whether what the cache has is still what it has.
            check: called again and again with the URL that is waited for; what it raises ends the wait.
        """
        self._store = store
        self._open_fetcher = open_fetcher
        self._refresh = refresh
        self._most_attempts = most_attempts
        self._check = check
        self._asked: set[str] = set()
        self._sessions = threading.local()
        self._opened = ExitStack()
        self._threads = ThreadPoolExecutor(AHEAD, thread_name_prefix="fetch")

    def __enter__(self) -> Downloads:
        return self

    def __exit__(self, *_: object) -> None:
        # Who is in the middle of a slow document ends when that passes its limit.
        self._threads.shutdown(wait=False, cancel_futures=True)
        self._opened.close()

    def content(self, url: str) -> bytes:
        """What is at `url`, decompressed.

        Raises:
            KeyprintError: as `Fetcher.fetch` says.
        """
        return self._wait(url, self._threads.submit(self._content, url)).content

    def _fetch(self, url: str) -> Fetched:
        found = self._content(url)
        return Fetched(found.content, found.url, sha256(found.content).hexdigest())

    def _content(self, url: str) -> Content:
        cached = self._store.cached(url)
        if url.startswith(UPLOAD):
            if cached is None:
                raise NotFound("DOCUMENT_NOT_FOUND", "An uploaded document is gone; send it again.", "files")
            return cached
        if cached and (not self._refresh or url in self._asked):
            return cached
        fetched = self._fetcher().fetch(url, cached)
        self._store.cache(url, fetched)
        self._asked.add(url)
        return fetched

    def chain(self, first: str) -> Iterator[Download]:
        """The documents of a chain; while one is read the next is already on its way."""
        url: str | None = first
        coming = self._threads.submit(self._fetch, first)
        while url:
            here, fetched = url, self._wait(url, coming)
            decoded = self._decode(here, fetched)
            wrong: InvalidArgument | None = None
            url = None
            try:
                url = resolve(fetched.url or here, decoded.next) if decoded.next else None
            except InvalidArgument as error:
                wrong = error
            if url:
                coming = self._threads.submit(self._fetch, url)
            yield Download(here, url, fetched.digest, len(fetched.content), to_document(decoded))
            # The document itself is good, and read by now.
            if wrong:
                raise wrong

    def each(self, urls: Sequence[str]) -> Iterator[Download]:
        """The documents of a list in its order, a few fetched at once."""
        left = iter(urls)
        coming = deque((url, self._threads.submit(self._fetch, url)) for url in islice(left, AHEAD))
        while coming:
            url, first = coming.popleft()
            fetched = self._wait(url, first)
            coming.extend((url, self._threads.submit(self._fetch, url)) for url in islice(left, 1))
            document = to_document(self._decode(url, fetched))
            yield Download(url, None, fetched.digest, len(fetched.content), document)

    def _wait(self, url: str, coming: Future[Got]) -> Got:
        while True:
            try:
                return coming.result(LOOK_SECONDS)
            except FutureTimeout:
                # A download that ran out of time raises the same, and is over.
                if coming.done():
                    raise
                self._check(url)

    def _decode(self, url: str, fetched: Fetched) -> Decoded:
        try:
            return decode(fetched.content, self._most_attempts)
        except InvalidArgument as error:
            # What is no document now may be one tomorrow.
            self._store.forget(url)
            message = f"{without_credentials(url)} cannot be read. {error.message}"
            raise InvalidArgument(error.reason, message, "url") from None

    def _fetcher(self) -> Fetcher:
        if not hasattr(self._sessions, "fetcher"):
            self._sessions.fetcher = self._opened.enter_context(self._open_fetcher())
        fetcher: Fetcher = self._sessions.fetcher
        return fetcher
