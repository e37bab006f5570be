"""Fields that more than one service takes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyprint import checks
from keyprint.errors import InvalidArgument


@given(number=st.integers(0, 2**31 - 1), of=st.text())
def test_a_token_says_where_the_next_page_of_its_list_begins(number: int, of: str) -> None:
    assert checks.page_token(checks.next_page(number, of), of) == number


def test_without_a_token_it_is_the_first_page() -> None:
    assert checks.page_token("", "models") is None


@pytest.mark.parametrize(
    "token",
    [
        checks.next_page(8, "datasets"),
        checks.next_page(2**31, "models"),
        "8",
        "8.",
        "+8.00000000",
        "x",
        " ",
        "0" + checks.next_page(8, "models"),
        checks.next_page(8, "models") + " ",
        "9" * 100,
    ],
)
def test_what_no_page_of_the_list_gave_is_refused(token: str) -> None:
    with pytest.raises(InvalidArgument, match="of the page before, of the same list") as refused:
        checks.page_token(token, "models")
    assert (refused.value.reason, refused.value.field) == ("PAGE_TOKEN_INVALID", "page_token")
