"""Whatever valid document is written, it is read as it was meant."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from keyprint.attempts import BACKSPACE, UNKNOWN_TIME, encode
from services.ingest.parse import parse_document

MOMENTS = st.datetimes(datetime(1970, 1, 2), datetime(2100, 1, 1))
CHARACTERS = st.one_of(st.characters(exclude_categories=["Cs"]), st.sampled_from([BACKSPACE, "[shift]"]))


@st.composite
def texts(draw: st.DrawFn, moment: datetime) -> str:
    """One of the forms that a recorder may write a moment in, which is UTC."""
    form = draw(st.sampled_from(["plain", "space", "z", "zone", "six"]))
    if form == "six":
        return moment.isoformat(timespec="microseconds")
    if form == "space":
        return moment.isoformat(sep=" ")
    if form == "z":
        return moment.isoformat() + "Z"
    if form == "zone":
        zone = timezone(timedelta(minutes=draw(st.integers(-12 * 60, 14 * 60))))
        return moment.replace(tzinfo=UTC).astimezone(zone).isoformat()
    return moment.isoformat()


@st.composite
def attempts(draw: st.DrawFn) -> tuple[list[dict[str, str]], list[tuple[str, int, int]]]:
    """An attempt as a document writes it, and the key, press and release in µs that it means."""
    written, meant = [], []
    for _ in range(draw(st.integers(0, 6))):
        pressed, released = draw(MOMENTS), draw(st.none() | MOMENTS)
        key = draw(CHARACTERS)
        one = {"typed_at": draw(texts(pressed)), "character": key}
        if released is not None:
            one["released_at"] = draw(texts(released))
        written.append(one)
        meant.append((key, microseconds(pressed), UNKNOWN_TIME if released is None else microseconds(released)))
    return written, meant


def microseconds(moment: datetime) -> int:
    return (moment - datetime(1970, 1, 1)) // timedelta(microseconds=1)


@given(
    st.lists(attempts(), max_size=5),
    st.none() | st.text(st.characters(categories=["L", "N"]), min_size=1, max_size=20),
    st.none() | st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
    st.booleans(),
)
def test_a_document_is_read_as_it_was_meant(
    typed: list[tuple[list[dict[str, str]], list[tuple[str, int, int]]]],
    user: str | None,
    following: str | None,
    escaped: bool,
) -> None:
    listed = [written for written, _ in typed]
    content: dict[str, Any] = {"attempts": listed} if user is None else {"user_label": user, "user_data": listed}
    text = json.dumps(content | {"next": following}, ensure_ascii=escaped).encode()
    document = parse_document(text)
    assert (document.user, document.next) == (user, following)
    keystrokes = document.keystrokes
    assert not keystrokes.malformed.any()
    meant = [one for _, attempt in typed for one in attempt]
    assert keystrokes.offsets.tolist() == [sum(len(one) for one in listed[:end]) for end in range(len(listed) + 1)]
    assert document.characters.to_pylist() == [key for key, _, _ in meant]
    assert keystrokes.character.tolist() == encode([key for key, _, _ in meant]).tolist()
    assert keystrokes.pressed_at.tolist() == [pressed for _, pressed, _ in meant]
    assert keystrokes.released_at.tolist() == [released for _, _, released in meant]
