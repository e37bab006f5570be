"""The datasets that there are and the documents that each was made of."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from secrets import token_hex

from sqlalchemy import JSON, ForeignKey, String, UniqueConstraint, delete, func, select, update
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
    """What one source held.  `url` may hold credentials and is shown to nobody; `source_url` holds none.

    A refresh makes the next `generation`; if that turned out to hold nothing new, `same_as` names the dataset that it
    stands for.  The first documents of a dataset may come from its `base`.
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
    current_document: Mapped[str] = mapped_column(default="")
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


class Source(Base):
    """The URL of a document-to-be, where these are listed and not chained."""

    __tablename__ = "sources"

    dataset_number: Mapped[int] = mapped_column(ForeignKey("datasets.number", ondelete="CASCADE"), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    url: Mapped[str]


class Document(Base):
    """One document of a dataset and what was found in it.  Its Parquet part is named by the first document in there."""

    __tablename__ = "documents"

    dataset_number: Mapped[int] = mapped_column(ForeignKey("datasets.number", ondelete="CASCADE"), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    part: Mapped[int]
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

    def open_import(
        self,
        url: str,
        source_url: str,
        phrase: str,
        min_attempts: int,
        refresh: bool = False,
        base: str | None = None,
        sources: Sequence[str] = (),
        first: int = 0,
    ) -> tuple[Dataset, bool]:
        """The dataset of this source, made if there is none, and whether an import of it has to be started.

        Two callers at once get the same dataset, and one of them is told to start.

        Args:
            url: names the source, together with phrase and min_attempts.
            source_url: the same as it may be shown.
            phrase: what everybody typed.
            min_attempts: valid attempts that a user needs to be enrolled.
            refresh: make a new dataset where there is one that is not being imported.
            base: a dataset whose first `first` documents come first.
            sources: URLs of the documents, where these are known already.
            first: number of the first of these documents.
        """
        with self._session() as session:
            same = (Dataset.url == url, Dataset.phrase == phrase, Dataset.min_attempts == min_attempts)
            newest = (
                select(Dataset).where(*same, Dataset.same_as.is_(None)).order_by(Dataset.generation.desc()).limit(1)
            )
            found = session.scalars(newest).first()
            if found and not (refresh and found.state not in UNDER_WAY):
                return self._restarted(found.id)
            last = session.scalars(select(func.max(Dataset.generation)).where(*same)).one()
        made = Dataset(
            id=f"ds_{token_hex(6)}",
            url=url,
            source_url=source_url,
            phrase=phrase,
            min_attempts=min_attempts,
            generation=0 if last is None else last + 1,
            base=base,
            state=IMPORTING,
            created_at=now(),
        )
        try:
            with self._session() as session:
                session.add(made)
                session.flush()
                self._add_sources(session, made.number, sources, first)
            return self.get(made.id), True
        except IntegrityError:
            # Another caller was faster, and is importing it now.
            return self.open_import(url, source_url, phrase, min_attempts, False, base, sources, first)

    def _restarted(self, dataset: str) -> tuple[Dataset, bool]:
        with self._session() as session:
            restarted = session.execute(
                update(Dataset)
                .where(Dataset.id == dataset, Dataset.state.in_((INCOMPLETE, CANCELLED, FAILED)))
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
        return self.get(dataset), bool(restarted)

    def sources(self, dataset: Dataset) -> list[Source]:
        """The documents-to-be of a dataset whose source lists them; none of one whose source is a chain."""
        query = select(Source).where(Source.dataset_number == dataset.number).order_by(Source.number)
        with self._session() as session:
            return list(session.scalars(query))

    def add_sources(self, dataset: Dataset, urls: Sequence[str]) -> None:
        """Notes what a source turned out to list."""
        with self._session() as session:
            self._add_sources(session, dataset.number, urls, 0)

    @staticmethod
    def _add_sources(session: Session, dataset: int, urls: Sequence[str], first: int) -> None:
        for number, url in enumerate(urls, first):
            session.add(Source(dataset_number=dataset, number=number, url=url))

    def get(self, dataset: str) -> Dataset:
        """A dataset with its documents.

        Raises:
            NotFound: there is none of that id.
        """
        with self._session() as session:
            query = select(Dataset).where(Dataset.id == dataset).options(selectinload(Dataset.documents))
            found = session.scalars(query).one_or_none()
        if found is not None and found.same_as:
            return self.get(found.same_as)
        if found is None:
            raise NotFound("DATASET_NOT_FOUND", f"There is no dataset {dataset!r}.", "dataset")
        return found

    def page(self, before: int | None, size: int) -> list[Dataset]:
        """Up to `size` datasets with their documents, newest first, those numbered below `before`."""
        query = select(Dataset).where(Dataset.same_as.is_(None)).order_by(Dataset.number.desc()).limit(size)
        query = query.options(selectinload(Dataset.documents))
        if before is not None:
            query = query.where(Dataset.number < before)
        with self._session() as session:
            return list(session.scalars(query))

    def under_way(self) -> list[Dataset]:
        """The datasets whose import has not ended, without their documents."""
        with self._session() as session:
            return list(session.scalars(select(Dataset).where(Dataset.state.in_(UNDER_WAY))))

    def reading(self, dataset: str, shown: str) -> str:
        """Notes which document is being read, as it may be shown; gives the dataset's state."""
        query = update(Dataset).where(Dataset.id == dataset).values(current_document=shown).returning(Dataset.state)
        with self._session() as session:
            return session.scalars(query).one()

    def add_documents(self, documents: Sequence[Document]) -> None:
        """Adds documents whose part is on disk."""
        with self._session() as session:
            session.add_all(documents)

    def copy_documents(self, source: Dataset, target: Dataset, count: int) -> None:
        """Gives a dataset the first `count` documents of another, whose parts are on disk."""
        columns = [column.name for column in Document.__table__.columns if column.name != "dataset_number"]
        with self._session() as session:
            for document in source.documents[:count]:
                copied = {name: getattr(document, name) for name in columns}
                session.add(Document(**copied | {"dataset_number": target.number}))

    def previous(self, dataset: Dataset) -> Dataset | None:
        """The READY dataset that a refresh was to renew; None if there was none."""
        query = (
            select(Dataset)
            .where(
                Dataset.url == dataset.url,
                Dataset.phrase == dataset.phrase,
                Dataset.min_attempts == dataset.min_attempts,
                Dataset.generation < dataset.generation,
                Dataset.same_as.is_(None),
                Dataset.state == READY,
            )
            .order_by(Dataset.generation.desc())
        )
        with self._session() as session:
            return session.scalars(query.limit(1)).first()

    def stand_for(self, dataset: Dataset, same: Dataset) -> None:
        """Lets a dataset stand for another, which it turned out to repeat, with nothing left of its own."""
        self.forget_documents(dataset)
        ended = {"state": READY, "same_as": same.id, "finished_at": now(), "current_document": ""}
        with self._session() as session:
            session.execute(update(Dataset).where(Dataset.id == dataset.id).values(ended))

    def mark(self, dataset: Dataset, duplicates: list[int], enrolled: list[bool]) -> None:
        """Notes of each document, in order, how many duplicates it holds and whether its user is enrolled."""
        rows = [
            {
                "dataset_number": dataset.number,
                "number": document.number,
                "duplicate_attempts": count,
                "enrolled": in_it,
            }
            for document, count, in_it in zip(dataset.documents, duplicates, enrolled, strict=True)
        ]
        with self._session() as session:
            session.execute(update(Document), rows)

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
                    current_document="",
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

    def delete(self, dataset: Dataset) -> list[str]:
        """Deletes a dataset with its documents; gives the URLs that no other dataset was read from."""
        with self._session() as session:
            urls = {dataset.url}
            for table in (Document, Source):
                mine = select(table.url).where(table.dataset_number == dataset.number)
                urls.update(session.scalars(mine))
            session.execute(delete(Dataset).where(Dataset.same_as == dataset.id))
            session.delete(session.get_one(Dataset, dataset.number))
            session.flush()
            return [url for url in urls if not _is_used(session, url)]


def _is_used(session: Session, url: str) -> bool:
    queries = (select(table.url).where(table.url == url).limit(1) for table in (Dataset, Document, Source))
    return any(session.scalars(query).first() is not None for query in queries)
