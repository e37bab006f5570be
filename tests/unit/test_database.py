"""Databases are opened so that their errors can be logged."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from keyprint.database import open_database

MIGRATIONS = Path(__file__).parents[2] / "services" / "ingest" / "migrations"


def test_an_error_does_not_tell_the_values_of_its_statement(tmp_path: Path) -> None:
    engine = open_database(f"sqlite:///{tmp_path / 'catalogue.db'}", MIGRATIONS)
    with engine.connect() as connection, pytest.raises(SQLAlchemyError) as caught:
        connection.execute(text("insert into datasets (url) values (:url)"), {"url": "http://ann:sesame@example.org/"})
    engine.dispose()
    assert "sesame" not in str(caught.value)
