"""Fetching from a server that does as it likes."""

from __future__ import annotations

import gzip
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from http.server import BaseHTTPRequestHandler

import pytest

from keyprint.errors import InvalidArgument, KeyprintError, NotFound, Unavailable
from services.ingest.fetch import Fetcher, FetchLimits, check_url, without_credentials
from services.ingest.guard import SETTING, Guard

LIMITS = FetchLimits(
    document_bytes=10_000, document_seconds=1.0, connect_seconds=1.0, read_seconds=1.0, retries=1, redirects=2
)
BOMB = gzip.compress(bytes(10_000_000))


class Faults(BaseHTTPRequestHandler):
    """Each path goes wrong in its own way."""

    asked: list[str]

    def log_message(self, *args: object) -> None:
        """Says nothing."""

    def do_GET(self) -> None:
        self.asked.append(self.path)
        answers: dict[str, Callable[[], None]] = {
            "/good": lambda: self._send(b'{"good": true}'),
            "/file.gz": lambda: self._send(gzip.compress(b'{"good": true}')),
            "/encoded": lambda: self._send(gzip.compress(b'{"good": true}'), "Content-Encoding", "gzip"),
            "/bomb.gz": lambda: self._send(BOMB),
            "/bomb": lambda: self._send(BOMB, "Content-Encoding", "gzip"),
            "/cut.gz": lambda: self._send(gzip.compress(bytes(100))[:-4]),
            "/large": lambda: self._send(bytes(10_001)),
            "/loop": lambda: self._send(b"", "Location", "/loop", 302),
            "/file": lambda: self._send(b"", "Location", "file:///etc/passwd", 302),
            "/away": lambda: self._send(b"", "Location", "http://127.9.9.9/", 302),
            "/truncated": lambda: self._send(b"{}", "Content-Length", "99"),
            "/drip": self._drip,
            "/busy": self._busy,
            "/broken": lambda: self._send(b"", status=500),
        }
        answers.get(self.path, lambda: self._send(b"", status=404))()

    def _send(self, body: bytes, header: str = "X-Header", value: str = "", status: int = 200) -> None:
        self.send_response(status)
        self.send_header(header, value)
        if header != "Content-Length":
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _busy(self) -> None:
        first = self.asked.count("/busy") == 1
        self._send(b"{}", "Retry-After", "0", 429 if first else 200)

    def _drip(self) -> None:
        self.send_response(200)
        self.end_headers()
        try:
            for _ in range(40):
                self.wfile.write(b" ")
                self.wfile.flush()
                time.sleep(0.1)
        except OSError:
            return


@pytest.fixture
def server(serve: Callable[..., AbstractContextManager[str]]) -> Iterator[str]:
    Faults.asked = []
    with serve(Faults) as url:
        yield url


@pytest.fixture
def fetcher() -> Iterator[Fetcher]:
    with Fetcher(Guard(["127.0.0.1/32"]), LIMITS) as made:
        yield made


@pytest.mark.parametrize("path", ["/good", "/file.gz", "/encoded"])
def test_a_document_arrives_decompressed(fetcher: Fetcher, server: str, path: str) -> None:
    assert fetcher.fetch(server + path).content == b'{"good": true}'


def test_a_busy_server_is_asked_again(fetcher: Fetcher, server: str) -> None:
    assert fetcher.fetch(server + "/busy").content == b"{}"
    assert Faults.asked == ["/busy", "/busy"]


@pytest.mark.parametrize(
    ("path", "kind", "reason"),
    [
        ("/missing", NotFound, "DOCUMENT_NOT_FOUND"),
        ("/broken", Unavailable, "HTTP_STATUS"),
        ("/large", InvalidArgument, "LIMIT_EXCEEDED"),
        ("/bomb", InvalidArgument, "LIMIT_EXCEEDED"),
        ("/bomb.gz", InvalidArgument, "LIMIT_EXCEEDED"),
        ("/drip", InvalidArgument, "LIMIT_EXCEEDED"),
        ("/cut.gz", InvalidArgument, "NOT_JSON"),
        ("/truncated", Unavailable, "NO_ANSWER"),
        ("/loop", Unavailable, "NO_ANSWER"),
        ("/file", InvalidArgument, "URL_INVALID"),
        ("/away", InvalidArgument, "ADDRESS_REFUSED"),
    ],
)
def test_each_fault_has_its_reason(
    fetcher: Fetcher, server: str, path: str, kind: type[KeyprintError], reason: str
) -> None:
    with pytest.raises(kind) as caught:
        fetcher.fetch(server + path)
    assert (caught.value.reason, caught.value.field) == (reason, "url")


def test_a_private_address_is_refused_before_anything_is_sent_and_names_the_setting(server: str) -> None:
    with Fetcher(Guard([]), LIMITS) as strict, pytest.raises(InvalidArgument, match=SETTING) as caught:
        strict.fetch(server + "/good")
    assert caught.value.reason == "ADDRESS_REFUSED"
    assert Faults.asked == []


@pytest.mark.parametrize(
    "address",
    ["127.0.0.1", "10.0.0.1", "169.254.169.254", "::1", "::ffff:127.0.0.1", "fe80::1%lo", "224.0.0.1"],
)
def test_addresses_that_are_not_public_are_not_allowed(address: str) -> None:
    assert not Guard([]).allows(address)


def test_public_addresses_are_allowed() -> None:
    assert Guard([]).allows("1.1.1.1")
    assert Guard([]).allows("2606:4700:4700::1111")


def test_credentials_are_in_no_error(fetcher: Fetcher, server: str) -> None:
    with pytest.raises(NotFound) as caught:
        fetcher.fetch(server.replace("//", "//ada:secret@") + "/missing?token=secret")
    assert "secret" not in caught.value.message
    assert "ada" not in caught.value.message


def test_a_server_that_is_not_there_is_told(fetcher: Fetcher) -> None:
    with pytest.raises(Unavailable) as caught:
        fetcher.fetch("http://127.0.0.1:1/")
    assert caught.value.reason == "NO_ANSWER"


@pytest.mark.parametrize(
    "url", ["", "user.json", "ftp://example.org/", "http://", "http://a b/", "http://[::1", "http://a:x/"]
)
def test_what_is_no_url_is_refused(url: str) -> None:
    with pytest.raises(InvalidArgument, match="http or https URL"):
        check_url(url)


def test_a_url_is_shown_without_user_password_and_query() -> None:
    assert without_credentials("https://u:p@example.org:8443/a.json?key=1#x") == "https://example.org:8443/a.json"
