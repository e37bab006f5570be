"""The datasets that there are and the documents that each was made of."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from secrets import token_hex

from sqlalchemy import JSON, ForeignKey, String, UniqueConstraint, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, relationship, selectinload

from keyprint.database import open_database
from keyprint.errors import KeyprintError, NotFound

IMPORTING, READY, INCOMPLETE = "IMPORTING", "READY", "INCOMPLETE"
CANCELLING, CANCELLED, FAILED = "CANCELLING", "CANCELLED", "FAILED"
UNDER_WAY = (IMPORTING, CANCELLING)
READABLE = (READY, INCOMPLETE)


def now() -> datetime:
    """The time, UTC, without a zone, as the catalogue stores it."""
    return datetime.now(UTC).replace(tzinfo=None)


class Base(DeclarativeBase):
    """The catalogue's tables; `migrations` makes them."""


class Dataset(Base):
    """What one source held.  `url` may hold credentials and is shown to nobody; `source_url` holds none."""

    __tablename__ = "datasets"
    __table_args__ = (UniqueConstraint("url", "phrase", "min_attempts"),)

    number: Mapped[int] = mapped_column(primary_key=True)
    id: Mapped[str] = mapped_column(String(32), unique=True)
    url: Mapped[str]
    source_url: Mapped[str]
    phrase: Mapped[str]
    min_attempts: Mapped[int]
    state: Mapped[str] = mapped_column(String(16))
    runs: Mapped[int] = mapped_column(default=1)
    fingerprint: Mapped[str] = mapped_column(String(64), default="")
    error_reason: Mapped[str] = mapped_column(default="")
    error_field: Mapped[str] = mapped_column(default="")
    error_message: Mapped[str] = mapped_column(default="")
    created_at: Mapped[datetime]
    finished_at: Mapped[datetime | None] = mapped_column(default=None)
    documents: Mapped[list[Document]] = relationship(
        order_by="Document.number", cascade="all, delete-orphan", passive_deletes=True
    )


class Document(Base):
    """One document of a dataset and what was found in it: one Parquet part."""

    __tablename__ = "documents"

    dataset_number: Mapped[int] = mapped_column(ForeignKey("datasets.number", ondelete="CASCADE"), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    url: Mapped[str]
    next_url: Mapped[str | None]
    user: Mapped[str | None]
    digest: Mapped[str] = mapped_column(String(64))
    downloaded_bytes: Mapped[int]
    attempts: Mapped[int]
    keystrokes: Mapped[int]
    valid_attempts: Mapped[int]
    released_attempts: Mapped[int]
    invalid: Mapped[dict[str, int]] = mapped_column(JSON)
    warnings: Mapped[dict[str, int]] = mapped_column(JSON)
    duplicate_attempts: Mapped[int] = mapped_column(default=0)
    enrolled: Mapped[bool] = mapped_column(default=False)


class Catalogue:
    """Every read and write of the tables; safe to share between threads."""

    def __init__(self, url: str) -> None:
        """Opens the database at the SQLAlchemy `url` and brings its tables up to date."""
        self._engine = open_database(url, Path(__file__).parent / "migrations")

    def close(self) -> None:
        """Lets go of the database."""
        self._engine.dispose()

    @contextmanager
    def _session(self) -> Iterator[Session]:
        with Session(self._engine, expire_on_commit=False) as session, session.begin():
            yield session

    def open_import(self, url: str, source_url: str, phrase: str, min_attempts: int) -> tuple[Dataset, bool]:
        """The dataset of this source, made if there is none, and whether an import of it has to be started.

        Two callers at once get the same dataset, and one of them is told to start.
        """
        try:
            with self._session() as session:
                made = Dataset(
                    id=f"ds_{token_hex(6)}",
                    url=url,
                    source_url=source_url,
                    phrase=phrase,
                    min_attempts=min_attempts,
                    state=IMPORTING,
                    created_at=now(),
                )
                session.add(made)
            return self.get(made.id), True
        except IntegrityError:
            pass
        with self._session() as session:
            same = (Dataset.url == url, Dataset.phrase == phrase, Dataset.min_attempts == min_attempts)
            found = session.scalars(select(Dataset.id).where(*same)).one()
            restarted = session.execute(
                update(Dataset)
                .where(Dataset.id == found, Dataset.state.in_((INCOMPLETE, CANCELLED, FAILED)))
                .values(
                    state=IMPORTING,
                    runs=Dataset.runs + 1,
                    finished_at=None,
                    error_reason="",
                    error_field="",
                    error_message="",
                )
                .returning(Dataset.id)
            ).all()
        return self.get(found), bool(restarted)

    def get(self, dataset: str) -> Dataset:
        """A dataset with its documents.

        Raises:
            NotFound: there is none of that id.
        """
        with self._session() as session:
            query = select(Dataset).where(Dataset.id == dataset).options(selectinload(Dataset.documents))
            found = session.scalars(query).one_or_none()
        if found is None:
            raise NotFound("DATASET_NOT_FOUND", f"There is no dataset {dataset!r}.", "dataset")
        return found

    def state(self, dataset: str) -> str:
        """The state alone of a dataset that there is."""
        with self._session() as session:
            return session.scalars(select(Dataset.state).where(Dataset.id == dataset)).one()

    def page(self, before: int | None, size: int) -> list[Dataset]:
        """Up to `size` datasets with their documents, newest first, those numbered below `before`."""
        query = select(Dataset).order_by(Dataset.number.desc()).limit(size).options(selectinload(Dataset.documents))
        if before is not None:
            query = query.where(Dataset.number < before)
        with self._session() as session:
            return list(session.scalars(query))

    def under_way(self) -> list[Dataset]:
        """The datasets whose import has not ended, without their documents."""
        with self._session() as session:
            return list(session.scalars(select(Dataset).where(Dataset.state.in_(UNDER_WAY))))

    def add_document(self, document: Document) -> None:
        """Adds a document whose part is on disk."""
        with self._session() as session:
            session.add(document)

    def mark(self, dataset: Dataset, duplicates: list[int], enrolled: list[bool]) -> None:
        """Notes of each document, in order, how many duplicates it holds and whether its user is enrolled."""
        with self._session() as session:
            for document, count, in_it in zip(dataset.documents, duplicates, enrolled, strict=True):
                session.execute(
                    update(Document)
                    .where(Document.dataset_number == dataset.number, Document.number == document.number)
                    .values(duplicate_attempts=count, enrolled=in_it)
                )

    def ask_to_cancel(self, dataset: str) -> None:
        """Turns an import that is under way to CANCELLING; any other stays as it is."""
        with self._session() as session:
            session.execute(
                update(Dataset).where(Dataset.id == dataset, Dataset.state == IMPORTING).values(state=CANCELLING)
            )

    def end(self, dataset: str, state: str, fingerprint: str, error: KeyprintError | None) -> None:
        """Ends an import."""
        with self._session() as session:
            session.execute(
                update(Dataset)
                .where(Dataset.id == dataset)
                .values(
                    state=state,
                    fingerprint=fingerprint,
                    finished_at=now(),
                    error_reason=error.reason if error else "",
                    error_field=error.field if error else "",
                    error_message=error.message if error else "",
                )
            )

    def forget_documents(self, dataset: Dataset) -> None:
        """Takes back every document of a dataset."""
        with self._session() as session:
            for document in session.get_one(Dataset, dataset.number).documents:
                session.delete(document)

    def delete(self, dataset: str) -> None:
        """Deletes a dataset with its documents."""
        found = self.get(dataset)
        with self._session() as session:
            session.delete(session.get_one(Dataset, found.number))
