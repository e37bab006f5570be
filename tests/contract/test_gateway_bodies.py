"""Who sends too much, too slowly or nothing over HTTP is told so, and its connection closed."""

from __future__ import annotations

import http.client
import json
import select
import socket
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import Any

import pytest

from gateway.protocol import HEAD_BYTES
from keyprint.errors import TooSlow
from keyprint.v1 import ingest_pb2
from tests.contract import gateway_fakes as fakes
from tests.contract.test_gateway import gateway_process

JSON = "Content-Type: application/json\r\n"
FORM = "Content-Type: multipart/form-data; boundary=b\r\n"
CHUNKED = "Transfer-Encoding: chunked\r\n"
FIELD = b'--b\r\nContent-Disposition: form-data; name="phrase"\r\n\r\nslow\r\n'
FILE = b'--b\r\nContent-Disposition: form-data; name="files"; filename="a"\r\n\r\n'

Address = tuple[str, int]


class Ingest(fakes.Ingest):
    """Gives an upload of the phrase "slow" up after its first piece, and waits for the end of all others."""

    def UploadDataset(self, request_iterator: Iterator[ingest_pb2.UploadDatasetRequest], context: Any) -> Any:  # noqa: N802
        if next(request_iterator).header.phrase == "slow":
            next(request_iterator)
            raise TooSlow("LIMIT_EXCEEDED", "The upload is too slow.", "files")
        return super().UploadDataset(request_iterator, context)


def gateway(**settings: str) -> Iterator[Address]:
    with gateway_process("INGEST", fakes.serve(Ingest()), **settings) as (client, _):
        yield client.base_url.host, client.base_url.port or 80


@pytest.fixture(scope="module")
def hasty() -> Iterator[Address]:
    """One that hardly waits."""
    yield from gateway(GATEWAY_READ_SECONDS="0.2", GATEWAY_BODY_MIB="1")


@pytest.fixture(scope="module")
def patient() -> Iterator[Address]:
    """One that waits for longer than a test may take."""
    yield from gateway(GATEWAY_READ_SECONDS="600", GATEWAY_BODY_MIB="1")


def connected(address: Address) -> socket.socket:
    return socket.create_connection(address, timeout=60)


def head(address: Address, path: str, headers: str) -> bytes:
    return f"POST {path} HTTP/1.1\r\nHost: {address[0]}:{address[1]}\r\n{headers}\r\n".encode()


def chunked(content: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(content), content)


def send_until_answered(sending: socket.socket, pieces: Iterable[bytes], pause: float = 0.0) -> None:
    for piece in pieces:
        if select.select([sending], [], [], pause)[0]:
            return
        sending.sendall(piece)


def problem(sending: socket.socket) -> tuple[int, str, str, str]:
    """Status, reason, field and sentence of the answer, which has to be the last of its connection."""
    answer = http.client.HTTPResponse(sending)
    answer.begin()
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.headers["Connection"] == "close"
    told = json.load(answer)
    return answer.status, told["reason"], told["field"], told["detail"]


def assert_closed(sending: socket.socket) -> None:
    # Who was still sending is told so by a reset.
    with suppress(ConnectionResetError):
        assert sending.recv(1) == b""


@pytest.mark.parametrize("path", ["/v1/datasets", "/v1/models/ada:identify", "/v1/models/ada/aliases/best"])
def test_an_endless_body_is_refused_when_it_passes_the_limit(patient: Address, path: str) -> None:
    method = b"PUT" if "aliases" in path else b"POST"
    spaces = chunked(b" " * 2**16)
    with connected(patient) as sending:
        sending.sendall(head(patient, path, JSON + CHUNKED).replace(b"POST", method))
        # Twice the limit, and what lies in between.
        send_until_answered(sending, [spaces] * 1600)
        assert problem(sending) == (
            413,
            "MESSAGE_TOO_LARGE",
            "",
            "The request has more than 1,048,576 bytes and may have 1,048,576; send less at once.",
        )


def test_a_body_that_is_said_to_be_too_large_is_refused_before_it_comes(patient: Address) -> None:
    with connected(patient) as sending:
        sending.sendall(head(patient, "/v1/datasets", f"{JSON}Content-Length: 2000000\r\nExpect: 100-continue\r\n"))
        assert problem(sending) == (
            413,
            "MESSAGE_TOO_LARGE",
            "",
            "The request has 2,000,000 bytes and may have 1,048,576; send less at once.",
        )
        assert_closed(sending)


@pytest.mark.parametrize("begun", [b"", chunked(b"{")])
@pytest.mark.parametrize("path", ["/v1/datasets", "/v1/training-jobs", "/v1/models/ada:verify"])
def test_a_body_that_stops_coming_is_given_up(hasty: Address, path: str, begun: bytes) -> None:
    with connected(hasty) as sending:
        sending.sendall(head(hasty, path, JSON + CHUNKED) + begun)
        status, reason, _, sentence = problem(sending)
        assert (status, reason) == (408, "LIMIT_EXCEEDED")
        assert sentence == (
            "The request sends less than 16 KiB a second, and this Keyprint waits for 0.2 seconds at most."
        )
        assert_closed(sending)


@pytest.mark.parametrize("begun", [b"", FIELD[:10], FIELD.replace(b"slow", b"hi"), FILE, FILE + b"{"])
def test_an_upload_that_stops_coming_is_given_up(hasty: Address, begun: bytes) -> None:
    with connected(hasty) as sending:
        sending.sendall(head(hasty, "/v1/datasets:upload", f"{FORM}Content-Length: 1000000\r\n") + begun)
        assert problem(sending)[:2] == (408, "LIMIT_EXCEEDED")
        assert_closed(sending)


def test_who_drips_is_told_so_while_still_sending(hasty: Address) -> None:
    with connected(hasty) as sending:
        sending.sendall(head(hasty, "/v1/datasets:upload", f"{FORM}Content-Length: 1000000\r\n") + FILE)
        send_until_answered(sending, [b" "] * 1000, pause=0.02)
        assert problem(sending)[:2] == (408, "LIMIT_EXCEEDED")


def test_what_ingest_says_of_an_upload_is_told_at_once_to_who_sends_nothing_more(patient: Address) -> None:
    with connected(patient) as sending:
        sending.sendall(
            head(patient, "/v1/datasets:upload", f"{FORM}Content-Length: 1000000\r\n") + FIELD + FILE + b"{"
        )
        assert problem(sending) == (408, "LIMIT_EXCEEDED", "files", "The upload is too slow.")
        assert_closed(sending)


def test_a_field_that_is_not_known_is_refused_before_its_value_comes(patient: Address) -> None:
    with connected(patient) as sending:
        sending.sendall(
            head(patient, "/v1/datasets:upload", f"{FORM}Content-Length: 1000000\r\n")
            + FIELD.replace(b"phrase", b"f0").replace(b"slow\r\n", b"")
        )
        assert problem(sending)[:3] == (400, "FIELD_UNKNOWN", "f0")


@pytest.mark.parametrize("begun", [b"", b"POST /v1/datasets HTTP/1.1\r\nHost: "])
def test_who_connects_and_sends_no_whole_head_is_hung_up_on(hasty: Address, begun: bytes) -> None:
    with connected(hasty) as sending:
        sending.sendall(begun)
        assert_closed(sending)


def test_a_head_that_drips_is_hung_up_on_also_after_other_requests(hasty: Address) -> None:
    with connected(hasty) as sending:
        sending.sendall(head(hasty, "/healthz", "").replace(b"POST", b"GET"))
        assert b" 200 " in sending.recv(15)
        while b'"SERVING"}' not in sending.recv(2**16):
            pass
        send_until_answered(sending, [b"G", b"E", b"T", b" ", *[b"/"] * 1000], pause=0.02)
        assert_closed(sending)


def test_a_head_without_an_end_is_refused_when_it_passes_the_limit(patient: Address) -> None:
    begun = head(patient, "/healthz", "X-More: ")[:-2]
    with connected(patient) as sending:
        # Not a byte more than it takes, so that none is on its way when the connection is closed.
        sending.sendall(begun.ljust(HEAD_BYTES + 1, b"x"))
        assert sending.recv(2**16).startswith(b"HTTP/1.1 400 ")
        assert_closed(sending)
    with connected(patient) as sending:
        sending.sendall(begun.ljust(HEAD_BYTES - 4, b"x") + b"\r\n\r\n")
        assert sending.recv(2**16).startswith(b"HTTP/1.1 405 ")


def test_a_head_that_is_too_long_is_refused_also_when_it_comes_whole(patient: Address) -> None:
    with connected(patient) as sending:
        begun = head(patient, "/healthz", "X-More: ")[:-2]
        sending.sendall(begun.ljust(HEAD_BYTES + 100, b"x") + b"\r\n\r\n")
        assert b"head is too long" in sending.recv(2**16)


def test_what_comes_before_a_head_is_no_part_of_it(patient: Address) -> None:
    get = head(patient, "/healthz", "").replace(b"POST", b"GET")
    many = get * (HEAD_BYTES // len(get) + 1)
    with connected(patient) as sending:
        sending.sendall(many + get[:-2])
        sending.sendall(get[-2:])
        expected, found = many.count(b"GET") + 1, b""
        while found.count(b'"SERVING"}') < expected:
            found += sending.recv(2**16)
        assert found.count(b" 200 ") == expected


def test_a_request_with_two_hosts_is_refused(patient: Address) -> None:
    with connected(patient) as sending:
        sending.sendall(head(patient, "/healthz", "Host: localhost\r\n").replace(b"POST", b"GET"))
        assert sending.recv(2**16).startswith(b"HTTP/1.1 400 ")
