"""The datasets that there are and the documents that each was made of."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from secrets import token_hex

from sqlalchemy import Select, delete, exists, func, insert, literal, or_, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session, aliased

from keyprint.database import open_database
from keyprint.errors import FailedPrecondition, KeyprintError
from services.ingest import rows, totals
from services.ingest.tables import (
    CANCELLED,
    CANCELLING,
    FAILED,
    IMPORTING,
    INCOMPLETE,
    READY,
    UNDER_WAY,
    Dataset,
    DocumentRow,
    Link,
    Source,
    now,
)


@dataclass(frozen=True)
class InUse:
    """What has files by right.

    Attributes:
        datasets: ids of those that may have attempts.
        sources: URLs that datasets were, or are being, imported from.
        importing: those of them that are being imported now.
    """

    datasets: set[str]
    sources: set[str]
    importing: set[str]


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

    # Imports

    def open_import(
        self,
        url: str,
        source_url: str,
        phrase: str,
        min_attempts: int,
        refresh: bool = False,
        base: str | None = None,
        links: Sequence[Link] = (),
    ) -> Dataset:
        """The dataset of this source, made if there is none; if it is IMPORTING, somebody has to work on it.

        Callers at once get the same dataset.  A READY one is preferred to what came of refreshing it.

        Args:
            url: names the source, together with phrase and min_attempts.
            source_url: the same as it may be shown.
            phrase: what everybody typed.
            min_attempts: valid attempts that a user needs to be enrolled.
            refresh: make a new dataset where there is one that is not being imported.
            base: a dataset whose documents come first.
            links: the documents after these, where they are known already.
        """
        same = (Dataset.url == url, Dataset.phrase == phrase, Dataset.min_attempts == min_attempts)
        newest = select(Dataset).where(*same, Dataset.same_as.is_(None)).order_by(Dataset.generation.desc()).limit(1)
        with self._session() as session:
            found = session.scalars(newest).first()
            if not refresh:
                found = session.scalars(newest.where(Dataset.state == READY)).first() or found
            # What failed has nothing that a new dataset could stand beside.
            if found and not (refresh and found.state not in (*UNDER_WAY, FAILED)):
                self._restart(session, found, refresh, base, links)
                return rows.look(session, found.id)
            last = session.scalars(select(func.max(Dataset.generation)).where(*same)).one()
        made = Dataset(
            id=f"ds_{token_hex(6)}",
            url=url,
            source_url=source_url,
            phrase=phrase,
            min_attempts=min_attempts,
            generation=0 if last is None else last + 1,
            base=base,
            refresh=refresh,
            state=IMPORTING,
            created_at=now(),
        )
        try:
            with self._session() as session:
                session.add(made)
                session.flush()
                rows.add_links(session, made.number, links)
            return self.look(made.id)
        except IntegrityError:
            # Another caller was faster, and is importing it now.
            return self.open_import(url, source_url, phrase, min_attempts, refresh, base, links)

    @staticmethod
    def _restart(session: Session, dataset: Dataset, refresh: bool, base: str | None, links: Sequence[Link]) -> None:
        """Turns a dataset that ended otherwise than READY to IMPORTING; any other stays as it is."""
        restarted = session.execute(
            update(Dataset)
            .where(Dataset.id == dataset.id, Dataset.state.in_((INCOMPLETE, CANCELLED, FAILED)))
            .values(
                state=IMPORTING,
                runs=Dataset.runs + 1,
                base=base,
                fingerprint="",
                # What was of no use may be mended by now.
                refresh=or_(Dataset.refresh, Dataset.state == FAILED, literal(refresh)),
                started_at=None,
                finished_at=None,
                error_reason="",
                error_field="",
                error_message="",
            )
            .returning(Dataset.id)
            .execution_options(synchronize_session=False)
        ).all()
        if restarted and links:
            session.execute(delete(Source).where(Source.dataset_number == dataset.number))
            rows.add_links(session, dataset.number, links)

    def begin(self, dataset: str) -> Dataset:
        """A dataset whose import begins or goes on; notes when its run began.

        Raises:
            NotFound: it was deleted.
        """
        first = Dataset.id == dataset, Dataset.started_at.is_(None), Dataset.state.in_(UNDER_WAY)
        with self._session() as session:
            session.execute(update(Dataset).where(*first).values(started_at=now()))
        return self.get(dataset)

    def links(self, dataset: Dataset) -> list[Link]:
        """The documents-to-be of a dataset whose source lists them; none of one whose source is a chain."""
        query = select(Source.number, Source.url, Source.name).where(Source.dataset_number == dataset.number)
        with self._session() as session:
            return [Link(*row) for row in session.execute(query.order_by(Source.number))]

    def replace_links(self, dataset: Dataset, links: Sequence[Link], kept: int = 0) -> None:
        """Notes what a source turned out to list; of what it listed before, the first `kept` documents stay."""
        with self._session() as session:
            rows.drop_documents(session, dataset, kept)
            session.execute(delete(Source).where(Source.dataset_number == dataset.number))
            rows.add_links(session, dataset.number, links)

    def turn_to(self, dataset: str, shown: str) -> str:
        """Notes to which document the import turns, as it may be shown; gives the dataset's state."""
        query = update(Dataset).where(Dataset.id == dataset).values(current_document=shown).returning(Dataset.state)
        with self._session() as session:
            return session.scalars(query).one()

    def add_documents(self, documents: Sequence[DocumentRow]) -> None:
        """Adds documents of one dataset whose part is on disk."""
        with self._session() as session:
            session.add_all(documents)
            totals.add(rows.locked(session, documents[0].dataset_number), documents)

    def drop_documents(self, dataset: Dataset, count: int) -> None:
        """Leaves a dataset the first `count` of its documents; their parts may still hold the others."""
        with self._session() as session:
            rows.drop_documents(session, dataset, count)

    def copy_documents(self, source: Dataset, target: Dataset, count: int) -> None:
        """Gives a dataset the first `count` documents of another, whose parts are on disk."""
        table = DocumentRow.__table__
        own = {"dataset_number": literal(target.number), "downloaded_bytes": literal(0)}
        columns = [own.get(column.name, column).label(column.name) for column in table.columns]
        some = select(*columns).where(DocumentRow.dataset_number == source.number, DocumentRow.number < count)
        with self._session() as session:
            session.execute(insert(DocumentRow).from_select([column.name for column in table.columns], some))
            rows.count_again(session, target)

    def mark(self, dataset: Dataset, duplicates: list[int], enrolled: list[bool]) -> None:
        """Notes of each document, in order, how many duplicates it holds and whether its user is enrolled."""
        marks = [
            {
                "dataset_number": dataset.number,
                "number": document.number,
                "duplicate_attempts": count,
                "enrolled": in_it,
            }
            for document, count, in_it in zip(dataset.documents, duplicates, enrolled, strict=True)
        ]
        with self._session() as session:
            session.execute(update(DocumentRow), marks)
            rows.count_again(session, dataset)

    def ask_to_cancel(self, dataset: str) -> None:
        """Turns an import that is under way to CANCELLING; any other stays as it is."""
        with self._session() as session:
            session.execute(
                update(Dataset).where(Dataset.id == dataset, Dataset.state == IMPORTING).values(state=CANCELLING)
            )

    def end(self, dataset: str, state: str, fingerprint: str = "", error: KeyprintError | None = None) -> None:
        """Ends an import that is under way."""
        with self._session() as session:
            session.execute(rows.ended(dataset, state, error).values(fingerprint=fingerprint))

    def fail(self, dataset: Dataset, error: KeyprintError) -> None:
        """Ends an import of which nothing is to stay but the reason."""
        with self._session() as session:
            if session.scalars(rows.ended(dataset.id, FAILED, error)).first():
                rows.empty(session, dataset)

    def stand_for(self, dataset: Dataset, same: Dataset) -> bool:
        """Lets a dataset stand for another, which it turned out to repeat, with nothing left of its own.

        False if that was deleted in the meantime.
        """
        other = aliased(Dataset)
        still_there = exists().where(other.id == same.id)
        query = rows.ended(dataset.id, READY, None).where(still_there).values(same_as=same.id)
        with self._session() as session:
            if session.scalars(query).first() is None:
                return False
            rows.empty(session, dataset)
        return True

    # Datasets

    def look(self, dataset: str) -> Dataset:
        """A dataset without its documents.

        Raises:
            NotFound: there is none of that id.
        """
        with self._session() as session:
            found = rows.look(session, dataset)
            return rows.look(session, found.same_as) if found.same_as else found

    def get(self, dataset: str) -> Dataset:
        """A dataset with its documents, which may be many.

        Raises:
            NotFound: there is none of that id.
        """
        with self._session() as session:
            found = rows.look(session, dataset)
            return rows.load(session, found.same_as or found.id)

    def users(self, dataset: str, first: int, size: int) -> list[DocumentRow]:
        """Up to `size` documents of a dataset that say who typed, in order, from number `first` on.

        Raises:
            NotFound: there is none of that id.
        """
        stands_for = select(func.coalesce(Dataset.same_as, Dataset.id)).where(Dataset.id == dataset)
        some = select(DocumentRow).join(Dataset, Dataset.number == DocumentRow.dataset_number)
        some = some.where(DocumentRow.user.is_not(None), DocumentRow.number >= first)
        with self._session() as session:
            found = session.scalars(stands_for).one_or_none()
            if found is None:
                raise rows.no_dataset(dataset)
            return list(session.scalars(some.where(Dataset.id == found).order_by(DocumentRow.number).limit(size)))

    def page(self, before: int | None, size: int) -> list[Dataset]:
        """Up to `size` datasets without their documents, newest first, those numbered below `before`."""
        query = select(Dataset).where(Dataset.same_as.is_(None)).order_by(Dataset.number.desc()).limit(size)
        if before is not None:
            query = query.where(Dataset.number < before)
        with self._session() as session:
            return list(session.scalars(query))

    def under_way(self) -> list[Dataset]:
        """The datasets whose import has not ended, without their documents."""
        with self._session() as session:
            return list(session.scalars(select(Dataset).where(Dataset.state.in_(UNDER_WAY))))

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

    def delete(self, dataset: str) -> Dataset:
        """Deletes a dataset with its documents and every id that stands for it; gives what it was.

        Raises:
            NotFound: there is none of that id.
            FailedPrecondition: it is being imported.
        """
        # Its id may be that of a refresh that found nothing new.
        found = self.look(dataset)
        ended = delete(Dataset).where(Dataset.id == found.id, Dataset.state.not_in(UNDER_WAY)).returning(Dataset.id)
        with self._session() as session:
            if session.scalars(ended).first():
                session.execute(delete(Dataset).where(Dataset.same_as == found.id))
                return found
        # Another caller may have been faster.
        self.look(found.id)
        raise FailedPrecondition(
            "DATASET_NOT_READY", "The dataset is still being imported; cancel that first.", "dataset"
        )

    # What others may rely on

    def is_known(self, url: str) -> bool:
        """Whether there is a dataset of the source at `url`."""
        return self._any(select(Dataset.id).where(Dataset.url == url))

    def is_importing(self, url: str) -> bool:
        """Whether the source at `url` is being imported."""
        return self._any(select(Dataset.id).where(Dataset.url == url, Dataset.state.in_(UNDER_WAY)))

    def _any(self, query: Select[str]) -> bool:
        with self._session() as session:
            return session.scalars(query.limit(1)).first() is not None

    def in_use(self) -> InUse:
        """What has files by right; all others were left by a crash."""
        with self._session() as session:
            found = session.execute(select(Dataset.id, Dataset.url, Dataset.state, Dataset.same_as)).all()
        return InUse(
            {dataset for dataset, _, state, same_as in found if state != FAILED and same_as is None},
            {url for _, url, _, _ in found},
            {url for _, url, state, _ in found if state in UNDER_WAY},
        )
