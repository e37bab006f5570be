"""Room for documents that are fetched ahead."""

from __future__ import annotations

from services.ingest.ahead import Ahead


def test_there_is_room_while_the_largest_document_fits_in() -> None:
    ahead = Ahead(document_bytes=10, most_bytes=25)
    first, second = ahead.room(), ahead.room()
    assert first
    assert second
    assert ahead.room() is None
    first.give_back()
    assert ahead.room()
    assert ahead.room() is None


def test_a_document_that_came_takes_no_more_than_it_has() -> None:
    ahead = Ahead(document_bytes=10, most_bytes=15)
    room = ahead.room()
    assert room
    assert ahead.room() is None
    room.fit(5)
    assert ahead.room()


def test_room_is_given_back_once() -> None:
    ahead = Ahead(document_bytes=10, most_bytes=10)
    room = ahead.room()
    assert room
    room.fit(4)
    room.give_back()
    room.give_back()
    # Who gave it back before the document came wants nothing of it.
    room.fit(4)
    assert ahead.room()
    assert ahead.room() is None


def test_where_a_document_may_be_larger_than_all_there_is_room_for_one() -> None:
    ahead = Ahead(document_bytes=10, most_bytes=9)
    assert ahead.room()
    assert ahead.room() is None


def test_where_there_is_to_be_no_room_there_is_none() -> None:
    assert Ahead(document_bytes=10, most_bytes=0).room() is None
