"""The service's tables, and the database that holds them; `migrations` makes them."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import JSON, LargeBinary, String
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, sessionmaker

from keyprint.database import open_database

Sessions = sessionmaker[Session]

PENDING, RUNNING, CANCELLING = "PENDING", "RUNNING", "CANCELLING"
CANCELLED, SUCCEEDED, FAILED = "CANCELLED", "SUCCEEDED", "FAILED"
UNDER_WAY = (PENDING, RUNNING, CANCELLING)
"""The states of a job, and those in which it has not ended."""


def open_tables(url: str) -> Sessions:
    """Opens the database at the SQLAlchemy `url`, its tables up to date."""
    return sessionmaker(open_database(url, Path(__file__).parent / "migrations"), expire_on_commit=False)


def upsert(session: Session, table: type[Base]) -> sqlite.Insert | postgresql.Insert:
    """An INSERT into a table that may say what to do where the row is there already."""
    # Each database has its own word for it, and both work the same.
    return postgresql.insert(table) if session.get_bind().dialect.name == "postgresql" else sqlite.insert(table)


def now() -> datetime:
    """The time, UTC, without a zone, as the catalogue stores it."""
    return datetime.now(UTC).replace(tzinfo=None)


class Base(DeclarativeBase):
    """The tables."""


class Name(Base):
    """The last version that was given out under a name; it stays when the models go, so that none is used twice."""

    __tablename__ = "names"

    name: Mapped[str] = mapped_column(String(63), primary_key=True)
    last_version: Mapped[int]


class Job(Base):
    """One training run."""

    __tablename__ = "jobs"

    number: Mapped[int] = mapped_column(primary_key=True)
    id: Mapped[str] = mapped_column(String(32), unique=True)
    request_id: Mapped[str | None] = mapped_column(String(128), unique=True)
    state: Mapped[str] = mapped_column(String(16))
    stage: Mapped[str] = mapped_column(String(16))
    progress: Mapped[float]
    message: Mapped[str]
    dataset: Mapped[str]
    learner: Mapped[str]
    model: Mapped[str] = mapped_column(String(63), index=True)
    version: Mapped[int]
    holdout: Mapped[float]
    split: Mapped[str] = mapped_column(String(16))
    features: Mapped[str]
    params: Mapped[dict[str, float]] = mapped_column(JSON)
    seed: Mapped[int]
    impostors: Mapped[float] = mapped_column(default=0.0)
    curve: Mapped[list[dict[str, Any]]] = mapped_column(JSON)
    error_reason: Mapped[str] = mapped_column(default="")
    error_field: Mapped[str] = mapped_column(default="")
    error_message: Mapped[str] = mapped_column(default="")
    created_at: Mapped[datetime]
    started_at: Mapped[datetime | None] = mapped_column(default=None)
    expected_at: Mapped[datetime | None] = mapped_column(default=None)
    finished_at: Mapped[datetime | None] = mapped_column(default=None)


class Model(Base):
    """One version of a model."""

    __tablename__ = "models"

    number: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(63))
    version: Mapped[int]
    learner: Mapped[str]
    features: Mapped[str]
    features_version: Mapped[int]
    release_times: Mapped[bool]
    phrase: Mapped[str]
    users: Mapped[list[str]] = mapped_column(JSON)
    dataset: Mapped[str]
    fingerprint: Mapped[str] = mapped_column(String(64))
    holdout: Mapped[float]
    split: Mapped[str] = mapped_column(String(16))
    params: Mapped[dict[str, float]] = mapped_column(JSON)
    seed: Mapped[int]
    impostors: Mapped[float]
    temperature: Mapped[float]
    thresholds: Mapped[dict[str, Any]] = mapped_column(JSON)
    training_attempts: Mapped[int]
    fit_seconds: Mapped[float]
    near_ties: Mapped[int]
    size_kib: Mapped[int]
    files: Mapped[list[dict[str, Any]]] = mapped_column(JSON)
    digest: Mapped[str] = mapped_column(String(64))
    libraries: Mapped[dict[str, str]] = mapped_column(JSON)
    evaluation: Mapped[dict[str, Any]] = mapped_column(JSON)
    curve: Mapped[list[dict[str, Any]]] = mapped_column(JSON)
    created_at: Mapped[datetime]

    @property
    def reference(self) -> str:
        """name@version"""
        return f"{self.name}@{self.version}"


class Alias(Base):
    """A second name of one version."""

    __tablename__ = "aliases"

    name: Mapped[str] = mapped_column(String(63), primary_key=True)
    alias: Mapped[str] = mapped_column(String(63), primary_key=True)
    version: Mapped[int]


class AliasMove(Base):
    """An alias, pointed at a version; at 0 when it went with the version that it pointed at."""

    __tablename__ = "alias_moves"

    number: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(63), index=True)
    alias: Mapped[str] = mapped_column(String(63))
    version: Mapped[int]
    moved_at: Mapped[datetime]


class Measured(Base):
    """How one model did on one hold-out, each known by a digest of its content.

    `correct` has a bit for each attempt of the hold-out, in dataset order: those identified rightly.
    """

    __tablename__ = "evaluations"

    model_digest: Mapped[str] = mapped_column(String(64), primary_key=True)
    holdout_digest: Mapped[str] = mapped_column(String(64), primary_key=True)
    evaluation: Mapped[dict[str, Any]] = mapped_column(JSON)
    correct: Mapped[bytes] = mapped_column(LargeBinary)
