"""The models that there are, their aliases, and how they did."""

from __future__ import annotations

from sqlalchemy import Select, delete, select
from sqlalchemy.orm import Session

from keyprint.errors import NotFound
from keyprint.names import Reference, parse_reference
from services.training.tables import Alias, Measured, Model, Sessions


class Models:
    """Every read and write of them; safe to share between threads."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions

    def get(self, reference: str) -> Model:
        """The model that a reference names.

        Raises:
            InvalidArgument: it is no reference.
            NotFound: there is none.
        """
        wanted = parse_reference(reference, "model")
        with self._sessions.begin() as session:
            found = session.scalars(_named(session, wanted)).first()
        if found is None:
            raise NotFound("MODEL_NOT_FOUND", f"There is no model {reference!r}.", "model")
        return found

    def page(self, before: int | None, size: int) -> list[Model]:
        """Up to `size` models, newest first, those numbered below `before`."""
        query = select(Model).order_by(Model.number.desc()).limit(size)
        if before is not None:
            query = query.where(Model.number < before)
        with self._sessions.begin() as session:
            return list(session.scalars(query))

    def all(self) -> list[Model]:
        """All models, newest first."""
        with self._sessions.begin() as session:
            return list(session.scalars(select(Model).order_by(Model.number.desc())))

    def aliases(self) -> dict[str, list[str]]:
        """Model reference to the aliases that point at it, in order."""
        found: dict[str, list[str]] = {}
        with self._sessions.begin() as session:
            for one in session.scalars(select(Alias).order_by(Alias.alias)):
                found.setdefault(f"{one.name}@{one.version}", []).append(one.alias)
        return found

    def set_alias(self, reference: str, alias: str) -> Model:
        """Points an alias at the model that a reference names.

        Raises:
            InvalidArgument: it is no reference.
            NotFound: there is none.
        """
        model = self.get(reference)
        with self._sessions.begin() as session:
            session.merge(Alias(name=model.name, alias=alias, version=model.version))
        return model

    def delete(self, reference: str) -> list[Model]:
        """Deletes the model that a reference names, all versions of a bare name, with their aliases; gives what went.

        Raises:
            InvalidArgument: it is no reference.
            NotFound: there is none.
        """
        wanted = parse_reference(reference, "model")
        bare = wanted.version is None and wanted.alias is None
        with self._sessions.begin() as session:
            query = select(Model).where(Model.name == wanted.name) if bare else _named(session, wanted)
            going = list(session.scalars(query))
            for model in going:
                mine = (Alias.name == model.name, Alias.version == model.version)
                session.execute(delete(Alias).where(*mine))
                session.execute(delete(Measured).where(Measured.model_digest == model.digest))
                session.delete(model)
        if not going:
            raise NotFound("MODEL_NOT_FOUND", f"There is no model {reference!r}.", "model")
        return going

    def measured(self, model_digest: str, holdout_digest: str) -> Measured | None:
        """How a model did on a hold-out, if that was measured before."""
        with self._sessions.begin() as session:
            return session.get(Measured, (model_digest, holdout_digest))

    def keep_measured(self, measured: Measured) -> None:
        """Keeps how a model did on a hold-out."""
        with self._sessions.begin() as session:
            session.merge(measured)


def _named(session: Session, wanted: Reference) -> Select[Model]:
    query = select(Model).where(Model.name == wanted.name).order_by(Model.version.desc()).limit(1)
    version = wanted.version
    if wanted.alias is not None:
        alias = session.get(Alias, (wanted.name, wanted.alias))
        # No version is 0.
        version = alias.version if alias else 0
    return query if version is None else query.where(Model.version == version)
