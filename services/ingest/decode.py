"""One document of the source format as JSON to keystrokes, attempt by attempt."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Annotated, Any

import msgspec
import numpy as np

from keyprint.errors import InvalidArgument
from keyprint.settings import IngestSettings
from services.ingest.encoding import check_utf8, in_utf8
from services.ingest.oddities import without_oddities

LABEL_LENGTH = 256
_JOINERS = dict.fromkeys((0x200C, 0x200D))

KEY_BYTES = 64
"""Longest name of a key."""

MOST_ATTEMPTS = IngestSettings.model_construct().ingest_document_attempts
"""Attempts of one document where nobody sets them."""

_FEW_VALUES = 1_000_000
"""Values that no memory minds, however few bytes they have."""

_VALUE_BYTES = 16
"""A keystroke has 25 bytes at least for each of its commas.  Many values that are smaller are junk, and each takes
several times its bytes when read."""


_Short = Annotated[str, msgspec.Meta(max_length=KEY_BYTES)]
"""Times are shorter than keys may be; a long text costs many times its bytes until it is found to be none."""


class Keystroke(msgspec.Struct, gc=False):
    """One key press as documents write it."""

    typed_at: _Short
    character: _Short
    released_at: _Short | None = None


class _Typed(msgspec.Struct):
    """A document all of whose attempts have the right shape."""

    user_label: str | msgspec.UnsetType = msgspec.UNSET
    user_data: list[list[Keystroke]] | msgspec.UnsetType = msgspec.UNSET
    attempts: list[list[Keystroke]] | msgspec.UnsetType = msgspec.UNSET
    next: str | None = None


class _Outline(msgspec.Struct):
    """A document whose parts are not read yet; what it lacks has no bytes."""

    user_label: msgspec.Raw = msgspec.Raw()
    user_data: msgspec.Raw = msgspec.Raw()
    attempts: msgspec.Raw = msgspec.Raw()
    next: msgspec.Raw = msgspec.Raw()


_DECODER = msgspec.json.Decoder(_Typed)
_JSON = msgspec.json.Decoder(msgspec.Raw)
_OUTLINE = msgspec.json.Decoder(_Outline)
_LIST = msgspec.json.Decoder(list[msgspec.Raw])
_ATTEMPT = msgspec.json.Decoder(list[Keystroke])


@dataclass(frozen=True)
class Decoded:
    """A document whose attempts are told apart and not read yet.

    Attributes:
        user: who typed; None in an unlabelled document.
        next: where the chain goes on, relative to this document; None at its end.
        attempts: their keystrokes.
        malformed: of each attempt whether it cannot be read; such ones have no keystrokes.
    """

    user: str | None
    next: str | None
    attempts: list[list[Keystroke]]
    malformed: list[bool]


def decode(content: bytes | memoryview, most: int) -> Decoded:
    """Reads JSON of at most so many attempts; one that cannot be read is malformed and leaves the others alone.

    Raises:
        InvalidArgument: the content is not JSON, no document, has more attempts, or is mostly commas.
    """
    _check_values(content)
    try:
        typed = _DECODER.decode(content)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return _leniently(bytes(content), most)
    if isinstance(typed.user_data, list) and isinstance(typed.user_label, str) and typed.attempts is msgspec.UNSET:
        _check_count(typed.user_data, most)
        return Decoded(_label(typed.user_label), typed.next, typed.user_data, [False] * len(typed.user_data))
    if isinstance(typed.attempts, list) and typed.user_data is typed.user_label is msgspec.UNSET:
        _check_count(typed.attempts, most)
        return Decoded(None, typed.next, typed.attempts, [False] * len(typed.attempts))
    raise _no_document("an object with user_label and user_data, or with attempts")


def _check_values(content: bytes | memoryview) -> None:
    if len(content) <= _FEW_VALUES:
        return
    commas = np.count_nonzero(np.frombuffer(content, np.uint8) == ord(","))
    if commas > max(_FEW_VALUES, len(content) // _VALUE_BYTES):
        raise InvalidArgument(
            "LIMIT_EXCEEDED",
            f"It has {commas:,} commas in {len(content):,} bytes; typing has at most one in {_VALUE_BYTES} bytes.",
            "url",
        )


def _leniently(content: bytes, most: int) -> Decoded:
    """Reads what the typed decoder refuses: one wrong keystroke must not cost its whole document.

    Each attempt is told apart first and then read alone, as what it should be: whatever else stands in its place would
    take many times its bytes when read.
    """
    try:
        content = in_utf8(content)
        check_utf8(content)
        plain = _checked(content)
    except (UnicodeDecodeError, msgspec.DecodeError, RecursionError):
        raise InvalidArgument("NOT_JSON", "The document is not JSON.") from None
    try:
        found = _OUTLINE.decode(plain)
    except msgspec.ValidationError:
        raise _no_document("an object") from None
    following = _text(found.next)
    if following is None and bytes(found.next) not in (b"", b"null"):
        raise _no_document("next as a URL or null")
    labelled = bool(found.user_data and not found.attempts)
    unlabelled = bool(found.attempts and not found.user_data and not found.user_label)
    try:
        listed = _LIST.decode(found.user_data if labelled else found.attempts)
    except msgspec.DecodeError:
        listed = None
    if listed is None or not (labelled or unlabelled):
        raise _no_document("an object with user_label and user_data, or with attempts, each a list")
    _check_count(listed, most)
    read = [_attempt(one) for one in listed]
    return Decoded(
        _label(_text(found.user_label)) if labelled else None,
        following,
        [one or [] for one in read],
        [one is None for one in read],
    )


def _checked(content: bytes) -> bytes | bytearray:
    """JSON that the decoder takes.

    Raises:
        msgspec.DecodeError: it is not JSON.
    """
    try:
        _JSON.decode(content)
    except msgspec.DecodeError:
        changed = without_oddities(content)
        _JSON.decode(changed)
        return changed
    return content


def _text(found: msgspec.Raw) -> str | None:
    """The text that it is; None if it is something else."""
    text: str | None = json.loads(bytes(found)) if bytes(memoryview(found)[:1]) == b'"' else None
    return text


def _check_count(listed: list[Any], most: int) -> None:
    """Returns if there are at most so many attempts.

    Raises:
        InvalidArgument: there are more.
    """
    if len(listed) > most:
        raise InvalidArgument("LIMIT_EXCEEDED", f"It has more than {most:,} attempts, the most of a document.", "url")


def _attempt(found: msgspec.Raw) -> list[Keystroke] | None:
    try:
        return _ATTEMPT.decode(found)
    # Half of a surrogate pair is text to JSON and nothing that UTF-8 can hold.
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def _label(found: Any) -> str:
    """The label that it is. Joiners (ZWNJ, ZWJ) are parts of words and of emoji, and no label alone.

    Raises:
        InvalidArgument: it is none.
    """
    if not isinstance(found, str) or not 0 < len(found) <= LABEL_LENGTH or not _can_be_seen(found.translate(_JOINERS)):
        raise _no_document(f"user_label as 1 to {LABEL_LENGTH} printable characters")
    return found


def _can_be_seen(text: str) -> bool:
    return text != "" and text.isprintable()


def _no_document(expected: str) -> InvalidArgument:
    return InvalidArgument("NOT_A_DOCUMENT", f"The JSON is no typing document: it needs {expected}.")
