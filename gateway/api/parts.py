"""What every module of the API uses: the services, the types of fields, and how to answer."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from hashlib import blake2b
from typing import Annotated, Any, Literal, TypeVar

import msgspec
from fastapi import Depends, Header, Query, Request, Response
from google.protobuf.message import Message
from pydantic import BeforeValidator, JsonValue
from sse_starlette import EventSourceResponse, ServerSentEvent

from gateway.rpc import Services
from keyprint.errors import KeyprintError
from keyprint.forms import UInt32
from keyprint.jsonform import to_dict
from keyprint.problems import MEDIA_TYPE, Problem, document_of
from keyprint.v1 import attempts_pb2

PING_SECONDS = 15


async def services_of(request: Request) -> Services:
    """The services that `create_app` connected; a coroutine, for FastAPI sends functions to a thread of their own."""
    services: Services = request.app.state.services
    return services


ServicesOf = Annotated[Services, Depends(services_of)]


def _lower(value: object) -> object:
    return value.lower() if isinstance(value, str) else value


AnyMessage = TypeVar("AnyMessage", bound=Message)

SplitName = Annotated[Literal["late", "random"], BeforeValidator(_lower)]

SEED: dict[str, JsonValue] = {"maximum": 2**31 - 1}
"""What a schema says of a seed beside its being a uint32."""

PageSize = Annotated[
    UInt32, Query(description="Items on a page, 1 to 1000; 0 for 100.", json_schema_extra={"maximum": 1000})
]
PageToken = Annotated[str, Query(description="`next_page_token` of the page before.")]
FirstN = Annotated[int, Query(ge=1, le=1000, description="Rows wanted, 1 to 1000.")]
IdempotencyKey = Annotated[
    str,
    Header(
        alias="Idempotency-Key",
        max_length=128,
        description="Any text: a second request with the same one gets the first one's answer.",
    ),
]


def split_value(split: SplitName | None) -> attempts_pb2.Split.ValueType:
    """The proto's value; unspecified for None."""
    if split is None:
        return attempts_pb2.SPLIT_UNSPECIFIED
    return attempts_pb2.Split.Value(f"SPLIT_{split.upper()}")


def answer(message: AnyMessage, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """The message as JSON."""
    return Response(msgspec.json.encode(to_dict(message)), status, headers, "application/json")


Responses = dict[int | str, dict[str, Any]]

PROBLEM: Responses = {
    "default": {
        "description": "A problem document; `reason` says what went wrong.",
        "content": {MEDIA_TYPE: {"schema": {"$ref": f"#/components/schemas/{Problem.__name__}"}}},
    }
}


def answers(message: type[Message], description: str, status: int = 200) -> Responses:
    """What OpenAPI says about a call that answers with `message`."""
    return {
        status: {
            "description": description,
            "content": {"application/json": {"schema": {"$ref": f"#/components/schemas/{message.DESCRIPTOR.name}"}}},
        }
    }


EVENTS: Responses = {
    200: {
        "description": "Server-sent events, each with the whole resource as its data, until its state is a final one.",
        "content": {"text/event-stream": {"schema": {"type": "string"}}},
    },
    204: {"description": "The client has the last event already; a browser asks no more."},
}

LastEventId = Annotated[
    str,
    Header(alias="Last-Event-ID", max_length=128, description="Of the last event that came, from who comes back."),
]

RECONNECT_MS = 2000
"""When a browser whose stream broke off comes back."""

_RUNNING = ("IMPORTING", "PENDING", "RUNNING", "CANCELLING")


async def event_stream(name: str, messages: AsyncGenerator[AnyMessage, None], last: str) -> Response:
    """Server-sent events called `name`, one per message; a late error is an event called "problem".

    A client that comes back after a broken connection needs no history: the first event is how things stand, unless
    that is the one it has had last, and what has ended as it knows is answered without a stream.

    Raises:
        KeyprintError: the stream failed before its first message.
    """
    first = await anext(messages, None)
    begun = [] if first is None else [_event(name, first)]
    if first is not None and begun[0].id == last:
        begun.clear()
        if to_dict(first)["state"] not in _RUNNING:
            await messages.aclose()
            return Response(status_code=204)

    async def events() -> AsyncGenerator[ServerSentEvent, None]:
        async with aclosing(messages):
            try:
                for event in begun:
                    yield event
                async for message in messages:
                    yield _event(name, message)
            except KeyprintError as error:
                yield ServerSentEvent(event="problem", data=json.dumps(document_of(error)))

    return EventSourceResponse(events(), ping=PING_SECONDS)


def _event(name: str, message: Message) -> ServerSentEvent:
    data = json.dumps(to_dict(message))
    name_of_content = blake2b(data.encode(), digest_size=12).hexdigest()
    return ServerSentEvent(event=name, data=data, id=name_of_content, retry=RECONNECT_MS)
