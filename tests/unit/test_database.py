"""Databases are opened so that their errors can be logged."""

from __future__ import annotations

import contextlib
import socket
import threading
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from keyprint.database import await_database, of_database, open_database
from keyprint.errors import FailedPrecondition, ResourceExhausted, Unavailable

MIGRATIONS = Path(__file__).parents[2] / "services" / "ingest" / "migrations"


def test_an_error_does_not_tell_the_values_of_its_statement(tmp_path: Path) -> None:
    engine = open_database(f"sqlite:///{tmp_path / 'catalogue.db'}", MIGRATIONS)
    with engine.connect() as connection, pytest.raises(SQLAlchemyError) as caught:
        connection.execute(text("insert into datasets (url) values (:url)"), {"url": "http://ann:sesame@example.org/"})
    engine.dispose()
    assert "sesame" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "told"),
    [
        (
            "postgresql+psycopg://ann:sesame@127.0.0.1:1/keyprint",
            "The postgresql database at 127.0.0.1 cannot be opened",
        ),
        ("sqlite:////nowhere/catalogue.db", "The sqlite database at /nowhere/catalogue.db cannot be opened"),
    ],
)
def test_a_database_that_cannot_be_opened_is_told_in_one_sentence(url: str, told: str) -> None:
    with pytest.raises(FailedPrecondition, match=told) as refused:
        open_database(url, MIGRATIONS)
    assert refused.value.reason == "DATABASE_UNREACHABLE"
    assert "sesame" not in refused.value.message
    assert "\n" not in refused.value.message


def test_a_server_that_does_not_answer_is_asked_again_and_no_longer_than_it_may_take(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO")
    asked = 0
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"postgresql+psycopg://ann:sesame@127.0.0.1:{server.getsockname()[1]}/keyprint"

        def hang_up() -> None:
            nonlocal asked
            with contextlib.suppress(OSError):
                while True:
                    server.accept()[0].close()
                    asked += 1

        hanging_up = threading.Thread(target=hang_up)
        hanging_up.start()
        await_database(url, 2.0)
        server.shutdown(socket.SHUT_RDWR)
        hanging_up.join()
    assert asked > 1
    assert [record.message for record in caplog.records] == ["waiting for the postgresql database at 127.0.0.1"]


def test_a_database_that_is_there_is_not_waited_for(tmp_path: Path) -> None:
    await_database(f"sqlite:///{tmp_path / 'catalogue.db'}", 3600.0)


def test_a_disk_that_is_full_and_a_database_that_is_locked_are_no_fault_of_the_caller(tmp_path: Path) -> None:
    engine = open_database(f"sqlite:///{tmp_path / 'catalogue.db'}", MIGRATIONS)
    with engine.connect() as connection:
        connection.execute(text("pragma max_page_count = 1"))
        with pytest.raises(SQLAlchemyError) as full:
            connection.execute(text("create table large2 as select randomblob(10000000) as content"))
        connection.rollback()
    told = of_database(full.value)
    assert isinstance(told, ResourceExhausted)
    assert told.reason == "DISK_FULL"
    with engine.connect() as writer, engine.connect() as other:
        writer.execute(text("begin immediate"))
        other.execute(text("pragma busy_timeout = 1"))
        with pytest.raises(SQLAlchemyError) as locked:
            other.execute(text("begin immediate"))
    engine.dispose()
    told = of_database(locked.value)
    assert isinstance(told, Unavailable)
    assert (told.reason, told.retry_seconds) == ("DATABASE_UNAVAILABLE", 1.0)


def test_an_error_of_ours_is_explained_by_nobody(tmp_path: Path) -> None:
    engine = open_database(f"sqlite:///{tmp_path / 'catalogue.db'}", MIGRATIONS)
    with engine.connect() as connection, pytest.raises(SQLAlchemyError) as caught:
        connection.execute(text("insert into datasets (id) values ('x')"))
    engine.dispose()
    assert of_database(caught.value) is None
    assert of_database(ValueError()) is None


def test_what_a_newer_version_has_changed_is_left_as_it_is(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'catalogue.db'}"
    engine = open_database(url, MIGRATIONS)
    with engine.begin() as connection:
        connection.execute(text("update alembic_version set version_num = '9999'"))
    engine.dispose()
    with pytest.raises(
        FailedPrecondition, match=r"A newer Keyprint has changed the sqlite database .* \(9999\)"
    ) as told:
        open_database(url, MIGRATIONS)
    assert told.value.reason == "DATABASE_NEWER"
