"""What the transactions of the catalogue are made of."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import delete, insert, select, update
from sqlalchemy.orm import Session, selectinload
from sqlalchemy.sql.base import ExecutableOption
from sqlalchemy.sql.dml import ReturningUpdate

from keyprint.errors import KeyprintError, NotFound
from services.ingest import totals
from services.ingest.tables import UNDER_WAY, Dataset, DocumentRow, Link, Source, now


def load(session: Session, dataset: str) -> Dataset:
    """A dataset with its documents.

    Raises:
        NotFound: there is none of that id.
    """
    return look(session, dataset, selectinload(Dataset.documents))


def look(session: Session, dataset: str, *options: ExecutableOption) -> Dataset:
    """A dataset without its documents, or with what `options` load.

    Raises:
        NotFound: there is none of that id.
    """
    query = select(Dataset).where(Dataset.id == dataset).options(*options)
    found = session.scalars(query.execution_options(populate_existing=True)).one_or_none()
    if found is None:
        raise no_dataset(dataset)
    return found


def no_dataset(dataset: str) -> NotFound:
    """There is no dataset of that id."""
    return NotFound("DATASET_NOT_FOUND", f"There is no dataset {dataset!r}.", "dataset")


def drop_documents(session: Session, dataset: Dataset, kept: int) -> None:
    """Leaves a dataset the first `kept` of its documents."""
    beyond = DocumentRow.dataset_number == dataset.number, DocumentRow.number >= kept
    if session.execute(delete(DocumentRow).where(*beyond).returning(DocumentRow.number)).first():
        count_again(session, dataset)


def add_links(session: Session, dataset: int, links: Sequence[Link]) -> None:
    """Notes what the source of the dataset of this number lists."""
    if links:
        session.execute(insert(Source), [{"dataset_number": dataset, **link._asdict()} for link in links])


def ended(dataset: str, state: str, error: KeyprintError | None) -> ReturningUpdate[str]:
    """Turns a dataset that is under way to `state`, and gives its id if it was."""
    return (
        update(Dataset)
        .where(Dataset.id == dataset, Dataset.state.in_(UNDER_WAY))
        .values(
            state=state,
            current_document="",
            finished_at=now(),
            error_reason=error.reason if error else "",
            error_field=error.field if error else "",
            error_message=error.message if error else "",
        )
        .returning(Dataset.id)
        .execution_options(synchronize_session=False)
    )


def empty(session: Session, dataset: Dataset) -> None:
    """Leaves a dataset nothing but its own row."""
    for table in (DocumentRow, Source):
        session.execute(delete(table).where(table.dataset_number == dataset.number))
    totals.clear(locked(session, dataset.number))


def count_again(session: Session, dataset: Dataset) -> None:
    """Makes a dataset's totals what its documents come to."""
    found = locked(session, dataset.number)
    totals.clear(found)
    rows = select(DocumentRow).where(DocumentRow.dataset_number == dataset.number).order_by(DocumentRow.number)
    totals.add(found, session.scalars(rows.execution_options(populate_existing=True)).all())


def locked(session: Session, number: int) -> Dataset:
    """The row of a dataset, which nobody else changes until the transaction ends."""
    query = select(Dataset).where(Dataset.number == number).with_for_update()
    return session.scalars(query.execution_options(populate_existing=True)).one()
