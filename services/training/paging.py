"""Pages of rows that are numbered, newest first."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

from keyprint import checks


class Asking(Protocol):
    """A request for a page."""

    page_size: int
    page_token: str


class Numbered(Protocol):
    """A row."""

    @property
    def number(self) -> int:
        """Its place; newer rows have larger ones."""


Row = TypeVar("Row", bound=Numbered)


def page(of: str, request: Asking, read: Callable[[int | None, int], Sequence[Row]]) -> tuple[Sequence[Row], str]:
    """The rows of the page that is asked for, and the token of the next one, empty if there is none.

    Args:
        of: the list.
        request: which page.
        read: gives up to so many rows, newest first, of those numbered below the first argument, or of all if None.

    Raises:
        InvalidArgument: the page's size or token is none.
    """
    size, before = checks.page_size(request.page_size), checks.page_token(request.page_token, of)
    rows = read(before, size + 1)
    return rows[:size], checks.next_page(rows[size - 1].number, of) if len(rows) > size else ""
