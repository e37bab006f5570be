"""Addresses that a stranger's URL must not reach, in every way of writing them and on every way there."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from http.server import BaseHTTPRequestHandler
from typing import Any

import pytest

from keyprint.errors import InvalidArgument
from services.ingest.fetch import Fetcher
from services.ingest.guard import Guard
from tests.unit.ingest.test_fetch import LIMITS

INSIDE = [
    "[::ffff:127.0.0.2]",
    "[::ffff:7f00:2]",
    "0.0.0.0",  # noqa: S104 - reached, not bound
    "0",
    "127.0.0.2",
    "127.2",
    "2130706434",
    "0x7f000002",
    "0x7f.0.0.2",
    "017700000002",
    "0177.0.0.02",
    "[::1]",
    "[::]",
    "169.254.169.254",
    "[fe80::1]",
    "[fd00::1]",
    "10.0.0.1",
    "inside.example",
]
"""Hosts, as URLs write them, none of which is the one address that the guard lets in."""


class Away(BaseHTTPRequestHandler):
    """Redirects to `target`."""

    target: str
    asked: list[str]

    def log_message(self, *args: object) -> None:
        """Says nothing."""

    def do_GET(self) -> None:
        self.asked.append(self.path)
        self.send_response(302)
        self.send_header("Location", self.target)
        self.end_headers()


@pytest.fixture
def away(serve: Callable[..., AbstractContextManager[str]]) -> Iterator[str]:
    Away.asked = []
    with serve(Away) as url:
        yield url


@pytest.fixture
def fetcher() -> Iterator[Fetcher]:
    with Fetcher(Guard(["127.0.0.1/32"]), LIMITS) as made:
        yield made


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[str]]:
    """What names resolve to, time after time; the last one stays."""
    known = {"inside.example": ["127.0.0.2"]}
    real = socket.getaddrinfo

    def look_up(host: str, *args: Any, **more: Any) -> Any:
        if host in known:
            host = known[host].pop(0) if len(known[host]) > 1 else known[host][0]
        return real(host, *args, **more)

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    return known


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
        "192.0.0.192",
        "192.88.99.1",
        "168.63.129.16",
        "3fff::1",
        "5f00::1",
        "2001:1::1",
        "2001:470::5efe:10.0.0.1",
    ],
)
def test_addresses_that_are_not_public_are_not_allowed(address: str) -> None:
    assert not Guard([]).allows(address)


@pytest.mark.parametrize("address", ["1.1.1.1", "192.0.1.1", "2606:4700:4700::1111", "2001:470::200:5efe:8.8.8.8"])
def test_public_addresses_are_allowed(address: str) -> None:
    assert Guard([]).allows(address)


@pytest.mark.usefixtures("names")
@pytest.mark.parametrize("host", INSIDE)
def test_an_address_inside_is_refused_however_it_is_written(fetcher: Fetcher, host: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        fetcher.fetch(f"http://{host}:9/")
    assert caught.value.reason == "ADDRESS_REFUSED"


@pytest.mark.usefixtures("names")
@pytest.mark.parametrize("host", INSIDE)
def test_an_address_inside_is_refused_on_a_redirect(fetcher: Fetcher, away: str, host: str) -> None:
    Away.target = f"http://{host}:9/"
    with pytest.raises(InvalidArgument) as caught:
        fetcher.fetch(f"{away}/away")
    assert caught.value.reason == "ADDRESS_REFUSED"
    assert Away.asked == ["/away"]


def test_a_name_is_refused_once_it_resolves_to_an_address_inside(
    fetcher: Fetcher, away: str, names: dict[str, list[str]]
) -> None:
    names["rebinding.example"] = ["127.0.0.1", "127.0.0.2"]
    Away.target = away.replace("127.0.0.1", "rebinding.example") + "/again"
    with pytest.raises(InvalidArgument) as caught:
        fetcher.fetch(Away.target)
    assert caught.value.reason == "ADDRESS_REFUSED"
    # It was let in while it resolved to what may be reached.
    assert Away.asked == ["/again"]


def test_of_a_names_addresses_only_those_that_may_be_reached_are_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (one, 80)) for one in ("127.0.0.2", "1.1.1.1", "10.0.0.1")]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: answers)
    assert Guard([]).resolve("mixed.example", 80) == ["1.1.1.1"]
