"""A source that lists the URLs of its documents instead of chaining them."""

from __future__ import annotations

import re

import msgspec

from keyprint.errors import InvalidArgument
from services.ingest.encoding import in_utf8
from services.ingest.urls import resolve, without_credentials

_ARRAY = msgspec.json.Decoder(list[str])
_LINE = msgspec.json.Decoder(str)
_LINES = re.compile(rb"\S[^\r\n]*")
"""Those that are not blank, one at a time: there may be millions that are."""


def listed(content: bytes, url: str, most: int) -> list[str] | None:
    """The URLs that a list names, relative ones resolved against its own; None if the content is no list.

    A list is a JSON array of texts, or one JSON text a line.

    Args:
        content: the list.
        url: where it really came from.
        most: documents that it may name.

    Raises:
        InvalidArgument: it is a list, and of something else than URLs, names one twice, or names too many.
    """
    try:
        content = in_utf8(content)
    except UnicodeDecodeError:
        return None
    if not is_list(content):
        return None
    first = content.lstrip()[:1]
    # Each name stands between two quotes; millions of them would fill the memory when read.
    quotes = content.count(b'"') - content.count(b'\\"')
    try:
        names = [] if quotes > 2 * most else _array(content) if first == b"[" else _lines(content)
    except InvalidArgument as error:
        raise InvalidArgument(error.reason, f"{without_credentials(url)} {error.message}", "url") from None
    if max(len(names), quotes // 2) > most:
        raise InvalidArgument(
            "LIMIT_EXCEEDED",
            f"{without_credentials(url)} lists more than {most:,} documents, which is a limit of this Keyprint.",
            "url",
        )
    found = [resolve(url, name) for name in names]
    if not found or len(set(found)) < len(found):
        why = "lists a document twice" if found else "lists no documents"
        raise InvalidArgument("NOT_A_DOCUMENT", f"{without_credentials(url)} {why}.", "url")
    return found


def is_list(content: bytes) -> bool:
    """Whether JSON in UTF-8 begins as a list of documents does, and no document."""
    return content.lstrip()[:1] in (b"[", b'"')


def _array(content: bytes) -> list[str]:
    try:
        return _ARRAY.decode(content)
    except msgspec.ValidationError:
        raise InvalidArgument("NOT_A_DOCUMENT", "lists something else than URLs of documents.") from None
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise InvalidArgument("NOT_JSON", "begins as a list of documents does, and is not JSON.") from None


def _lines(content: bytes) -> list[str]:
    try:
        return [_LINE.decode(line[0]) for line in _LINES.finditer(content)]
    except msgspec.ValidationError:
        raise InvalidArgument("NOT_A_DOCUMENT", "has a line that is no URL of a document.") from None
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise InvalidArgument("NOT_JSON", "has a line that is not JSON.") from None
