"""Fields that more than one service takes, checked."""

from __future__ import annotations

from zlib import crc32

from keyprint.attempts import DEFAULT_PHRASE
from keyprint.errors import InvalidArgument

MOST_ROWS, USUAL_ROWS = 1000, 100
SHORTEST_PHRASE, LONGEST_PHRASE = 2, 256
_LONGEST_NUMBER = 10
_LARGEST_NUMBER = 2**31 - 1
"""What numbers a row in a database."""


def phrase(text: str) -> str:
    """A phrase; the default one where none is given.

    Raises:
        InvalidArgument: too short, too long, or not printable.
    """
    text = text or DEFAULT_PHRASE
    if not SHORTEST_PHRASE <= len(text) <= LONGEST_PHRASE or not text.isprintable():
        raise InvalidArgument(
            "PHRASE_INVALID",
            f"The phrase must be {SHORTEST_PHRASE} to {LONGEST_PHRASE} printable characters.",
            "phrase",
        )
    return text


def page_size(size: int) -> int:
    """Rows of a page; the usual number where none is given.

    Raises:
        InvalidArgument: too many.
    """
    if size > MOST_ROWS:
        raise InvalidArgument("PAGE_SIZE_INVALID", f"page_size must be 1 to {MOST_ROWS}, and not {size}.", "page_size")
    return size or USUAL_ROWS


def page_token(token: str, of: str) -> int | None:
    """Where a page begins; None for the first.

    Args:
        token: what `next_page` gave.
        of: the list, as `next_page` was told it.

    Raises:
        InvalidArgument: it is none that a page of this list could have given.
    """
    if not token:
        return None
    number = token.partition(".")[0]
    whole = number.isascii() and number.isdecimal() and len(number) <= _LONGEST_NUMBER
    if not whole or int(number) > _LARGEST_NUMBER or token != next_page(int(number), of):
        raise InvalidArgument(
            "PAGE_TOKEN_INVALID",
            "page_token must be the next_page_token of the page before, of the same list.",
            "page_token",
        )
    return int(number)


def next_page(number: int, of: str) -> str:
    """The token of a page that begins at a row, of this list and no other."""
    return f"{number}.{crc32(of.encode()):08x}"


def keepable(text: str, field: str) -> str:
    """Returns a text that a database is asked for, or is to keep.

    Raises:
        InvalidArgument: it has a NUL character.
    """
    if "\0" in text:
        raise no_nul(field)
    return text


def no_nul(field: str) -> InvalidArgument:
    """What is wrong with a text that has a NUL character."""
    which = f"The field {field!r}" if field else "A text of the request"
    return InvalidArgument("TEXT_INVALID", f"{which} has a NUL character in it, which no text here may have.", field)
