"""The catalogue's tables: datasets, the documents that each was made of, and those that a source lists."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import NamedTuple

from sqlalchemy import JSON, BigInteger, ForeignKey, String, UniqueConstraint
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

IMPORTING, READY, INCOMPLETE = "IMPORTING", "READY", "INCOMPLETE"
CANCELLING, CANCELLED, FAILED = "CANCELLING", "CANCELLED", "FAILED"
UNDER_WAY = (IMPORTING, CANCELLING)
READABLE = (READY, INCOMPLETE)


def now() -> datetime:
    """The time, UTC, without a zone, as the catalogue stores it."""
    return datetime.now(UTC).replace(tzinfo=None)


class Link(NamedTuple):
    """A document-to-be of a dataset: its number, its URL, and what its sender calls it; empty where nobody did."""

    number: int
    url: str
    name: str = ""


class Base(DeclarativeBase):
    """The catalogue's tables; `migrations` makes them."""


class Dataset(Base):
    """What one source held.  `url` may hold credentials and is shown to nobody; `source_url` holds none.

    A refresh makes the next `generation`; if that turned out to hold nothing new, `same_as` names the dataset that it
    stands for.  The first documents of a dataset may come from its `base`.  With `refresh`, servers are asked whether
    what the cache has of the source is still what they have.  `started_at` is when the work of this run began, however
    often it was taken up again since.  What its documents come to changes in the transaction that changes them, so that
    nobody has to read them all to show a dataset.
    """

    __tablename__ = "datasets"
    __table_args__ = (UniqueConstraint("url", "phrase", "min_attempts", "generation"),)

    number: Mapped[int] = mapped_column(primary_key=True)
    id: Mapped[str] = mapped_column(String(32), unique=True)
    url: Mapped[str]
    source_url: Mapped[str]
    phrase: Mapped[str]
    min_attempts: Mapped[int]
    generation: Mapped[int] = mapped_column(default=0)
    same_as: Mapped[str | None] = mapped_column(String(32), default=None)
    base: Mapped[str | None] = mapped_column(String(32), default=None)
    refresh: Mapped[bool] = mapped_column(default=False)
    current_document: Mapped[str] = mapped_column(default="")
    state: Mapped[str] = mapped_column(String(16))
    runs: Mapped[int] = mapped_column(default=1)
    fingerprint: Mapped[str] = mapped_column(String(64), default="")
    error_reason: Mapped[str] = mapped_column(default="")
    error_field: Mapped[str] = mapped_column(default="")
    error_message: Mapped[str] = mapped_column(default="")
    created_at: Mapped[datetime]
    started_at: Mapped[datetime | None] = mapped_column(default=None)
    finished_at: Mapped[datetime | None] = mapped_column(default=None)
    document_count: Mapped[int] = mapped_column(default=0)
    attempts: Mapped[int] = mapped_column(default=0)
    keystrokes: Mapped[int] = mapped_column(BigInteger, default=0)
    valid_attempts: Mapped[int] = mapped_column(default=0)
    released_attempts: Mapped[int] = mapped_column(default=0)
    duplicate_attempts: Mapped[int] = mapped_column(default=0)
    downloaded_bytes: Mapped[int] = mapped_column(BigInteger, default=0)
    invalid: Mapped[dict[str, int]] = mapped_column(JSON, default=dict)
    warnings: Mapped[dict[str, int]] = mapped_column(JSON, default=dict)
    labelled: Mapped[bool] = mapped_column(default=False)
    enrolled_users: Mapped[int] = mapped_column(default=0)
    fewest_trainable: Mapped[int] = mapped_column(default=0)
    most_trainable: Mapped[int] = mapped_column(default=0)
    documents: Mapped[list[DocumentRow]] = relationship(
        order_by="DocumentRow.number", cascade="all, delete-orphan", passive_deletes=True
    )

    @property
    def release_times(self) -> bool:
        """Whether most valid attempts have release times: a few lost ones do not make it one of presses only."""
        return 2 * self.released_attempts > self.valid_attempts


class Source(Base):
    """The URL of a document-to-be, where these are listed and not chained, and what its sender calls it."""

    __tablename__ = "sources"

    dataset_number: Mapped[int] = mapped_column(ForeignKey("datasets.number", ondelete="CASCADE"), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    url: Mapped[str]
    name: Mapped[str] = mapped_column(default="")


class DocumentRow(Base):
    """One document of a dataset and what was found in it.  Its Parquet part is named by the first document in there.

    `next` is what the document says itself, and is meant relative to `final_url`, where it really came from.  It has
    `size` bytes, of which `downloaded_bytes` had to be received for this dataset: none if the cache had it.
    """

    __tablename__ = "documents"

    dataset_number: Mapped[int] = mapped_column(ForeignKey("datasets.number", ondelete="CASCADE"), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    part: Mapped[int]
    url: Mapped[str]
    final_url: Mapped[str]
    next: Mapped[str | None]
    user: Mapped[str | None]
    digest: Mapped[str] = mapped_column(String(64))
    size: Mapped[int]
    downloaded_bytes: Mapped[int]
    attempts: Mapped[int]
    keystrokes: Mapped[int]
    valid_attempts: Mapped[int]
    released_attempts: Mapped[int]
    invalid: Mapped[dict[str, int]] = mapped_column(JSON)
    warnings: Mapped[dict[str, int]] = mapped_column(JSON)
    duplicate_attempts: Mapped[int] = mapped_column(default=0)
    enrolled: Mapped[bool] = mapped_column(default=False)
