"""A service's own database: opened, and brought up to date with the service's migrations."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import create_engine, event, make_url
from sqlalchemy.engine import Engine
from sqlalchemy.exc import OperationalError

from keyprint.errors import FailedPrecondition


def open_database(url: str, migrations: Path) -> Engine:
    """Opens the database at the SQLAlchemy `url` and runs the Alembic scripts of `migrations` that it lacks.

    Raises:
        FailedPrecondition: it cannot be opened.
    """
    # An error's text would hold the values of its statement, and a URL among them may hold credentials.
    # A server may have been started again since a connection was last used; asking first costs one round trip.
    engine = create_engine(url, hide_parameters=True, pool_pre_ping=make_url(url).get_backend_name() != "sqlite")
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _careful)
    config = Config()
    config.set_main_option("script_location", str(migrations))
    try:
        with engine.begin() as connection:
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
    except OperationalError as error:
        place = engine.url.host or engine.url.database
        raise FailedPrecondition(
            "DATABASE_UNREACHABLE",
            f"The {engine.dialect.name} database at {place} cannot be opened: {str(error.orig).splitlines()[0]}.",
        ) from None
    return engine


def workflows_url(database: str, home: Path) -> str:
    """Where DBOS keeps its own tables: beside a service's in PostgreSQL, or in a file of their own under `home`."""
    # Two writers of one SQLite file would wait for each other all the time.
    return database if database.startswith("postgresql") else f"sqlite:///{home / 'workflows.db'}"


def _careful(connection: object, _: object) -> None:
    """SQLite: enforce foreign keys, and let readers go on while one writes.

    A commit then survives the death of the process, and the last ones may be lost with the machine.
    """
    for pragma in ("foreign_keys = ON", "journal_mode = WAL", "synchronous = NORMAL", "busy_timeout = 10000"):
        cursor = connection.cursor()  # type: ignore[attr-defined]
        cursor.execute(f"PRAGMA {pragma}")
        cursor.close()
