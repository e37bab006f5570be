"""Documents on their way, from the cache where it has them."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeout
from contextlib import ExitStack
from dataclasses import dataclass, field
from hashlib import sha256

from services.ingest.ahead import Ahead, Room
from services.ingest.fetch import Content, Fetcher
from services.ingest.inbox import UPLOAD
from services.ingest.store import Store
from services.ingest.urls import without_credentials

log = logging.getLogger(__name__)

AT_ONCE = 4
"""Documents of a list that are on their way at once.  This is a shape and no limit: more would save no time, and what
they may hold in memory is a setting, which `Ahead` keeps.
"""

LOOK_SECONDS = 0.2
"""How often somebody who waits for a download looks up."""


@dataclass(frozen=True)
class Fetched:
    """A document's bytes.

    Attributes:
        content: the bytes, decompressed.
        url: where they really came from; empty for one that was sent.
        digest: their SHA-256 as 64 hex digits, which the thread that fetched them takes.
        received: how many had to be received now; none if the cache had them.
    """

    content: bytes
    url: str
    digest: str
    received: int


@dataclass(frozen=True)
class Coming:
    """A document on its way.

    Attributes:
        fetched: its bytes, when they are here.
        room: room in memory, until its import turns to it.
    """

    fetched: Future[Fetched] = field(default_factory=Future)
    room: Room | None = None

    def came(self, fetched: Fetched) -> None:
        """It is here now."""
        if self.room:
            self.room.fit(len(fetched.content))
        self.fetched.set_result(fetched)


class Downloads:
    """Gets the documents of one source with a few threads, each with a session of its own.

    Attributes:
        one: a thread that gets one after the other.
        several: threads that get some at once.
    """

    def __init__(
        self,
        store: Store,
        open_fetcher: Callable[[], Fetcher],
        source: str,
        refresh: bool,
        check: Callable[[str], None],
        ahead: Ahead,
    ) -> None:
        """Prepares.

        Args:
            store: with the cache, which is asked first, and with the documents that callers sent.
            open_fetcher: opens a session.
            source: URL of the source.
            refresh: ask each server whether what the cache has is still what it has.
            check: called again and again with what is waited for; what it raises ends the wait.
            ahead: has room for what is fetched before it is waited for.
        """
        self._store = store
        self._open_fetcher = open_fetcher
        self._source = source
        self._refresh = refresh
        self._check = check
        self._ahead = ahead
        self._rooms = set[Room]()
        self._sessions = threading.local()
        self._opened = ExitStack()
        self._opened.enter_context(store.cache.importing(source))
        self.one = ThreadPoolExecutor(1, thread_name_prefix="fetch")
        self.several = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="fetch")
        self._caching = threading.Lock()
        self._over = False

    def __enter__(self) -> Downloads:
        return self

    def __exit__(self, *_: object) -> None:
        # What is still on its way is cut off, and nothing of it is kept: the dataset may be deleted by then.
        with self._caching:
            self._over = True
        for threads in (self.one, self.several):
            threads.shutdown(wait=False, cancel_futures=True)
        self._opened.close()
        for room in self._rooms:
            room.give_back()

    def get(self, url: str, again: bool = False) -> Fetched:
        """What is at `url`; `again` asks its server whether what the cache has is still what it has.

        Raises:
            KeyprintError: as `Fetcher.fetch` says.
        """
        return self.wait(without_credentials(url), self.begin(self.one, url, again))

    def forget(self, url: str) -> None:
        """Drops a document that ends the import because it is wrong: it may be mended tomorrow."""
        with self._caching:
            # It may be its own next, and on its way a second time.
            self._over = True
            self._store.cache.forget(self._source, url)

    def begin(self, threads: ThreadPoolExecutor, url: str, again: bool = False) -> Coming:
        """Begins to get the document that the import waits for."""
        coming = Coming()
        threads.submit(self._fetch, url, coming, again or self._refresh)
        return coming

    def begin_ahead(self, threads: ThreadPoolExecutor, url: str | None) -> Coming | None:
        """Begins to get a further document, if there is one and room for it."""
        if not url:
            return None
        room = self._ahead.room()
        if not room:
            return None
        self._rooms.add(room)
        coming = Coming(room=room)
        threads.submit(self._fetch, url, coming, self._refresh)
        return coming

    def turn_to(self, coming: Coming) -> None:
        """A document is not ahead any more: its import turns to it, or goes on elsewhere."""
        if coming.room:
            coming.room.give_back()
            self._rooms.discard(coming.room)

    def _fetch(self, url: str, coming: Coming, ask: bool) -> None:
        try:
            if url.startswith(UPLOAD):
                sent = self._store.inbox.read(url)
                coming.came(Fetched(sent, "", sha256(sent).hexdigest(), len(sent)))
            else:
                self._get(url, coming, ask)
        except BaseException as error:
            if not coming.fetched.done():
                coming.fetched.set_exception(error)
                return
            log.exception("%s was not kept for the next time", without_credentials(url))

    def _get(self, url: str, coming: Coming, ask: bool) -> None:
        """Gets what is at `url`; who waits for a download has it before the cache does."""
        cache = self._store.cache
        with cache.turn(url):
            if self._over:
                coming.fetched.cancel()
                return
            cached = cache.get(self._source, url)
            content = cached if cached and not ask else self._fetcher().fetch(url, cached)
            if content is cached:
                coming.came(_fetched(url, cached, 0))
                return
            # Nobody ends meanwhile: what was waited for is kept.
            with self._caching:
                coming.came(_fetched(url, content, len(content.content)))
                if not self._over:
                    cache.put(self._source, url, content)

    def wait(self, shown: str, coming: Coming) -> Fetched:
        """A document that is on its way and may be called `shown`, when it is here.

        Raises:
            KeyprintError: as `Fetcher.fetch` says.
        """
        while True:
            try:
                return coming.fetched.result(LOOK_SECONDS)
            except FutureTimeout:
                # A download that ran out of time raises the same, and is over.
                if coming.fetched.done():
                    raise
                self._check(shown)

    def _fetcher(self) -> Fetcher:
        if not hasattr(self._sessions, "fetcher"):
            self._sessions.fetcher = self._opened.enter_context(self._open_fetcher())
        fetcher: Fetcher = self._sessions.fetcher
        return fetcher


def _fetched(url: str, content: Content, received: int) -> Fetched:
    return Fetched(content.content, content.url or url, sha256(content.content).hexdigest(), received)
