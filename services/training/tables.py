"""The service's tables, and the database that holds them; `migrations` makes them."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import JSON, Dialect, ForeignKey, LargeBinary, String, TypeDecorator
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, relationship, sessionmaker

from keyprint.database import open_database
from keyprint.package import File, Point, Thresholds
from keyprint.typed import convert, plain
from services.training.figures import Evaluation, Figures

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


class Typed(TypeDecorator[Any]):
    """JSON that is of one kind, a dataclass or a tuple of them."""

    impl = JSON
    cache_ok = True

    def __init__(self, kind: Any) -> None:
        super().__init__()
        self.kind = kind

    def process_bind_param(self, value: Any, dialect: Dialect) -> Any:
        """As JSON has it."""
        return plain(value, self.kind)

    def process_result_value(self, value: Any, dialect: Dialect) -> Any:
        """As it was."""
        return convert(value, self.kind)


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
    curve: Mapped[tuple[Point, ...]] = mapped_column(Typed(tuple[Point, ...]))
    error_reason: Mapped[str] = mapped_column(default="")
    error_field: Mapped[str] = mapped_column(default="")
    error_message: Mapped[str] = mapped_column(default="")
    created_at: Mapped[datetime]
    started_at: Mapped[datetime | None] = mapped_column(default=None)
    expected_at: Mapped[datetime | None] = mapped_column(default=None)
    finished_at: Mapped[datetime | None] = mapped_column(default=None)


class Model(Base):
    """One version of a model; what grows with its users lies in a row of `Details`, so that lists need not read it."""

    __tablename__ = "models"

    number: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(63))
    version: Mapped[int]
    learner: Mapped[str]
    features: Mapped[str]
    features_version: Mapped[int]
    release_times: Mapped[bool]
    phrase: Mapped[str]
    user_count: Mapped[int]
    dataset: Mapped[str]
    fingerprint: Mapped[str] = mapped_column(String(64))
    holdout: Mapped[float]
    split: Mapped[str] = mapped_column(String(16))
    params: Mapped[dict[str, float]] = mapped_column(JSON)
    seed: Mapped[int]
    impostors: Mapped[float]
    temperature: Mapped[float]
    thresholds: Mapped[Thresholds] = mapped_column(Typed(Thresholds))
    training_attempts: Mapped[int]
    fit_seconds: Mapped[float]
    near_ties: Mapped[int]
    size_kib: Mapped[int]
    files: Mapped[tuple[File, ...]] = mapped_column(Typed(tuple[File, ...]))
    digest: Mapped[str] = mapped_column(String(64))
    libraries: Mapped[dict[str, str]] = mapped_column(JSON)
    figures: Mapped[Figures] = mapped_column(Typed(Figures))
    created_at: Mapped[datetime]
    details: Mapped[Details] = relationship(cascade="all", passive_deletes=True, lazy="raise")

    @property
    def reference(self) -> str:
        """name@version"""
        return f"{self.name}@{self.version}"


class Details(Base):
    """What there is to tell of one model that grows with its users or its training."""

    __tablename__ = "model_details"

    number: Mapped[int] = mapped_column(ForeignKey("models.number", ondelete="CASCADE"), primary_key=True)
    users: Mapped[tuple[str, ...]] = mapped_column(Typed(tuple[str, ...]))
    evaluation: Mapped[Evaluation] = mapped_column(Typed(Evaluation))
    curve: Mapped[tuple[Point, ...]] = mapped_column(Typed(tuple[Point, ...]))


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

    `correct` has a bit for each attempt of the hold-out, in dataset order: those identified rightly.  It saw
    `seen_attempts` of them in training.
    """

    __tablename__ = "evaluations"

    model_digest: Mapped[str] = mapped_column(String(64), primary_key=True)
    holdout_digest: Mapped[str] = mapped_column(String(64), primary_key=True)
    figures: Mapped[Figures] = mapped_column(Typed(Figures))
    correct: Mapped[bytes] = mapped_column(LargeBinary)
    seen_attempts: Mapped[int]
