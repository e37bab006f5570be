"""Documents by URL, within limits."""

from __future__ import annotations

import threading
import time
import zlib
from dataclasses import dataclass
from http import HTTPStatus
from urllib.parse import urljoin, urlsplit, urlunsplit

import requests
from urllib3.exceptions import HTTPError
from urllib3.util import Retry

from keyprint.errors import InvalidArgument, KeyprintError, NotFound, Unavailable
from services.ingest.guard import Guard, GuardedAdapter

USER_AGENT = "keyprint-ingest/0.1"
PIECE = 64 * 1024
LONGEST_URL = 2048
_SHOWN = 200
_PASSING = (429, 500, 502, 503, 504)
"""Answers that may be others a moment later."""
_BACKOFF_SECONDS = 0.2
"""Before the first new try; twice as long before each further one."""
_GZIP = b"\x1f\x8b"


@dataclass(frozen=True)
class FetchLimits:
    """What one document may cost.

    Attributes:
        document_bytes: most bytes of a document, decompressed.
        document_seconds: longest time for a document, whatever its server does.
        connect_seconds: longest wait for a connection.
        read_seconds: longest wait for the next bytes.
        retries: further tries where the network, a 429 or a 5xx got in the way, if the time allows.
        redirects: redirects followed.
    """

    document_bytes: int = 64 * 2**20
    document_seconds: float = 120.0
    connect_seconds: float = 10.0
    read_seconds: float = 30.0
    retries: int = 3
    redirects: int = 5


@dataclass(frozen=True)
class Content:
    """What was at a URL.

    Attributes:
        content: its bytes, decompressed.
        etag: the server's name for this state of it; empty if it gave none.
        last_modified: when the server says that it changed; empty if it did not.
        url: where it really came from, after all redirects; empty for one that was uploaded.
    """

    content: bytes
    etag: str = ""
    last_modified: str = ""
    url: str = ""


def check_url(url: str) -> str:
    """Returns `url`.

    Raises:
        InvalidArgument: it is no http or https URL with a host.
    """
    try:
        parts = urlsplit(url)
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        good = False
    if len(url) > LONGEST_URL:
        raise InvalidArgument("URL_INVALID", f"A url has at most {LONGEST_URL:,} characters, not {len(url):,}.", "url")
    if not good or not url.isprintable() or any(one.isspace() for one in url):
        raise InvalidArgument(
            "URL_INVALID", "The url must be an http or https URL, like https://example.org/user_1.json.", "url"
        )
    return url


def resolve(base: str, named: str) -> str:
    """The URL that a document at `base` means by what it names.

    Raises:
        InvalidArgument: that is none; the sentence says where it stands.
    """
    try:
        return check_url(urljoin(base, named))
    except (InvalidArgument, ValueError):
        raise InvalidArgument(
            "URL_INVALID",
            f"{without_credentials(base)} names {_shown(named)}, which is no http or https URL of at most "
            f"{LONGEST_URL:,} characters.",
            "url",
        ) from None


def _shown(named: str) -> str:
    # What is before an @ may be a password.
    return repr(named.rpartition("@")[2].partition("?")[0][:_SHOWN])


def without_credentials(url: str) -> str:
    """`url` as it may be shown: no user, no password, no query."""
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


class _Passing(Exception):
    """What may be otherwise a moment later."""

    def __init__(self, error: KeyprintError, pause: float | None = None) -> None:
        """The error that it is if it stays so, and the seconds that the server asks to wait."""
        self.error = error
        self.pause = pause


class Fetcher:
    """Gets documents over one pooled session; safe to call from one thread at a time."""

    def __init__(self, guard: Guard, limits: FetchLimits) -> None:
        self._limits = limits
        self._session = requests.Session()
        # Proxies and .netrc of this machine are not the stranger's business.
        self._session.trust_env = False
        self._session.headers["User-Agent"] = USER_AGENT
        self._adapter = GuardedAdapter(guard)
        for scheme in ("http://", "https://"):
            self._session.mount(scheme, self._adapter)

    def __enter__(self) -> Fetcher:
        return self

    def __exit__(self, *_: object) -> None:
        self._session.close()

    def fetch(self, url: str, cached: Content | None = None) -> Content:
        """The document at `url`; `cached` itself, if the server says that it is still the same.

        Raises:
            InvalidArgument: the URL is none, its address is refused, or the document passes a limit.
            NotFound: the server says that there is no such document.
            Unavailable: the server does not answer, or not with a document.
        """
        check_url(url)
        deadline = time.monotonic() + self._limits.document_seconds
        tried = 0
        while True:
            try:
                return self._within(deadline, url, cached)
            except _Passing as passing:
                pause = _BACKOFF_SECONDS * 2**tried if passing.pause is None else passing.pause
                if tried == self._limits.retries or time.monotonic() + pause > deadline:
                    raise passing.error from None
            tried += 1
            time.sleep(pause)

    def _within(self, deadline: float, url: str, cached: Content | None) -> Content:
        """One try, cut off at the deadline wherever it is: a read alone times out only when nothing comes at all."""
        shown = without_credentials(url)
        late = threading.Event()

        def cut_off() -> None:
            late.set()
            self._adapter.cut_off()

        timer = threading.Timer(max(deadline - time.monotonic(), 0.0), cut_off)
        timer.daemon = True
        timer.start()
        try:
            content = self._try(deadline, url, cached)
            # Headers that were cut off look like headers that ended.
            if late.is_set():
                raise _too_slow(shown, self._limits.document_seconds)
            return content
        # The cause's own text may hold the credentials.
        except (requests.RequestException, HTTPError, OSError):
            if late.is_set():
                raise _too_slow(shown, self._limits.document_seconds) from None
            raise _Passing(Unavailable("NO_ANSWER", f"{shown} does not answer, or breaks off.", "url")) from None
        finally:
            timer.cancel()

    def _try(self, deadline: float, url: str, cached: Content | None) -> Content:
        limits, shown = self._limits, without_credentials(url)
        timeout = (limits.connect_seconds, limits.read_seconds)
        for _ in range(limits.redirects + 1):
            request = self._session.prepare_request(requests.Request("GET", url, headers=_conditions(cached)))
            # A session would read the whole body of a redirect, however long, before it follows.
            with self._adapter.send(request, stream=True, timeout=timeout) as answer:
                if answer.is_redirect:
                    url = resolve(url, answer.headers["Location"])
                    continue
                if cached and answer.status_code == HTTPStatus.NOT_MODIFIED:
                    return cached
                if answer.status_code in _PASSING:
                    pause = Retry().get_retry_after(answer.raw)
                    raise _Passing(_refusal(answer.status_code, shown), pause)
                if answer.status_code != HTTPStatus.OK:
                    raise _refusal(answer.status_code, shown)
                content = unzipped(self._body(answer, deadline, shown), limits.document_bytes, shown)
                about = answer.headers
                return Content(content, about.get("ETag", ""), about.get("Last-Modified", ""), url)
        raise Unavailable("NO_ANSWER", f"{shown} redirects more than {limits.redirects} times.", "url")

    def _body(self, answer: requests.Response, deadline: float, shown: str) -> bytes:
        body = bytearray()
        # read1 hands over what has arrived, so that a drip cannot hold the loop past its deadline.
        while piece := answer.raw.read1(PIECE, decode_content=True):
            body += piece
            if len(body) > self._limits.document_bytes:
                raise _too_large(shown, self._limits.document_bytes)
            if time.monotonic() > deadline:
                raise _too_slow(shown, self._limits.document_seconds)
        return bytes(body)


def _too_slow(shown: str, seconds: float) -> InvalidArgument:
    return InvalidArgument("LIMIT_EXCEEDED", f"{shown} takes longer than {seconds:g} seconds.", "url")


def _conditions(cached: Content | None) -> dict[str, str]:
    known = {"If-None-Match": cached.etag, "If-Modified-Since": cached.last_modified} if cached else {}
    return {name: value for name, value in known.items() if value}


def unzipped(body: bytes, most: int, shown: str) -> bytes:
    """A document's bytes, decompressed where it is gzip.

    Args:
        body: as received.
        most: bytes that it may have.
        shown: what to call it.

    Raises:
        InvalidArgument: it is larger, or damaged.
    """
    if len(body) > most:
        raise _too_large(shown, most)
    if not body.startswith(_GZIP):
        return body
    content = bytearray()
    # A gzip file may have several members.
    while body:
        reader = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
        try:
            content += reader.decompress(body, most + 1 - len(content))
        except zlib.error:
            raise InvalidArgument("NOT_JSON", f"{shown} is damaged: it begins as gzip and is none.", "url") from None
        if len(content) > most:
            raise _too_large(shown, most)
        if not reader.eof:
            raise InvalidArgument("NOT_JSON", f"{shown} is damaged: its gzip ends too early.", "url")
        body = reader.unused_data
    return bytes(content)


def _too_large(shown: str, most: int) -> InvalidArgument:
    return InvalidArgument("LIMIT_EXCEEDED", f"{shown} is larger than {most:,} bytes.", "url")


def _refusal(status: int, shown: str) -> KeyprintError:
    if status in (404, 410):
        return NotFound("DOCUMENT_NOT_FOUND", f"There is no document at {shown} (HTTP {status}).", "url")
    return Unavailable("HTTP_STATUS", f"{shown} answers with HTTP {status} instead of a document.", "url")
