"""Documents on their way: fetched ahead of their use, from the cache where it has them."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeout
from contextlib import ExitStack
from dataclasses import dataclass
from hashlib import sha256
from itertools import islice

from keyprint.errors import InvalidArgument, KeyprintError, NotFound, Unavailable
from services.ingest.catalogue import Link
from services.ingest.fetch import Content, Fetcher
from services.ingest.inbox import UPLOAD, field_of
from services.ingest.peek import peek_next
from services.ingest.reading import Reading
from services.ingest.store import Store
from services.ingest.urls import resolve, without_credentials

log = logging.getLogger(__name__)

AHEAD = 4
"""Documents of a list that are fetched at once."""

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
        fetched: its bytes.
        reading: what they say.
    """

    url: str
    shown: str
    next: str | None
    fetched: Fetched
    reading: Reading


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
    ) -> None:
        """Prepares.

        Args:
            store: with the cache, which is asked first, and with the documents that callers sent.
            open_fetcher: opens a session.
            source: URL of the source.
            refresh: ask each server whether what the cache has is still what it has.
            read: reads the next document, if it is one.
            check: called again and again with what is waited for; what it raises ends the wait.
        """
        self._store = store
        self._open_fetcher = open_fetcher
        self._source = source
        self._refresh = refresh
        self._read = read
        self._check = check
        self._sessions = threading.local()
        self._opened = ExitStack()
        self._opened.enter_context(store.cache.importing(source))
        self._threads = ThreadPoolExecutor(AHEAD, thread_name_prefix="fetch")
        self._caching = threading.Lock()
        self._over = False

    def __enter__(self) -> Downloads:
        return self

    def __exit__(self, *_: object) -> None:
        # Who is in the middle of a slow document ends when that passes its limit, and keeps nothing: the dataset may
        # be deleted by then.
        with self._caching:
            self._over = True
        self._threads.shutdown(wait=False, cancel_futures=True)
        self._opened.close()

    def get(self, url: str, again: bool = False) -> Fetched:
        """What is at `url`; `again` asks its server whether what the cache has is still what it has.

        Raises:
            KeyprintError: as `Fetcher.fetch` says.
        """
        return self._wait(without_credentials(url), self._begin(url, again))

    def chain(self, first: str, fetched: Fetched | None = None, named_by: str = "") -> Iterator[Download]:
        """The documents of a chain; while one is read the next is already on its way.

        Args:
            first: the URL of the first one.
            fetched: that one, where it is here.
            named_by: the document that names it as its `next`, as it may be shown; empty if none does.
        """
        url: str | None = first
        coming: Future[Fetched] = Future()
        if fetched:
            coming.set_result(fetched)
        else:
            coming = self._begin(first)
        while url:
            here, shown = url, without_credentials(url)
            try:
                found = self._wait(shown, coming)
            except (InvalidArgument, NotFound, Unavailable) as error:
                raise _named(error, named_by) from None
            named_by = shown
            named = peek_next(found.content)
            following = _following(found.url, named)
            if following.url:
                coming = self._begin(following.url)
            reading = self._reading(here, shown, found)
            if reading.next != named:
                following = _following(found.url, reading.next)
                if following.url:
                    coming = self._begin(following.url)
            url = following.url
            yield Download(here, shown, reading.next, found, reading)
            # The document itself is good, and read by now.
            if following.wrong:
                raise following.wrong

    def each(self, links: Sequence[Link]) -> Iterator[Download]:
        """The documents of a list in its order, a few fetched at once."""
        left = iter(links)
        coming = deque((link, self._begin(link.url)) for link in islice(left, AHEAD))
        while coming:
            link, first = coming.popleft()
            shown = repr(link.name) if link.name else without_credentials(link.url)
            try:
                fetched = self._wait(shown, first)
            except NotFound as error:
                # A fetch names the document itself.
                told = f"{shown}: {error.message}" if link.name else error.message
                raise NotFound(error.reason, told, error.field) from None
            coming.extend((link, self._begin(link.url)) for link in islice(left, 1))
            yield Download(link.url, shown, None, fetched, self._reading(link.url, shown, fetched))

    def forget(self, url: str) -> None:
        """Drops a document that ends the import because it is wrong: it may be mended tomorrow."""
        with self._caching:
            # It may be its own next, and on its way a second time.
            self._over = True
            self._store.cache.forget(self._source, url)

    def _begin(self, url: str, again: bool = False) -> Future[Fetched]:
        coming: Future[Fetched] = Future()
        self._threads.submit(self._fetch, url, coming, again or self._refresh)
        return coming

    def _fetch(self, url: str, coming: Future[Fetched], ask: bool) -> None:
        try:
            if url.startswith(UPLOAD):
                sent = self._store.inbox.read(url)
                coming.set_result(Fetched(sent, "", sha256(sent).hexdigest(), len(sent)))
            else:
                self._get(url, coming, ask)
        except BaseException as error:
            if not coming.done():
                coming.set_exception(error)
                return
            log.exception("%s was not kept for the next time", without_credentials(url))

    def _get(self, url: str, coming: Future[Fetched], ask: bool) -> None:
        """Gets what is at `url`; who waits for a download has it before the cache does."""
        cache = self._store.cache
        with cache.turn(url):
            cached = cache.get(self._source, url)
            fetched = cached if cached and not ask else self._fetcher().fetch(url, cached)
            if fetched is cached:
                coming.set_result(_fetched(url, cached, 0))
                return
            # Nobody ends meanwhile: what was waited for is kept.
            with self._caching:
                coming.set_result(_fetched(url, fetched, len(fetched.content)))
                if not self._over:
                    cache.put(self._source, url, fetched)

    def _wait(self, shown: str, coming: Future[Fetched]) -> Fetched:
        while True:
            try:
                return coming.result(LOOK_SECONDS)
            except FutureTimeout:
                # A download that ran out of time raises the same, and is over.
                if coming.done():
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


def _fetched(url: str, content: Content, received: int) -> Fetched:
    return Fetched(content.content, content.url or url, sha256(content.content).hexdigest(), received)
