"""Documents by URL, within limits."""

from __future__ import annotations

import time
from dataclasses import dataclass
from http import HTTPStatus

import requests
from urllib3.exceptions import HTTPError, NameResolutionError
from urllib3.util import Retry

from keyprint.errors import InvalidArgument, KeyprintError, NotFound, Unavailable
from keyprint.settings import IngestSettings
from services.ingest.adapter import GuardedAdapter
from services.ingest.guard import Guard
from services.ingest.gunzip import too_large, unzipped
from services.ingest.lines import Lines
from services.ingest.urls import check_url, resolve, without_credentials

USER_AGENT = "keyprint-ingest/0.1"
PIECE = 256 * 1024
"""Bytes read at once: memory for more of them comes fresh from the system each time, and costs more than it saves."""
_PASSING = (429, 500, 502, 503, 504)
"""Answers that may be others a moment later."""
_BACKOFF_SECONDS = 0.2
"""Before the first new try; twice as long before each further one."""
_LONGEST_VALIDATOR = 1024
"""Servers refuse requests whose headers are long."""
_ENCODINGS = ("gzip", "x-gzip")
_USUAL = IngestSettings.model_construct()
"""What the settings are where nobody sets them."""


@dataclass(frozen=True)
class FetchLimits:
    """What one document may cost.

    Attributes:
        document_bytes: most bytes of a document, compressed and not.
        document_seconds: longest time for a document, whatever its server does.
        connect_seconds: longest wait for a connection.
        read_seconds: longest wait for the next bytes.
        retries: further tries where the network, a 429 or a 5xx got in the way, if the time allows.
        redirects: redirects followed.
    """

    document_bytes: int = _USUAL.ingest_document_mib * 2**20
    document_seconds: float = _USUAL.ingest_document_seconds
    connect_seconds: float = _USUAL.ingest_connect_seconds
    read_seconds: float = _USUAL.ingest_read_seconds
    retries: int = _USUAL.ingest_retries
    redirects: int = _USUAL.ingest_redirects


@dataclass(frozen=True)
class Content:
    """What was at a URL.

    Attributes:
        content: its bytes, decompressed.
        etag: the server's name for this state of it; empty if it gave none that can be sent back.
        last_modified: when the server says that it changed; empty as above.
        url: where it really came from, after all redirects; empty for one that was uploaded.
    """

    content: bytes
    etag: str = ""
    last_modified: str = ""
    url: str = ""


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
        self._session.headers.update({"User-Agent": USER_AGENT, "Accept-Encoding": "gzip"})
        self._lines = Lines()
        self._adapter = GuardedAdapter(guard, self._lines)
        for scheme in ("http://", "https://"):
            self._session.mount(scheme, self._adapter)

    def __enter__(self) -> Fetcher:
        return self

    def __exit__(self, *_: object) -> None:
        # Another thread may be in the middle of a document, which ends there.
        self._lines.close()
        self._session.close()

    def fetch(self, url: str, cached: Content | None = None) -> Content:
        """The document at `url`; `cached` itself, if the server says that it is still the same.

        Raises:
            InvalidArgument: the URL is none, its address is refused, or the document passes a limit.
            NotFound: the server says that there is no such document.
            Unavailable: the server does not answer, or not with a document.
        """
        check_url(url)
        tried = 0
        with self._lines.until(time.monotonic() + self._limits.document_seconds):
            while True:
                try:
                    return self._try(url, cached)
                except _Passing as passing:
                    pause = _BACKOFF_SECONDS * 2**tried if passing.pause is None else passing.pause
                    if tried == self._limits.retries or pause > self._lines.left:
                        raise passing.error from None
                tried += 1
                time.sleep(pause)

    def _try(self, url: str, cached: Content | None) -> Content:
        shown = without_credentials(url)
        try:
            return self._follow(url, cached)
        except InvalidArgument as error:
            if error.reason != "ADDRESS_REFUSED":
                raise
            # A redirect may have led there.
            raise InvalidArgument(error.reason, f"{shown} cannot be read. {error.message}", error.field) from None
        # The cause's own text may hold the credentials.
        except (requests.RequestException, HTTPError, OSError) as error:
            if self._lines.left <= 0:
                seconds = self._limits.document_seconds
                raise InvalidArgument(
                    "LIMIT_EXCEEDED", f"{shown} takes longer than {seconds:g} seconds.", "url"
                ) from None
            what = "names a host that has no address" if _is_unknown(error) else "does not answer, or breaks off"
            raise _Passing(Unavailable("NO_ANSWER", f"{shown} {what}.", "url")) from None

    def _follow(self, url: str, cached: Content | None) -> Content:
        limits, shown = self._limits, without_credentials(url)
        timeout = (limits.connect_seconds, limits.read_seconds)
        for _ in range(limits.redirects + 1):
            self._lines.check()
            request = self._session.prepare_request(requests.Request("GET", url, headers=_conditions(cached)))
            # A session would read the whole body of a redirect, however long, before it follows.
            with self._adapter.send(request, stream=True, timeout=timeout) as answer:
                if answer.is_redirect:
                    url = resolve(url, answer.headers["Location"])
                    continue
                if cached and answer.status_code == HTTPStatus.NOT_MODIFIED:
                    return cached
                if answer.status_code in _PASSING:
                    raise _Passing(_refusal(answer.status_code, shown), _pause(answer))
                if answer.status_code != HTTPStatus.OK:
                    raise _refusal(answer.status_code, shown)
                try:
                    content = self._content(answer)
                except InvalidArgument as error:
                    raise InvalidArgument(error.reason, f"{shown} cannot be read. {error.message}", "url") from None
                return Content(content, _validator(answer, "ETag"), _validator(answer, "Last-Modified"), url)
        most = f"{limits.redirects} redirect{'' if limits.redirects == 1 else 's'}"
        raise Unavailable("NO_ANSWER", f"{shown} leads on through more than {most}.", "url")

    def _content(self, answer: requests.Response) -> bytes:
        most, pieces, size = self._limits.document_bytes, list[bytes](), 0
        while True:
            self._lines.hurry()
            # read1 hands over what has arrived. Decompressed below and not there, no byte of it goes uncounted.
            piece = answer.raw.read1(PIECE, decode_content=False)
            # What was cut off may look like what ended.
            self._lines.check()
            if not piece:
                break
            pieces.append(piece)
            size += len(piece)
            if size > most:
                raise too_large(most)
        content, encoding = b"".join(pieces), answer.headers.get("Content-Encoding", "identity").lower()
        if encoding == "identity":
            return unzipped(content, most)
        if encoding not in _ENCODINGS:
            raise InvalidArgument("NOT_JSON", "It comes in an encoding that was not asked for; gzip was.")
        try:
            content = unzipped(content, most)
        except InvalidArgument as error:
            # What became gzip on its way was damaged there, too: it may arrive whole the next time.
            raise (error if error.reason == "LIMIT_EXCEEDED" else HTTPError()) from None
        # A file that is gzip by itself may have become gzip once more.
        return unzipped(content, most)


def _is_unknown(error: Exception) -> bool:
    """Whether it says that a name has no address; requests wraps that twice."""
    cause = error.args[0] if error.args else None
    return isinstance(getattr(cause, "reason", None), NameResolutionError)


def _validator(answer: requests.Response, name: str) -> str:
    """What the server says of a document's state, if it can be sent back; otherwise it is as if it said nothing."""
    found: str = answer.headers.get(name, "")
    return found if len(found) <= _LONGEST_VALIDATOR and found.isprintable() and found == found.strip() else ""


def _pause(answer: requests.Response) -> float | None:
    """Seconds that the server asks to wait; None if it asks for nothing that can be read."""
    try:
        return Retry().get_retry_after(answer.raw)
    except (HTTPError, ValueError, OverflowError):
        return None


def _conditions(cached: Content | None) -> dict[str, str]:
    known = {"If-None-Match": cached.etag, "If-Modified-Since": cached.last_modified} if cached else {}
    return {name: value for name, value in known.items() if value}


def _refusal(status: int, shown: str) -> KeyprintError:
    if status in (404, 410):
        return NotFound("DOCUMENT_NOT_FOUND", f"There is no document at {shown} (HTTP {status}).", "url")
    return Unavailable("HTTP_STATUS", f"{shown} answers with HTTP {status} instead of a document.", "url")
