"""Documents lie on a shelf that two processes see."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from services.ingest.shelf import LEAST_BYTES, Shelf


@pytest.fixture(params=["in memory", "in a file"])
def shelves(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Shelf, Shelf]]:
    """One to write to, and the same as another process has it."""
    if request.param == "in a file":
        monkeypatch.delattr(os, "memfd_create")
    written = Shelf()
    read = Shelf(os.dup(written.descriptor))
    yield written, read
    for one in (written, read):
        one.close()


def test_the_memory_of_a_large_document_is_given_back_and_that_of_a_small_one_kept(
    shelves: tuple[Shelf, Shelf],
) -> None:
    written, read = shelves
    for content in (b"bob" * LEAST_BYTES, b"ada", b"eve" * 2 * LEAST_BYTES):
        written.write(content)
        assert bytes(read.read(len(content))) == content
        written.shrink()
        assert os.fstat(written.descriptor).st_size == LEAST_BYTES


def test_what_was_laid_there_last_is_read_whatever_its_size(shelves: tuple[Shelf, Shelf]) -> None:
    written, read = shelves
    for content in (b"ada", b"", b"bob" * LEAST_BYTES, b"eve", b"joe" * 2 * LEAST_BYTES):
        written.write(content)
        assert bytes(read.read(len(content))) == content
