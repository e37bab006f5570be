"""Documents on their way: fetched ahead of their use, from the cache where it has them."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeout
from contextlib import ExitStack
from dataclasses import dataclass, field
from hashlib import sha256
from itertools import islice

from keyprint.errors import InvalidArgument, KeyprintError, NotFound, Unavailable
from services.ingest.ahead import Ahead, Room
from services.ingest.catalogue import Link
from services.ingest.fetch import Content, Fetcher
from services.ingest.inbox import UPLOAD, field_of
from services.ingest.peek import peek_next
from services.ingest.reading import Reading
from services.ingest.store import Store
from services.ingest.urls import resolve, without_credentials

log = logging.getLogger(__name__)

AHEAD = 4
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
class Download:
    """A document as it came, read.

    Attributes:
        url: what names it in its source.
        shown: what to call it.
        next: where its chain goes on, in its own words; None at its end and in a list.
        final_url: where it really came from; empty for one that was sent.
        digest: its SHA-256 as 64 hex digits.
        size: its bytes, decompressed.
        received: how many of them had to be received now; none if the cache had them.
        reading: what it says.
    """

    url: str
    shown: str
    next: str | None
    final_url: str
    digest: str
    size: int
    received: int
    reading: Reading


@dataclass(frozen=True)
class _Coming:
    """A document on its way.

    Attributes:
        fetched: its bytes, when they are here.
        room: room in memory, until its import turns to it.
    """

    fetched: Future[Fetched] = field(default_factory=Future)
    room: Room | None = None

    def came(self, fetched: Fetched) -> None:
        """It is here."""
        if self.room:
            self.room.fit(len(fetched.content))
        self.fetched.set_result(fetched)


@dataclass(frozen=True)
class _Following:
    """Where a chain goes on.

    Attributes:
        url: the URL; None at the end.
        wrong: why what is named there is none.
    """

    url: str | None = None
    wrong: InvalidArgument | None = None


class Downloads:
    """Gets the documents of one source with a few threads, each with a session of its own."""

    def __init__(
        self,
        store: Store,
        open_fetcher: Callable[[], Fetcher],
        source: str,
        refresh: bool,
        read: Callable[[bytes], Reading],
        check: Callable[[str], None],
        ahead: Ahead,
    ) -> None:
        """Prepares.

        Args:
            store: with the cache, which is asked first, and with the documents that callers sent.
            open_fetcher: opens a session.
            source: URL of the source.
            refresh: ask each server whether what the cache has is still what it has.
            read: reads the next document, if it is one.
            check: called again and again with what is waited for; what it raises ends the wait.
            ahead: has room for what is fetched before it is waited for.
        """
        self._store = store
        self._open_fetcher = open_fetcher
        self._source = source
        self._refresh = refresh
        self._read = read
        self._check = check
        self._ahead = ahead
        self._rooms = set[Room]()
        self._sessions = threading.local()
        self._opened = ExitStack()
        self._opened.enter_context(store.cache.importing(source))
        # A chain has one alone: by turns of two, each with its own connection, a document took half a millisecond more.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="fetch")
        self._threads = ThreadPoolExecutor(AHEAD, thread_name_prefix="fetch")
        self._caching = threading.Lock()
        self._over = False

    def __enter__(self) -> Downloads:
        return self

    def __exit__(self, *_: object) -> None:
        # What is still on its way is cut off, and nothing of it is kept: the dataset may be deleted by then.
        with self._caching:
            self._over = True
        for threads in (self._thread, self._threads):
            threads.shutdown(wait=False, cancel_futures=True)
        self._opened.close()
        for room in self._rooms:
            room.give_back()

    def get(self, url: str, again: bool = False) -> Fetched:
        """What is at `url`; `again` asks its server whether what the cache has is still what it has.

        Raises:
            KeyprintError: as `Fetcher.fetch` says.
        """
        return self._wait(without_credentials(url), self._begin(self._thread, url, again))

    def chain(self, first: str, fetched: Fetched | None = None, named_by: str = "") -> Iterator[Download]:
        """The documents of a chain; while one is read the next is already on its way.

        Args:
            first: the URL of the first one.
            fetched: that one, where it is here.
            named_by: the document that names it as its `next`, as it may be shown; empty if none does.
        """
        url: str | None = first
        coming = _here(fetched) if fetched else self._begin(self._thread, first)
        while url:
            here, shown = url, without_credentials(url)
            try:
                found = self._wait(shown, coming)
            except (InvalidArgument, NotFound, Unavailable) as error:
                raise _named(error, named_by) from None
            named_by = shown
            named = peek_next(found.content)
            following = _following(found.url, named)
            further = self._begin_ahead(self._thread, following.url)
            reading = self._reading(here, shown, found)
            if reading.next != named:
                if further:
                    self._leave(further)
                following = _following(found.url, reading.next)
                further = self._begin_ahead(self._thread, following.url)
            yield _download(here, shown, reading.next, found, reading)
            # The document itself is good, and read by now.
            if following.wrong:
                raise following.wrong
            url = following.url
            if url:
                coming = further or self._begin(self._thread, url)
                self._leave(coming)

    def each(self, links: Sequence[Link]) -> Iterator[Download]:
        """The documents of a list in its order, a few fetched at once."""
        left, further = deque(links), deque[_Coming]()
        while left:
            link = left.popleft()
            coming = further.popleft() if further else self._begin(self._threads, link.url)
            self._leave(coming)
            for after in islice(left, len(further), AHEAD - 1):
                one = self._begin_ahead(self._threads, after.url)
                if not one:
                    break
                further.append(one)
            shown = repr(link.name) if link.name else without_credentials(link.url)
            try:
                fetched = self._wait(shown, coming)
            except NotFound as error:
                # A fetch names the document itself.
                told = f"{shown}: {error.message}" if link.name else error.message
                raise NotFound(error.reason, told, error.field) from None
            yield _download(link.url, shown, None, fetched, self._reading(link.url, shown, fetched))

    def forget(self, url: str) -> None:
        """Drops a document that ends the import because it is wrong: it may be mended tomorrow."""
        with self._caching:
            # It may be its own next, and on its way a second time.
            self._over = True
            self._store.cache.forget(self._source, url)

    def _begin(self, threads: ThreadPoolExecutor, url: str, again: bool = False) -> _Coming:
        """Begins to get the document that the import waits for."""
        coming = _Coming()
        threads.submit(self._fetch, url, coming, again or self._refresh)
        return coming

    def _begin_ahead(self, threads: ThreadPoolExecutor, url: str | None) -> _Coming | None:
        """Begins to get a further document, if there is one and room for it."""
        if not url:
            return None
        room = self._ahead.room()
        if not room:
            return None
        self._rooms.add(room)
        coming = _Coming(room=room)
        threads.submit(self._fetch, url, coming, self._refresh)
        return coming

    def _leave(self, coming: _Coming) -> None:
        """A document is not ahead any more: its import has turned to it, or goes on elsewhere."""
        if coming.room:
            coming.room.give_back()
            self._rooms.discard(coming.room)

    def _fetch(self, url: str, coming: _Coming, ask: bool) -> None:
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

    def _get(self, url: str, coming: _Coming, ask: bool) -> None:
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

    def _wait(self, shown: str, coming: _Coming) -> Fetched:
        while True:
            try:
                return coming.fetched.result(LOOK_SECONDS)
            except FutureTimeout:
                # A download that ran out of time raises the same, and is over.
                if coming.fetched.done():
                    raise
                self._check(shown)

    def _reading(self, url: str, shown: str, fetched: Fetched) -> Reading:
        try:
            return self._read(fetched.content)
        except (InvalidArgument, Unavailable) as error:
            self.forget(url)
            raise type(error)(error.reason, f"{shown} cannot be read. {error.message}", field_of(url)) from None

    def _fetcher(self) -> Fetcher:
        if not hasattr(self._sessions, "fetcher"):
            self._sessions.fetcher = self._opened.enter_context(self._open_fetcher())
        fetcher: Fetcher = self._sessions.fetcher
        return fetcher


def _named(error: KeyprintError, by: str) -> KeyprintError:
    """The same, with the document that led there."""
    return type(error)(error.reason, f"{error.message} {by} names it as its next.", error.field) if by else error


def _following(base: str, named: str | None) -> _Following:
    try:
        return _Following(resolve(base, named) if named else None)
    except InvalidArgument as error:
        return _Following(wrong=error)


def _here(fetched: Fetched) -> _Coming:
    coming = _Coming()
    coming.came(fetched)
    return coming


def _fetched(url: str, content: Content, received: int) -> Fetched:
    return Fetched(content.content, content.url or url, sha256(content.content).hexdigest(), received)


def _download(url: str, shown: str, following: str | None, fetched: Fetched, reading: Reading) -> Download:
    size = len(fetched.content)
    return Download(url, shown, following, fetched.url, fetched.digest, size, fetched.received, reading)
