"""Versions of names, each given out once."""

from __future__ import annotations

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from keyprint.errors import AlreadyExists
from services.training.tables import UNDER_WAY, Job, Model, Name


def reserve(session: Session, name: str, new_version: bool) -> int:
    """The next version of a name, for whoever asks within this transaction.

    Raises:
        AlreadyExists: the name is taken, and no new version was asked for.
        sqlalchemy.exc.IntegrityError: another caller was faster to use the name for the first time; ask again.
    """
    # The update locks the name's row, so what follows is decided for one caller after the other.
    version = _next_version(session, name)
    if not new_version and _is_taken(session, name):
        raise AlreadyExists(
            "MODEL_NAME_TAKEN",
            f"There is a model {name!r} already, or a job that makes one; choose another name, or ask for a new "
            "version of it.",
            "model",
        )
    return version


def _next_version(session: Session, name: str) -> int:
    query = update(Name).where(Name.name == name).values(last_version=Name.last_version + 1)
    version = session.scalars(query.returning(Name.last_version)).one_or_none()
    if version is None:
        version = 1
        session.add(Name(name=name, last_version=version))
        session.flush()
    return version


def _is_taken(session: Session, name: str) -> bool:
    models = select(Model.number).where(Model.name == name)
    jobs = select(Job.number).where(Job.model == name, Job.state.in_(UNDER_WAY))
    return any(session.scalars(query.limit(1)).first() is not None for query in (models, jobs))
