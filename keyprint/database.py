"""A service's own database: opened, and brought up to date with the service's migrations."""

from __future__ import annotations

import logging
import time
from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import create_engine, event, make_url
from sqlalchemy.engine import Engine
from sqlalchemy.exc import OperationalError

from keyprint.errors import FailedPrecondition

log = logging.getLogger(__name__)

_LOOK_EVERY = 0.5


def await_database(url: str, seconds: float) -> None:
    """Waits until the database at the SQLAlchemy `url` can be connected to, or `seconds` have passed.

    Its server may be starting too; `open_database` tells what is wrong if it is something else.
    """
    ends = time.monotonic() + seconds
    engine = create_engine(url, hide_parameters=True)
    told = False
    while time.monotonic() < ends:
        try:
            engine.connect().close()
            break
        except OperationalError:
            if not told:
                log.info("waiting for the %s database at %s", engine.dialect.name, _place(engine))
            told = True
            time.sleep(_LOOK_EVERY)
    engine.dispose()


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
        why = str(error.orig).splitlines()[0]
        raise FailedPrecondition(
            "DATABASE_UNREACHABLE",
            f"The {engine.dialect.name} database at {_place(engine)} cannot be opened: {why}.",
        ) from None
    return engine


def _place(engine: Engine) -> str | None:
    return engine.url.host or engine.url.database


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
