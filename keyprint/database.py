"""A service's own database: opened, and brought up to date with the service's migrations."""

from __future__ import annotations

import logging
import time
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine, event, exc, make_url
from sqlalchemy.engine import Engine
from sqlalchemy.exc import OperationalError

from keyprint.checks import no_nul
from keyprint.errors import FailedPrecondition, KeyprintError, Unavailable, disk_full

log = logging.getLogger(__name__)

_LOOK_EVERY = 0.5

_CONNECT_SECONDS = 10
"""Longest wait for a connection to a server; the system's own is minutes."""

_AGAIN_SECONDS = 1.0
"""When callers may try again who came while it did not answer."""


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
        FailedPrecondition: it cannot be opened, or a newer Keyprint has changed it.
    """
    # An error's text would hold the values of its statement, and a URL among them may hold credentials.
    # A server may have been started again since a connection was last used; asking first costs one round trip.
    if make_url(url).get_backend_name() == "sqlite":
        engine = create_engine(url, hide_parameters=True)
        event.listen(engine, "connect", _careful)
    else:
        within = {"connect_timeout": _CONNECT_SECONDS}
        engine = create_engine(url, hide_parameters=True, pool_pre_ping=True, connect_args=within)
    config = Config()
    config.set_main_option("script_location", str(migrations))
    try:
        with engine.begin() as connection:
            config.attributes["connection"] = connection
            _refuse_newer(engine, MigrationContext.configure(connection), ScriptDirectory.from_config(config))
            command.upgrade(config, "head")
    except OperationalError as error:
        why = str(error.orig).splitlines()[0]
        raise FailedPrecondition(
            "DATABASE_UNREACHABLE",
            f"The {engine.dialect.name} database at {_place(engine)} cannot be opened: {why}.",
        ) from None
    return engine


def _refuse_newer(engine: Engine, made: MigrationContext, known: ScriptDirectory) -> None:
    if unknown := set(made.get_current_heads()) - {script.revision for script in known.walk_revisions()}:
        raise FailedPrecondition(
            "DATABASE_NEWER",
            f"A newer Keyprint has changed the {engine.dialect.name} database at {_place(engine)} "
            f"({', '.join(sorted(unknown))}); start that one, or bring back a copy from before.",
        )


def _place(engine: Engine) -> str | None:
    return engine.url.host or engine.url.database


def of_database(error: Exception) -> KeyprintError | None:
    """What a database's refusal means for a caller; None if that is our fault.

    A statement that is wrong is a ProgrammingError, but on SQLite, which calls most of what it says operational.
    """
    if isinstance(error, exc.TimeoutError | exc.OperationalError | exc.InterfaceError):
        told = str(getattr(error, "orig", ""))
        return disk_full() if any(one in told for one in _DISK_FULL) else _away()
    if isinstance(error, exc.DBAPIError) and error.connection_invalidated:
        return _away()
    if isinstance(error, exc.DataError) and "NUL" in str(error.orig):
        return no_nul("")
    return None


_DISK_FULL = ("database or disk is full", "No space left on device")
"""What SQLite and PostgreSQL say then."""


def _away() -> Unavailable:
    return Unavailable(
        "DATABASE_UNAVAILABLE", "The database of this Keyprint service does not answer; try again.", "", _AGAIN_SECONDS
    )


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
