"""Fetching from a server that does as it likes."""

from __future__ import annotations

import gzip
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler
from typing import Any

import pytest

from keyprint.errors import InvalidArgument, KeyprintError, NotFound, Unavailable
from services.ingest.fetch import Fetcher, FetchLimits, check_url, resolve, without_credentials
from services.ingest.guard import SETTING, Guard

LIMITS = FetchLimits(
    document_bytes=10_000, document_seconds=1.0, connect_seconds=1.0, read_seconds=1.0, retries=1, redirects=2
)
BOMB = gzip.compress(bytes(10_000_000))


class Faults(BaseHTTPRequestHandler):
    """Each path goes wrong in its own way."""

    asked: list[str]
    told: list[dict[str, str]]

    def log_message(self, *args: object) -> None:
        """Says nothing."""

    def do_GET(self) -> None:
        self.asked.append(self.path)
        self.told.append(dict(self.headers))
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
            "/much": lambda: self._send(BOMB, "Content-Encoding", "gzip", status=302, Location="/good"),
            "/endless": self._endless,
            "/header-drip": self._header_drip,
            "/later": lambda: self._send(b"", "Retry-After", "3600", 503),
            "/soon": self._soon,
            "/once": self._once,
            "/bad-location": lambda: self._send(b"", "Location", "http://[::1", 302),
            "/moved": lambda: self._send(b"", "Location", "/v2/good", 302),
            "/v2/good": lambda: self._send(b"{}"),
            "/members.gz": lambda: self._send(gzip.compress(b'{"good": ') + gzip.compress(b"true}")),
            "/tagged": self._tagged,
        }
        answers.get(self.path, lambda: self._send(b"", status=404))()

    def _send(self, body: bytes, header: str = "X-Header", value: str = "", status: int = 200, **more: str) -> None:
        self.send_response(status)
        self.send_header(header, value)
        for name, text in more.items():
            self.send_header(name.replace("_", "-"), text)
        if header != "Content-Length":
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _busy(self) -> None:
        first = self.asked.count("/busy") == 1
        self._send(b"{}", "Retry-After", "0", 429 if first else 200)

    def _soon(self) -> None:
        first = self.asked.count("/soon") == 1
        self._send(b"{}", "Retry-After", "0.25" if not first else "1", 503 if first else 200)

    def _once(self) -> None:
        if self.asked.count("/once") == 1:
            self._send(b"{", "Content-Length", "99")
        else:
            self._send(b"{}")

    def _tagged(self) -> None:
        if self.headers.get("If-None-Match") == '"v1"' and self.headers.get("If-Modified-Since") == "yesterday":
            self._send(b"", status=304)
        else:
            self._send(b"{}", "ETag", '"v1"', Last_Modified="yesterday")

    def _endless(self) -> None:
        self.send_response(302)
        self.send_header("Location", "/good")
        self.end_headers()
        try:
            for _ in range(2000):
                self.wfile.write(bytes(2**16))
        except OSError:
            return

    def _header_drip(self) -> None:
        try:
            self.wfile.write(b"HTTP/1.0 200 OK\r\n")
            for number in range(40):
                self.wfile.write(f"X-{number}: x\r\n".encode())
                self.wfile.flush()
                time.sleep(0.1)
        except OSError:
            return

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
    Faults.asked, Faults.told = [], []
    with serve(Faults) as url:
        yield url


@pytest.fixture
def fetcher() -> Iterator[Fetcher]:
    with Fetcher(Guard(["127.0.0.1/32"]), LIMITS) as made:
        yield made


@pytest.mark.parametrize("path", ["/good", "/file.gz", "/encoded", "/members.gz", "/much", "/endless"])
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
        ("/header-drip", InvalidArgument, "LIMIT_EXCEEDED"),
        ("/later", Unavailable, "HTTP_STATUS"),
        ("/bad-location", InvalidArgument, "URL_INVALID"),
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
    [
        "127.0.0.1",
        "10.0.0.1",
        "169.254.169.254",
        "::1",
        "::ffff:127.0.0.1",
        "fe80::1%lo",
        "224.0.0.1",
        "64:ff9b::7f00:1",
        "2002:7f00:1::",
        "::7f00:1",
        "::ffff:0:7f00:1",
        "fec0::1",
    ],
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


def test_it_waits_as_long_as_the_server_asks(fetcher: Fetcher, server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []
    monkeypatch.setattr("services.ingest.fetch.time.sleep", pauses.append)
    with Fetcher(Guard(["127.0.0.1/32"]), replace(LIMITS, document_seconds=30.0)) as patient:
        assert patient.fetch(server + "/soon").content == b"{}"
    assert pauses == [1.0]


def test_a_body_that_breaks_off_is_asked_for_again(fetcher: Fetcher, server: str) -> None:
    assert fetcher.fetch(server + "/once").content == b"{}"
    assert Faults.asked == ["/once", "/once"]


def test_a_document_knows_where_it_really_came_from(fetcher: Fetcher, server: str) -> None:
    assert fetcher.fetch(server + "/moved").url == server + "/v2/good"


def test_the_server_is_asked_whether_it_has_changed(fetcher: Fetcher, server: str) -> None:
    first = fetcher.fetch(server + "/tagged")
    assert (first.etag, first.last_modified) == ('"v1"', "yesterday")
    assert fetcher.fetch(server + "/tagged", first) is first
    assert Faults.told[1]["If-None-Match"] == '"v1"'


def test_it_says_who_it_is_and_uses_nobodys_proxy(
    fetcher: Fetcher, server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    assert fetcher.fetch(server + "/good").content
    assert Faults.told[0]["User-Agent"].startswith("keyprint-ingest/")


def test_the_address_that_was_checked_is_the_one_connected_to(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that resolves once to one address, and to another ever after."""
    port = int(server.rpartition(":")[2])
    real, asked = socket.getaddrinfo, []

    def rebinding(host: str, *args: Any, **more: Any) -> Any:
        if host == "rebinding.example":
            asked.append(host)
            if len(asked) > 1:
                raise socket.gaierror("it moved")
            host = "127.0.0.1"
        return real(host, *args, **more)

    monkeypatch.setattr(socket, "getaddrinfo", rebinding)
    with Fetcher(Guard(["127.0.0.1/32"]), LIMITS) as fetcher:
        assert fetcher.fetch(f"http://rebinding.example:{port}/good").content
    assert asked == ["rebinding.example"]


@pytest.mark.parametrize("named", ["http://[::1", "ftp://ada:sesame@host/x", "a b.json", "x" * 5000, "/\x1b]0;pwn\x07"])
def test_what_a_document_names_is_a_url_or_refused_in_short(named: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        resolve("http://ada:sesame@host.example/list", named)
    assert (caught.value.reason, caught.value.field) == ("URL_INVALID", "url")
    assert "sesame" not in caught.value.message
    assert len(caught.value.message) < 500
    assert caught.value.message.isprintable()
