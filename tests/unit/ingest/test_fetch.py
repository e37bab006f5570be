"""Fetching from a server that does as it likes."""

from __future__ import annotations

import gzip
import socket
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from dataclasses import replace
from http.server import BaseHTTPRequestHandler
from typing import Any

import pytest

from keyprint.errors import InvalidArgument, KeyprintError, NotFound, Unavailable
from services.ingest.fetch import Fetcher, FetchLimits
from services.ingest.guard import SETTING, Guard

LIMITS = FetchLimits(
    document_bytes=10_000, document_seconds=1.0, connect_seconds=1.0, read_seconds=1.0, retries=1, redirects=2
)
BOMB = gzip.compress(bytes(10_000_000))
ZIPPED = gzip.compress(b'{"good": true}')
CHUNKS = b"HTTP/1.1 200 OK\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
ENCODED = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Encoding: gzip\r\n\r\n" + ZIPPED[:10]
_PACKER = zlib.compressobj(wbits=zlib.MAX_WBITS | 16)
FLUSHED = _PACKER.compress(b'{"good": true}') + _PACKER.flush(zlib.Z_SYNC_FLUSH)
"""A whole document, of which its gzip does not know that it is whole."""
EMPTY_BLOCK = b"\0\0\0\xff\xff"
"""Of gzip; it says nothing."""


class Faults(BaseHTTPRequestHandler):
    """Each path goes wrong in its own way."""

    asked: list[str]
    told: list[dict[str, str]]
    slow_name: str

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
            "/drip": lambda: self._trickle(b"HTTP/1.0 200 OK\r\n\r\n", b" "),
            "/busy": self._busy,
            "/broken": lambda: self._send(b"", status=500),
            "/much": lambda: self._send(BOMB, "Content-Encoding", "gzip", status=302, Location="/good"),
            "/endless": self._endless,
            "/header-drip": lambda: self._trickle(b"HTTP/1.0 200 OK\r\n", b"X: x\r\n"),
            "/later": lambda: self._send(b"", "Retry-After", "3600", 503),
            "/soon": self._soon,
            "/to-slow-name": lambda: self._send(b"", "Location", self.slow_name, 302),
            "/nines": lambda: self._send(b"", "Retry-After", "9" * 5000, 503),
            "/far": lambda: self._send(b"", "Retry-After", "Mon, 01 Jan 99999 00:00:00 GMT", 503),
            "/word": lambda: self._send(b"", "Retry-After", "soon", 503),
            "/chunk-drip": lambda: self._trickle(CHUNKS, b"0"),
            "/empty-drip": lambda: self._trickle(ENCODED, EMPTY_BLOCK),
            "/deflated": lambda: self._send(zlib.compress(b"{}"), "Content-Encoding", "deflate"),
            "/twice": lambda: self._send(gzip.compress(ZIPPED), "Content-Encoding", "gzip"),
            "/once": self._once,
            "/bad-location": lambda: self._send(b"", "Location", "http://[::1", 302),
            "/moved": lambda: self._send(b"", "Location", "/v2/good", 302),
            "/v2/good": lambda: self._send(b"{}"),
            "/members.gz": lambda: self._send(gzip.compress(b'{"good": ') + gzip.compress(b"true}")),
            "/tagged": self._tagged,
            "/odd-tag": lambda: self._send(b"{}", "ETag", "\u00a0v1", Last_Modified="\u0085now"),
            "/long-tag": lambda: self._send(b"{}", "ETag", "a" * 30_000, Last_Modified="b" * 30_000),
            "/flushed": lambda: self._break_off(FLUSHED),
            "/flushed-chunk": lambda: self._break_off(b"%x\r\n%s\r\n" % (len(FLUSHED), FLUSHED), chunked=True),
            "/flushed-chunks": lambda: self._break_off(b"fff\r\n" + FLUSHED, chunked=True),
            "/flushed-once": self._flushed_once,
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

    def _break_off(self, body: bytes, chunked: bool = False) -> None:
        """Sends the beginning of what is gzip on its way, and no length of the whole."""
        self.protocol_version = "HTTP/1.1" if chunked else "HTTP/1.0"
        self.send_response(200)
        self.send_header("Content-Encoding", "gzip")
        self.send_header("Connection", "close")
        if chunked:
            self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        self.wfile.write(body)

    def _flushed_once(self) -> None:
        self._break_off(FLUSHED if self.asked.count("/flushed-once") == 1 else ZIPPED)

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

    def _trickle(self, head: bytes, piece: bytes) -> None:
        """Sends `piece` again and again for eight seconds."""
        try:
            self.wfile.write(head)
            for _ in range(80):
                self.wfile.write(piece)
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
def silent() -> Iterator[str]:
    """A server that accepts and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/"


@pytest.fixture
def fetcher() -> Iterator[Fetcher]:
    with Fetcher(Guard(["127.0.0.1/32"]), LIMITS) as made:
        yield made


@pytest.mark.parametrize("path", ["/good", "/file.gz", "/encoded", "/twice", "/members.gz", "/much", "/endless"])
def test_a_document_arrives_decompressed(fetcher: Fetcher, server: str, path: str) -> None:
    assert fetcher.fetch(server + path).content == b'{"good": true}'


def test_an_encoding_that_was_not_asked_for_is_told(fetcher: Fetcher, server: str) -> None:
    with pytest.raises(InvalidArgument, match="deflated cannot be read") as caught:
        fetcher.fetch(server + "/deflated")
    assert caught.value.reason == "NOT_JSON"
    assert Faults.told[0]["Accept-Encoding"] == "gzip"


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
        ("/cut.gz", InvalidArgument, "NOT_JSON"),
        ("/truncated", Unavailable, "NO_ANSWER"),
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


@pytest.mark.parametrize("path", ["/drip", "/header-drip", "/chunk-drip", "/empty-drip"])
def test_a_drip_ends_at_the_deadline(fetcher: Fetcher, server: str, path: str) -> None:
    began = time.monotonic()
    with pytest.raises(InvalidArgument, match="takes longer than 1 seconds") as caught:
        fetcher.fetch(server + path)
    assert caught.value.reason == "LIMIT_EXCEEDED"
    # The server would go on for eight.
    assert time.monotonic() - began < 5


@pytest.mark.parametrize("path", ["/header-drip", "/to-slow-name"])
def test_nothing_is_asked_of_a_server_whose_name_resolves_after_the_deadline(
    fetcher: Fetcher, server: str, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = socket.getaddrinfo

    def slow(host: str, *args: Any, **more: Any) -> Any:
        if host == "slow.example":
            time.sleep(1.1)
            host = "127.0.0.1"
        return real(host, *args, **more)

    monkeypatch.setattr(socket, "getaddrinfo", slow)
    Faults.slow_name = server.replace("127.0.0.1", "slow.example") + "/header-drip"
    url = Faults.slow_name if path == "/header-drip" else server + path
    with pytest.raises(InvalidArgument, match="takes longer than 1 seconds"):
        fetcher.fetch(url)
    assert "/header-drip" not in Faults.asked


def test_a_silent_server_that_should_encrypt_ends_at_the_deadline(fetcher: Fetcher, silent: str) -> None:
    with pytest.raises(InvalidArgument, match="takes longer than 1 seconds"):
        fetcher.fetch(silent.replace("http:", "https:"))


def test_a_deadline_that_passed_is_not_the_next_documents(fetcher: Fetcher, server: str) -> None:
    with pytest.raises(InvalidArgument):
        fetcher.fetch(server + "/drip")
    assert fetcher.fetch(server + "/good").content


def test_a_server_that_is_silent_for_too_long_ends_a_fetch(silent: str) -> None:
    limits = replace(LIMITS, connect_seconds=60, read_seconds=0.2, document_seconds=60, retries=0)
    with Fetcher(Guard(["127.0.0.1/32"]), limits) as hasty, pytest.raises(Unavailable) as caught:
        hasty.fetch(silent)
    assert caught.value.reason == "NO_ANSWER"


def test_a_server_that_does_not_accept_for_too_long_ends_a_fetch() -> None:
    limits = replace(LIMITS, connect_seconds=0.2, read_seconds=60, document_seconds=60, retries=0)
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full, ExitStack() as waiting:
        for _ in range(4):
            # Once those that wait are as many as may, the next one gets no answer at all.
            caller = waiting.enter_context(socket.socket())
            caller.setblocking(False)
            caller.connect_ex(full.getsockname())
        with Fetcher(Guard(["127.0.0.1/32"]), limits) as hasty, pytest.raises(Unavailable) as caught:
            hasty.fetch(f"http://127.0.0.1:{full.getsockname()[1]}/")
    assert caught.value.reason == "NO_ANSWER"


@pytest.mark.parametrize("path", ["/nines", "/far", "/word"])
def test_a_wait_that_cannot_be_read_is_as_if_none_were_asked_for(fetcher: Fetcher, server: str, path: str) -> None:
    with pytest.raises(Unavailable) as caught:
        fetcher.fetch(server + path)
    assert caught.value.reason == "HTTP_STATUS"
    assert Faults.asked == [path, path]


def test_a_private_address_is_refused_before_anything_is_sent_and_names_the_setting(server: str) -> None:
    with Fetcher(Guard([]), LIMITS) as strict, pytest.raises(InvalidArgument, match=SETTING) as caught:
        strict.fetch(server + "/good")
    assert caught.value.reason == "ADDRESS_REFUSED"
    assert Faults.asked == []


def test_a_name_that_is_unknown_is_told(fetcher: Fetcher, monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    with pytest.raises(Unavailable) as caught:
        fetcher.fetch("http://nowhere.example/a.json?i=3")
    assert caught.value.message == "http://nowhere.example/a.json?i=3 names a host that has no address."


def test_an_address_that_is_refused_is_told_with_the_document_that_led_there(fetcher: Fetcher, server: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        fetcher.fetch(f"{server}/away")
    assert caught.value.reason == "ADDRESS_REFUSED"
    assert caught.value.message.startswith(f"{server}/away cannot be read. ")


def test_credentials_are_in_no_error(fetcher: Fetcher, server: str) -> None:
    with pytest.raises(NotFound) as caught:
        fetcher.fetch(server.replace("//", "//ada:secret@") + "/missing?token=secret")
    assert "secret" not in caught.value.message
    assert "ada" not in caught.value.message


def test_a_server_that_is_not_there_is_told(fetcher: Fetcher) -> None:
    with pytest.raises(Unavailable) as caught:
        fetcher.fetch("http://127.0.0.1:1/")
    assert caught.value.reason == "NO_ANSWER"


def test_it_waits_as_long_as_the_server_asks(fetcher: Fetcher, server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []
    monkeypatch.setattr("services.ingest.fetch.time.sleep", pauses.append)
    with Fetcher(Guard(["127.0.0.1/32"]), replace(LIMITS, document_seconds=30.0)) as patient:
        assert patient.fetch(server + "/soon").content == b"{}"
    assert pauses == [1.0]


def test_a_body_that_breaks_off_is_asked_for_again(fetcher: Fetcher, server: str) -> None:
    assert fetcher.fetch(server + "/once").content == b"{}"
    assert Faults.asked == ["/once", "/once"]


def test_gzip_that_breaks_off_is_asked_for_again(fetcher: Fetcher, server: str) -> None:
    assert fetcher.fetch(server + "/flushed-once").content == b'{"good": true}'
    assert Faults.asked == ["/flushed-once"] * 2


@pytest.mark.parametrize("path", ["/flushed", "/flushed-chunk", "/flushed-chunks"])
def test_gzip_that_breaks_off_each_time_is_no_document(fetcher: Fetcher, server: str, path: str) -> None:
    with pytest.raises(Unavailable, match="breaks off") as caught:
        fetcher.fetch(server + path)
    assert caught.value.reason == "NO_ANSWER"
    assert Faults.asked == [path, path]


@pytest.mark.parametrize("path", ["/odd-tag", "/long-tag"])
def test_what_cannot_be_sent_back_is_as_if_the_server_had_not_said_it(fetcher: Fetcher, server: str, path: str) -> None:
    first = fetcher.fetch(server + path)
    assert (first.etag, first.last_modified) == ("", "")
    assert fetcher.fetch(server + path, first).content == b"{}"
    assert "If-None-Match" not in Faults.told[1]


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
