"""What a caller sends of an upload, part by part."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from keyprint.errors import Cancelled, InvalidArgument


@dataclass(frozen=True)
class Header:
    """What an upload is to become: the phrase (that of the base or the default if empty), `min_attempts` (the usual if
    0), and the dataset that it adds to (none if empty).
    """

    phrase: str
    min_attempts: int
    base: str


@dataclass(frozen=True)
class Piece:
    """The next bytes of the document of this name."""

    name: str
    content: bytes


@dataclass(frozen=True)
class Break:
    """Says that the chain of what was sent goes on with the document of this name, which is sent no more."""

    name: str


@dataclass(frozen=True)
class End:
    """Says that everything was sent."""


Part = Header | Piece | Break | End


def size(part: Part) -> int:
    """Bytes of documents in it."""
    return len(part.content) if isinstance(part, Piece) else 0


def pieces(parts: Iterator[Part], breaks: list[str]) -> Iterator[tuple[str, bytes]]:
    """Name and bytes of each piece; at the end the name of a break is in `breaks`.

    Raises:
        InvalidArgument: something stands where it must not.
        Cancelled: it ends without an end.
    """
    for part in parts:
        if isinstance(part, End):
            return
        if breaks:
            raise InvalidArgument(
                "HEADER_MISSING", "Where the chain of an upload breaks off, it has come to its end.", "broken_at"
            )
        if isinstance(part, Break):
            breaks.append(part.name)
            continue
        if isinstance(part, Header):
            raise InvalidArgument(
                "HEADER_MISSING", "An upload has one header, and pieces of documents after it.", "header"
            )
        yield part.name, part.content
    # gRPC can show a call that was cancelled as a stream that ended.
    raise Cancelled("UPLOAD_BROKEN_OFF", "The upload broke off before its end.")
