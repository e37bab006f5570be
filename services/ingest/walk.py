"""The documents of a source in their order, each read while the next is on its way."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from keyprint.errors import InvalidArgument, KeyprintError, NotFound, Unavailable
from services.ingest.download import AT_ONCE, Coming, Downloads, Fetched
from services.ingest.inbox import field_of
from services.ingest.peek import peek_next
from services.ingest.reading import Reading
from services.ingest.tables import Link
from services.ingest.urls import resolve, without_credentials


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
class _Following:
    """Where a chain goes on.

    Attributes:
        url: the URL; None at the end.
        wrong: why what is named there is none.
    """

    url: str | None = None
    wrong: InvalidArgument | None = None


class Walk:
    """Goes from one document of a source to the next."""

    def __init__(self, downloads: Downloads, read: Callable[[bytes], Reading]) -> None:
        """Gets them by `downloads` and reads them by `read`."""
        self._downloads = downloads
        self._read = read

    def chain(self, first: str, fetched: Fetched | None = None, named_by: str = "") -> Iterator[Download]:
        """The documents of a chain; while one is read the next is already on its way.

        Args:
            first: the URL of the first one.
            fetched: that one, where it is here.
            named_by: the document that names it as its `next`, as it may be shown; empty if none does.
        """
        # By one thread alone: two by turns, each with a connection of its own, took half a millisecond more a document.
        downloads = self._downloads
        url: str | None = first
        coming = _here(fetched) if fetched else downloads.begin(downloads.one, first)
        while url:
            here, shown = url, without_credentials(url)
            try:
                found = downloads.wait(shown, coming)
            except (InvalidArgument, NotFound, Unavailable) as error:
                raise _named(error, named_by) from None
            named_by = shown
            named = peek_next(found.content)
            following = _following(found.url, named)
            further = downloads.begin_ahead(downloads.one, following.url)
            reading = self._reading(here, shown, found)
            if reading.next != named:
                if further:
                    downloads.turn_to(further)
                following = _following(found.url, reading.next)
                further = downloads.begin_ahead(downloads.one, following.url)
            yield _download(here, shown, reading.next, found, reading)
            # The document itself is good, and read by now.
            if following.wrong:
                raise following.wrong
            url = following.url
            if url:
                coming = further or downloads.begin(downloads.one, url)
                downloads.turn_to(coming)

    def each(self, links: Sequence[Link]) -> Iterator[Download]:
        """The documents of a list in its order, a few fetched at once."""
        downloads, left, further = self._downloads, deque(links), deque[Coming]()
        while left:
            link = left.popleft()
            coming = further.popleft() if further else downloads.begin(downloads.several, link.url)
            downloads.turn_to(coming)
            for after in islice(left, len(further), AT_ONCE - 1):
                one = downloads.begin_ahead(downloads.several, after.url)
                if not one:
                    break
                further.append(one)
            shown = repr(link.name) if link.name else without_credentials(link.url)
            try:
                fetched = downloads.wait(shown, coming)
            except NotFound as error:
                # A fetch names the document itself.
                told = f"{shown}: {error.message}" if link.name else error.message
                raise NotFound(error.reason, told, error.field) from None
            yield _download(link.url, shown, None, fetched, self._reading(link.url, shown, fetched))

    def _reading(self, url: str, shown: str, fetched: Fetched) -> Reading:
        try:
            return self._read(fetched.content)
        except (InvalidArgument, Unavailable) as error:
            self._downloads.forget(url)
            raise type(error)(error.reason, f"{shown} cannot be read. {error.message}", field_of(url)) from None


def _named(error: KeyprintError, by: str) -> KeyprintError:
    """The same, with the document that led there."""
    return type(error)(error.reason, f"{error.message} {by} names it as its next.", error.field) if by else error


def _following(base: str, named: str | None) -> _Following:
    try:
        return _Following(resolve(base, named) if named else None)
    except InvalidArgument as error:
        return _Following(wrong=error)


def _here(fetched: Fetched) -> Coming:
    coming = Coming()
    coming.came(fetched)
    return coming


def _download(url: str, shown: str, following: str | None, fetched: Fetched, reading: Reading) -> Download:
    size = len(fetched.content)
    return Download(url, shown, following, fetched.url, fetched.digest, size, fetched.received, reading)
