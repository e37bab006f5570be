"""The catalogue's tables: datasets, the documents that each was made of, and those that a source lists."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import JSON, ForeignKey, String, UniqueConstraint
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

IMPORTING, READY, INCOMPLETE = "IMPORTING", "READY", "INCOMPLETE"
CANCELLING, CANCELLED, FAILED = "CANCELLING", "CANCELLED", "FAILED"
UNDER_WAY = (IMPORTING, CANCELLING)
READABLE = (READY, INCOMPLETE)


class Base(DeclarativeBase):
    """The catalogue's tables; `migrations` makes them."""


class Dataset(Base):
    """What one source held.  `url` may hold credentials and is shown to nobody; `source_url` holds none.

    A refresh makes the next `generation`; if that turned out to hold nothing new, `same_as` names the dataset that it
    stands for.  The first documents of a dataset may come from its `base`.  With `refresh`, servers are asked whether
    what the cache has of the source is still what they have.  `started_at` is when the work of this run began, however
    often it was taken up again since.
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
    documents: Mapped[list[DocumentRow]] = relationship(
        order_by="DocumentRow.number", cascade="all, delete-orphan", passive_deletes=True
    )

    @property
    def labelled(self) -> bool:
        """Whether its documents say who typed."""
        return bool(self.documents) and self.documents[0].user is not None

    @property
    def attempts(self) -> int:
        """Attempts, valid or not."""
        return sum(one.attempts for one in self.documents)

    @property
    def valid_attempts(self) -> int:
        """Attempts that read as the phrase."""
        return sum(one.valid_attempts for one in self.documents)

    @property
    def release_times(self) -> bool:
        """Whether most valid attempts have release times: a few lost ones do not make it one of presses only."""
        return 2 * sum(one.released_attempts for one in self.documents) > self.valid_attempts


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

    @property
    def usable_attempts(self) -> int:
        """Valid attempts that are no copies."""
        return self.valid_attempts - self.duplicate_attempts
