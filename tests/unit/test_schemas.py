"""What the services' tables are in the code is what their migrations make; a change without a migration fails here."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Column, Float, Integer, MetaData

from keyprint.database import open_database
from services.ingest import tables as ingest
from services.training import tables as training

SERVICES = {"ingest": ingest, "training": training}


def differences(tables: ModuleType, metadata: MetaData, folder: Path) -> list[object]:
    """What a new migration would have to do."""
    assert tables.__file__
    engine = open_database(f"sqlite:///{folder / 'catalogue.db'}", Path(tables.__file__).parent / "migrations")
    try:
        with engine.connect() as connection:
            context = MigrationContext.configure(connection, opts={"compare_type": _differ})
            return list(compare_metadata(context, metadata))
    finally:
        engine.dispose()


def _differ(_: object, __: object, ___: object, made: object, meant: object) -> bool | None:
    # FLOAT, as migrations have it, and DOUBLE are eight bytes in SQLite and PostgreSQL alike.
    return False if isinstance(made, Float) and isinstance(meant, Float) else None


@pytest.mark.parametrize("service", SERVICES)
def test_migrations_make_the_tables_that_the_code_has(service: str, tmp_path: Path) -> None:
    tables = SERVICES[service]
    assert differences(tables, tables.Base.metadata, tmp_path) == []


@pytest.mark.parametrize("service", SERVICES)
def test_a_column_without_a_migration_is_noticed(service: str, tmp_path: Path) -> None:
    tables = SERVICES[service]
    changed = MetaData()
    for table in tables.Base.metadata.tables.values():
        table.to_metadata(changed)
    next(iter(changed.tables.values())).append_column(Column("without_a_migration", Integer))
    (found,) = differences(tables, changed, tmp_path)
    assert "without_a_migration" in str(found)
