"""Bodies are bounded in size and in time, and connections close after an answer that came before the end."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

import pytest

from gateway.app import body_limits
from keyprint.bodies import Bodies, BodyLimits, Message, Receive, Scope, Send
from keyprint.errors import KeyprintError, TooLarge, TooSlow
from keyprint.settings import GatewaySettings

QUICK = BodyLimits(most_bytes=100, idle_seconds=0.05, bytes_second=1000)
CHUNKED = [(b"transfer-encoding", b"chunked")]
CLOSE = (b"connection", b"close")


class Client:
    """Sends the messages of a request one by one, each when the server asks for the next, and says no more after them.

    Attributes:
        sent: how many of them.
        answer: what the server sent.
    """

    def __init__(self, messages: Iterable[Message], pause: float = 0.0) -> None:
        self.sent = 0
        self.answer: list[Message] = []
        self._messages = iter(messages)
        self._pause = pause

    async def receive(self) -> Message:
        if self._pause:
            await asyncio.sleep(self._pause)
        message = next(self._messages, None)
        if message is None:
            await asyncio.Event().wait()
            raise AssertionError
        self.sent += 1
        return message

    async def send(self, message: Message) -> None:
        self.answer.append({**message, "after": self.sent})


def chunk(size: int, more: bool = True) -> Message:
    return {"type": "http.request", "body": b"x" * size, "more_body": more}


def endless(size: int) -> Iterable[Message]:
    while True:
        yield chunk(size)


class Reader:
    """An application that reads a body to its end, or so many messages of it, and then answers.

    Attributes:
        read: bytes that it got.
        error: what reading raised.
    """

    def __init__(self, most: int = 1000) -> None:
        self.read = 0
        self.error: KeyprintError | None = None
        self._most = most

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            for _ in range(self._most):
                message = await receive()
                self.read += len(message.get("body", b""))
                if not message.get("more_body", False):
                    break
        except KeyprintError as error:
            self.error = error
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"answer"})


def ask(
    client: Client, reader: Reader, headers: list[tuple[bytes, bytes]], limits: BodyLimits = QUICK, path: str = "/"
) -> None:
    async def one() -> None:
        scope: Scope = {"type": "http", "path": path, "headers": headers}
        await Bodies(reader, limits, streamed=("/files",))(scope, client.receive, client.send)

    asyncio.run(asyncio.wait_for(one(), 20))


def test_a_body_within_its_limits_is_passed_on_and_its_connection_kept() -> None:
    client, reader = Client([chunk(60), chunk(40, more=False)]), Reader()
    ask(client, reader, CHUNKED)
    assert (reader.read, reader.error) == (100, None)
    start, body = client.answer
    assert (start["headers"], body["body"]) == ([], b"answer")


def test_a_body_that_is_said_to_be_larger_is_refused_before_anything_of_it_is_read() -> None:
    client, reader = Client([chunk(101, more=False)]), Reader()
    ask(client, reader, [(b"content-length", b"101")])
    assert isinstance(reader.error, TooLarge)
    assert reader.error.message == "The request has 101 bytes and may have 100; send less at once."
    assert client.answer[0]["after"] == 0


def test_a_body_that_turns_out_larger_is_refused_as_soon_as_it_is() -> None:
    client, reader = Client(endless(30)), Reader()
    ask(client, reader, CHUNKED)
    assert isinstance(reader.error, TooLarge)
    assert reader.error.message == "The request has more than 100 bytes and may have 100; send less at once."
    assert (reader.read, client.answer[0]["after"]) == (90, 4)


@pytest.mark.parametrize(
    ("value", "path", "refused"), [(b"[]", "/", True), (b"1" * 15, "/", False), (b"[]", "/files", False)]
)
def test_many_values_in_few_bytes_are_refused_where_they_would_be_held(value: bytes, path: str, refused: bool) -> None:
    body = b",".join([value] * 2**18)
    messages = [
        {"type": "http.request", "body": body[begin : begin + 2**16], "more_body": True}
        for begin in range(0, len(body), 2**16)
    ]
    client, reader = Client([*messages, chunk(0, more=False)]), Reader()
    ask(client, reader, CHUNKED, BodyLimits(), path)
    assert isinstance(reader.error, TooLarge) == refused
    if reader.error:
        assert reader.error.message == (
            "The request has 218,453 commas in 655,360 bytes; typing has at most one in 16 bytes."
        )


def test_what_is_streamed_may_have_any_size() -> None:
    client, reader = Client([chunk(60)] * 10 + [chunk(60, more=False)]), Reader()
    ask(client, reader, [(b"content-length", b"660")], path="/files")
    assert (reader.read, reader.error) == (660, None)


@pytest.mark.parametrize("path", ["/", "/files"])
@pytest.mark.parametrize("begun", [[], [chunk(1)]])
def test_a_body_that_stops_coming_is_given_up(path: str, begun: list[Message]) -> None:
    client, reader = Client(begun), Reader()
    ask(client, reader, CHUNKED, path=path)
    assert isinstance(reader.error, TooSlow)
    assert reader.error.message == (
        "The request sends less than 0.976562 KiB a second, and this Keyprint waits for 0.05 seconds at most."
    )


def test_a_body_that_drips_is_given_up() -> None:
    client, reader = Client(endless(1), pause=0.01), Reader()
    ask(client, reader, CHUNKED)
    assert isinstance(reader.error, TooSlow)
    assert reader.read < 100


def test_who_has_sent_everything_may_wait_for_the_answer() -> None:
    waited = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        # As somebody listens who wants to know when the client has gone.
        gone = asyncio.ensure_future(receive())
        await asyncio.sleep(4 * QUICK.idle_seconds)
        waited.append(not gone.done())
        gone.cancel()

    client = Client([chunk(10, more=False)])
    scope: Scope = {"type": "http", "path": "/", "headers": CHUNKED}
    asyncio.run(Bodies(app, QUICK)(scope, client.receive, client.send))
    assert waited == [True]


@pytest.mark.parametrize("headers", [[], [(b"content-length", b"0")]])
def test_who_sends_no_body_is_left_alone(headers: list[tuple[bytes, bytes]]) -> None:
    client = Client([])
    ask(client, Reader(0), headers)
    start, body = client.answer
    assert (start["headers"], body["body"]) == ([], b"answer")


def test_who_is_answered_early_has_the_whole_answer_at_once_and_is_heard_to_the_end() -> None:
    client = Client([chunk(10)] * 8 + [chunk(10, more=False)])
    ask(client, Reader(1), CHUNKED)
    start, body, end = client.answer
    assert (start["headers"], start["after"]) == ([CLOSE], 1)
    assert (body["body"], body["more_body"], body["after"]) == (b"answer", True, 1)
    assert (end.get("more_body", False), end["after"]) == (False, 9)


@pytest.mark.parametrize("left", [[], [{"type": "http.disconnect"}]])
def test_who_is_answered_early_and_says_no_more_is_let_go(left: list[Message]) -> None:
    client = Client([chunk(10), *left])
    ask(client, Reader(1), CHUNKED)
    assert [one.get("more_body", False) for one in client.answer] == [False, True, False]


def test_who_is_answered_early_and_never_ends_is_let_go() -> None:
    client = Client(endless(10), pause=0.001)
    ask(client, Reader(1), CHUNKED)
    assert [one.get("more_body", False) for one in client.answer] == [False, True, False]


def test_limits_that_nobody_sets_are_those_of_the_gateways_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    assert body_limits(GatewaySettings()) == BodyLimits()
    for setting in ("BODY_MIB", "READ_SECONDS", "BODY_KIB_SECOND"):
        monkeypatch.setenv(f"KEYPRINT_GATEWAY_{setting}", "3")
    assert body_limits(GatewaySettings()) == BodyLimits(3 * 2**20, 3, 3 * 2**10)
