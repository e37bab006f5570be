"""Versions of names, each given out once."""

from __future__ import annotations

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from keyprint.errors import AlreadyExists
from services.training.tables import UNDER_WAY, Job, Model, Name, upsert


def reserve(session: Session, name: str, new_version: bool) -> int:
    """The next version of a name, for whoever asks within this transaction.

    Raises:
        AlreadyExists: the name is taken, and no new version was asked for.
    """
    # This locks the name's row, so what follows is decided for one caller after the other.
    version = _next_version(session, name)
    if not new_version and _is_taken(session, name):
        raise taken(name)
    return version


def hold(session: Session, name: str, version: int) -> None:
    """Nothing, if nobody reserved the name since this version of it was; nobody can, as long as this transaction lasts.

    Raises:
        AlreadyExists: somebody did.
    """
    query = update(Name).where(Name.name == name, Name.last_version == version).values(last_version=version)
    if not session.scalars(query.returning(Name.name)).all():
        raise taken(name)


def taken(name: str) -> AlreadyExists:
    """What is wrong with a name that is there already."""
    return AlreadyExists(
        "MODEL_NAME_TAKEN",
        f"There is a model {name!r} already, or a job that makes one; choose another name, or ask for a new "
        "version of it.",
        "model",
    )


def _next_version(session: Session, name: str) -> int:
    first = upsert(session, Name).values(name=name, last_version=1)
    query = first.on_conflict_do_update(index_elements=[Name.name], set_={"last_version": Name.last_version + 1})
    return session.scalars(query.returning(Name.last_version)).one()


def _is_taken(session: Session, name: str) -> bool:
    # Jobs first: one that succeeds in between is no job any more, and not yet a model to somebody who asked for those.
    jobs = select(Job.number).where(Job.model == name, Job.state.in_(UNDER_WAY))
    models = select(Model.number).where(Model.name == name)
    return any(session.scalars(query.limit(1)).first() is not None for query in (jobs, models))
