"""One attempt in the source format, as other programs send it, to the message that the services take."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from keyprint.errors import InvalidArgument
from keyprint.moments import microseconds
from keyprint.v1 import attempts_pb2

_UNKNOWN_TIME = -1


def attempt_from_source(keystrokes: Sequence[Mapping[str, Any]]) -> attempts_pb2.Attempt:
    """Reads [{"typed_at": ISO 8601, "character": text, "released_at": ISO 8601, optional}, ...].

    Times without a zone are UTC.

    Raises:
        InvalidArgument: a keystroke is something else; the sentence says which, counting from 0.
    """
    characters, pressed, released = [], [], []
    for position, keystroke in enumerate(keystrokes):
        if not isinstance(keystroke, dict):
            raise _wrong(position, "must be an object with typed_at and character")
        character = keystroke.get("character")
        if not isinstance(character, str) or not character or not _encodable(character):
            raise _wrong(position, 'needs a character: one key, or "[backspace]"')
        characters.append(character)
        pressed.append(_microseconds(keystroke.get("typed_at"), position, "typed_at"))
        until = keystroke.get("released_at")
        released.append(_UNKNOWN_TIME if until is None else _microseconds(until, position, "released_at"))
    return attempts_pb2.Attempt(character=characters, pressed_at=pressed, released_at=released)


def _encodable(text: str) -> bool:
    """Half of a surrogate pair is a string in Python and cannot be one in a message."""
    return text.isascii() or not any("\ud800" <= one <= "\udfff" for one in text)


def _microseconds(value: object, position: int, name: str) -> int:
    found = microseconds(value) if isinstance(value, str) else None
    if found is None:
        raise _wrong(position, f"needs {name} as an ISO 8601 time, like 2019-06-30T15:05:44.743893")
    return found


def _wrong(position: int, what: str) -> InvalidArgument:
    return InvalidArgument("ATTEMPT_INVALID", f"Keystroke {position} of the attempt {what}.", "attempt")
