"""The cache keeps what was downloaded, within its bound, until nobody can ask for it any more."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from services.ingest.cache import Cache
from services.ingest.fetch import Content

SIZE, MOST = 10 * 1024, 35 * 1024
"""Three documents have room, with what is said of them."""

DOCUMENT = Content(bytes(SIZE), "tag", "yesterday", "http://127.0.0.1/final")


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(tmp_path, MOST)


def left(cache: Cache, *keys: str) -> list[str]:
    """Which of these are there, each a source and a document."""
    return [key for key in keys if cache.get(*key.split())]


def on_disk(folder: Path) -> int:
    """Bytes of all files."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def test_a_document_comes_back_as_it_was(cache: Cache) -> None:
    assert cache.get("s", "a") is None
    cache.put("s", "a", DOCUMENT)
    assert cache.get("s", "a") == DOCUMENT
    assert cache.get("t", "a") is None
    cache.forget("s", "a")
    assert cache.get("s", "a") is None


def test_the_least_recently_used_make_room(cache: Cache, tmp_path: Path) -> None:
    for name in "abc":
        cache.put("s", name, DOCUMENT)
    cache.get("s", "a")
    cache.put("s", "d", DOCUMENT)
    assert on_disk(tmp_path) < MOST
    assert left(cache, "s a", "s b", "s c", "s d") == ["s a", "s c", "s d"]


def test_use_is_remembered_over_a_restart(cache: Cache, tmp_path: Path) -> None:
    for name in "abc":
        cache.put("s", name, DOCUMENT)
    cache.get("s", "a")
    again = Cache(tmp_path, MOST)
    again.put("s", "d", DOCUMENT)
    assert left(again, "s a", "s b", "s c", "s d") == ["s a", "s c", "s d"]


def test_a_smaller_bound_holds_from_the_next_document_on(cache: Cache, tmp_path: Path) -> None:
    for name in "abc":
        cache.put("s", name, DOCUMENT)
    smaller = Cache(tmp_path, MOST // 2)
    smaller.put("s", "d", DOCUMENT)
    assert left(smaller, "s a", "s b", "s c", "s d") == ["s d"]


def test_documents_of_an_import_under_way_go_last(cache: Cache) -> None:
    with cache.importing("s"):
        cache.put("s", "a", DOCUMENT)
        cache.put("t", "b", DOCUMENT)
        cache.put("t", "c", DOCUMENT)
        cache.put("t", "d", DOCUMENT)
        assert left(cache, "s a", "t b", "t c", "t d") == ["s a", "t c", "t d"]
    cache.get("t", "c")
    cache.get("t", "d")
    cache.put("t", "e", DOCUMENT)
    assert left(cache, "s a", "t c", "t d", "t e") == ["t c", "t d", "t e"]


def test_a_document_that_is_larger_than_the_cache_is_not_kept(cache: Cache, tmp_path: Path) -> None:
    cache.put("s", "a", Content(bytes(2 * MOST)))
    assert list(tmp_path.iterdir()) == []


def test_a_document_that_is_put_again_counts_once(cache: Cache) -> None:
    for _ in range(10):
        cache.put("s", "a", DOCUMENT)
    cache.put("s", "b", DOCUMENT)
    assert left(cache, "s a", "s b") == ["s a", "s b"]


def test_all_that_was_downloaded_for_a_source_goes_at_once(cache: Cache, tmp_path: Path) -> None:
    for source, name in ("sa", "sb", "ta"):
        cache.put(source, name, DOCUMENT)
    cache.delete("s")
    assert left(cache, "s a", "s b", "t a") == ["t a"]
    # What is gone takes no room.
    cache.put("t", "b", DOCUMENT)
    cache.put("t", "c", DOCUMENT)
    assert left(cache, "t a", "t b", "t c") == ["t a", "t b", "t c"]
    cache.sweep(["u"])
    assert list(tmp_path.iterdir()) == []


def test_what_was_being_written_when_a_process_died_goes(tmp_path: Path) -> None:
    (tmp_path / ".half").write_bytes(b"{")
    Cache(tmp_path, MOST)
    assert list(tmp_path.iterdir()) == []


def test_one_at_a_time_gets_a_url(cache: Cache) -> None:
    inside, most, done = 0, 0, threading.Barrier(5)

    def get() -> None:
        nonlocal inside, most
        with cache.turn("a"):
            inside += 1
            most = max(most, inside)
            threading.Event().wait(0.01)
            inside -= 1
        done.wait(10)

    with cache.turn("b"):
        threads = [threading.Thread(target=get) for _ in range(4)]
        for one in threads:
            one.start()
        done.wait(10)
    assert most == 1
