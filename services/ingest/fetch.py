"""Documents by URL, within limits."""

from __future__ import annotations

import time
import zlib
from dataclasses import dataclass
from http import HTTPStatus
from urllib.parse import urlsplit, urlunsplit

import requests
from urllib3.exceptions import HTTPError
from urllib3.util import Retry

from keyprint.errors import InvalidArgument, KeyprintError, NotFound, Unavailable
from services.ingest.guard import Guard, GuardedAdapter

USER_AGENT = "keyprint-ingest/0.1"
PIECE = 64 * 1024
_GZIP = b"\x1f\x8b"


@dataclass(frozen=True)
class FetchLimits:
    """What one document may cost.

    Attributes:
        document_bytes: most bytes of a document, decompressed.
        document_seconds: longest time for a document, whatever its server does.
        connect_seconds: longest wait for a connection.
        read_seconds: longest wait for the next bytes.
        retries: further tries where the network, a 429 or a 5xx got in the way.
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
    """

    content: bytes
    etag: str = ""
    last_modified: str = ""


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
    if not good or any(one.isspace() for one in url):
        raise InvalidArgument(
            "URL_INVALID", "The url must be an http or https URL, like https://example.org/user_1.json.", "url"
        )
    return url


def without_credentials(url: str) -> str:
    """`url` as it may be shown: no user, no password, no query."""
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


class Fetcher:
    """Gets documents over one pooled session; safe to call from one thread at a time."""

    def __init__(self, guard: Guard, limits: FetchLimits) -> None:
        self._limits = limits
        self._session = requests.Session()
        # Proxies and .netrc of this machine are not the stranger's business.
        self._session.trust_env = False
        self._session.max_redirects = limits.redirects
        self._session.headers["User-Agent"] = USER_AGENT
        retry = Retry(
            limits.retries,
            redirect=False,
            status_forcelist=(429, 500, 502, 503, 504),
            backoff_factor=0.2,
            raise_on_status=False,
        )
        for scheme in ("http://", "https://"):
            self._session.mount(scheme, GuardedAdapter(guard, max_retries=retry))

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
        shown = without_credentials(url)
        limits = self._limits
        try:
            timeout = (limits.connect_seconds, limits.read_seconds)
            with self._session.get(url, stream=True, timeout=timeout, headers=_conditions(cached)) as answer:
                if cached and answer.status_code == HTTPStatus.NOT_MODIFIED:
                    return cached
                if answer.status_code != HTTPStatus.OK:
                    raise _refusal(answer.status_code, shown)
                content = unzipped(self._body(answer, shown), limits.document_bytes, shown)
                return Content(content, answer.headers.get("ETag", ""), answer.headers.get("Last-Modified", ""))
        except requests.TooManyRedirects:
            raise Unavailable("NO_ANSWER", f"{shown} redirects more than {limits.redirects} times.", "url") from None
        except (requests.exceptions.InvalidSchema, requests.exceptions.InvalidURL):
            raise InvalidArgument("URL_INVALID", f"{shown} redirects to what is no http or https URL.", "url") from None
        except (requests.RequestException, HTTPError, OSError):
            # The cause's own text may hold the credentials.
            raise Unavailable("NO_ANSWER", f"{shown} does not answer, or breaks off.", "url") from None

    def _body(self, answer: requests.Response, shown: str) -> bytes:
        body = bytearray()
        deadline = time.monotonic() + self._limits.document_seconds
        # read1 hands over what has arrived, so that a drip cannot hold the loop past its deadline.
        while piece := answer.raw.read1(PIECE, decode_content=True):
            body += piece
            if len(body) > self._limits.document_bytes:
                raise _too_large(shown, self._limits.document_bytes)
            if time.monotonic() > deadline:
                seconds = self._limits.document_seconds
                raise InvalidArgument("LIMIT_EXCEEDED", f"{shown} takes longer than {seconds:g} seconds.", "url")
        return bytes(body)


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
    reader = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
    try:
        content = reader.decompress(body, most + 1)
    except zlib.error:
        raise InvalidArgument("NOT_JSON", f"{shown} is damaged: it begins as gzip and is none.", "url") from None
    if len(content) > most:
        raise _too_large(shown, most)
    if not reader.eof:
        raise InvalidArgument("NOT_JSON", f"{shown} is damaged: its gzip ends too early.", "url")
    return content


def _too_large(shown: str, most: int) -> InvalidArgument:
    return InvalidArgument("LIMIT_EXCEEDED", f"{shown} is larger than {most:,} bytes.", "url")


def _refusal(status: int, shown: str) -> KeyprintError:
    if status in (404, 410):
        return NotFound("DOCUMENT_NOT_FOUND", f"There is no document at {shown} (HTTP {status}).", "url")
    return Unavailable("HTTP_STATUS", f"{shown} answers with HTTP {status} instead of a document.", "url")
