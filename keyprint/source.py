"""One attempt in the source format, as other programs send it, to the message that the services take."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from keyprint.errors import InvalidArgument
from keyprint.moments import column, microseconds
from keyprint.v1 import attempts_pb2

_UNKNOWN_TIME = -1


def attempt_from_source(keystrokes: Sequence[Mapping[str, Any]]) -> attempts_pb2.Attempt:
    """Reads [{"typed_at": ISO 8601, "character": text, "released_at": ISO 8601, optional}, ...].

    Times without a zone are UTC.

    Raises:
        InvalidArgument: a keystroke is something else; the sentence says which, counting from 0.
    """
    characters: list[str] = []
    for position, keystroke in enumerate(keystrokes):
        if not isinstance(keystroke, dict):
            raise _wrong(position, "must be an object with typed_at and character")
        character = keystroke.get("character")
        if not isinstance(character, str) or not character or not (character.isascii() or _encodable(character)):
            raise _wrong(position, 'needs a character: one key, or "[backspace]"')
        characters.append(character)
    return attempts_pb2.Attempt(
        character=characters,
        pressed_at=_counts([one.get("typed_at") or "" for one in keystrokes], "typed_at"),
        released_at=_counts([one.get("released_at") for one in keystrokes], "released_at"),
    )


def _encodable(text: str) -> bool:
    """Half of a surrogate pair is a string in Python and cannot be one in a message."""
    return not any("\ud800" <= one <= "\udfff" for one in text)


def _counts(values: Sequence[object], name: str) -> list[int]:
    """Times in µs; of None, that it is not known."""
    texts = [value for value in values if isinstance(value, str)]
    if len(texts) + values.count(None) < len(values) or (counts := column(texts)) is None:
        position = next(place for place, value in enumerate(values) if value is not None and not _is_time(value))
        raise _wrong(position, f"needs {name} as an ISO 8601 time, like 2019-06-30T15:05:44.743893")
    if len(counts) == len(values):
        return counts
    known = iter(counts)
    return [_UNKNOWN_TIME if value is None else next(known) for value in values]


def _is_time(value: object) -> bool:
    return isinstance(value, str) and microseconds(value) is not None


def _wrong(position: int, what: str) -> InvalidArgument:
    return InvalidArgument("ATTEMPT_INVALID", f"Keystroke {position} of the attempt {what}.", "attempt")
