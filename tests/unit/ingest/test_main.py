"""What an operator sets arrives at the objects that obey it."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import pytest

from keyprint import logs
from services.ingest import __main__ as service

Given = dict[str, dict[str, Any]]

MADE = ("Readers", "Catalogue", "Store", "Guard", "Ahead", "Fetcher", "Importer", "Uploads", "WorkQueue", "Server")
"""The classes whose objects are told what is set."""

ARRIVES = [
    ("READERS", "Readers", "most", 1),
    ("READERS", "Uploads", "at_once", 1),
    ("READER_SECONDS", "Readers", "seconds", 1),
    ("CONCURRENCY", "WorkQueue", "concurrency", 1),
    ("HOST_CONCURRENCY", "WorkQueue", "lane", 1),
    ("CACHE_MIB", "Store", "cache_bytes", 2**20),
    ("AHEAD_MIB", "Ahead", "most_bytes", 2**20),
    ("DOCUMENT_MIB", "Ahead", "document_bytes", 2**20),
    ("DOCUMENT_MIB", "Uploads", "document_bytes", 2**20),
    ("READ_SECONDS", "Uploads", "idle_seconds", 1),
]
"""Settings, the class and the argument that each arrives at, and what it is multiplied by on its way."""


@pytest.fixture
def built(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., Given]:
    """Builds the service with some settings; gives the arguments of each class."""
    monkeypatch.setenv("KEYPRINT_HOME", str(tmp_path))
    monkeypatch.setattr(logs, "configure", lambda _: None)
    monkeypatch.setattr(service, "await_database", lambda *_: None)
    urllib3 = logging.getLogger("urllib3")
    monkeypatch.setattr(urllib3, "level", urllib3.level)
    given: Given = {}

    def note(kind: Any) -> Callable[..., MagicMock]:
        def make(*words: Any, **named: Any) -> MagicMock:
            given[kind.__name__] = dict(inspect.signature(kind).bind(*words, **named).arguments)
            return MagicMock()

        return make

    for name in MADE:
        monkeypatch.setattr(service, name, note(getattr(service, name)))

    def build(**settings: str) -> Given:
        for name, value in settings.items():
            monkeypatch.setenv(f"KEYPRINT_INGEST_{name}", value)
        service.main()
        # Each import has a session of its own.
        given["Importer"]["open_fetcher"]()
        return given

    return build


@pytest.mark.parametrize(("setting", "kind", "argument", "unit"), ARRIVES)
def test_a_setting_arrives_where_it_counts(
    built: Callable[..., Given], setting: str, kind: str, argument: str, unit: int
) -> None:
    assert built(**{setting: "3"})[kind][argument] == 3 * unit


def test_one_host_has_no_more_imports_at_once_than_all(built: Callable[..., Given]) -> None:
    given = built(CONCURRENCY="2", HOST_CONCURRENCY="3")["WorkQueue"]
    assert (given["concurrency"], given["lane"]) == (2, 2)


def test_limits_arrive_at_imports_uploads_and_sessions(built: Callable[..., Given]) -> None:
    given = built(DOCUMENTS="3", REDIRECTS="2")
    assert [given[kind]["limits"].documents for kind in ("Importer", "Uploads")] == [3, 3]
    assert given["Fetcher"]["limits"].redirects == 2


def test_networks_that_are_allowed_arrive_at_the_guard(built: Callable[..., Given]) -> None:
    assert built(ALLOW_NETS="10.0.0.0/8,127.0.0.1")["Guard"]["allow_nets"] == ["10.0.0.0/8", "127.0.0.1/32"]
