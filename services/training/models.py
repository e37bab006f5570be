"""The models that there are, their aliases, and how they did."""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import Select, delete, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from keyprint.errors import NotFound
from keyprint.names import Reference, parse_reference
from services.training.reserve import reserve
from services.training.tables import Alias, AliasMove, Measured, Model, Sessions, now


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
        try:
            with self._sessions.begin() as session:
                before = session.get(Alias, (model.name, alias), with_for_update=True)
                if before is None or before.version != model.version:
                    session.merge(Alias(name=model.name, alias=alias, version=model.version))
                    session.add(_move(model.name, alias, model.version))
        except IntegrityError:
            # Another caller made the same alias at once; this one moves it.
            return self.set_alias(reference, alias)
        return model

    def alias_moves(self, name: str, before: int | None, size: int) -> list[AliasMove]:
        """Up to `size` moves of a name's aliases, newest first, those numbered below `before`."""
        query = select(AliasMove).where(AliasMove.name == name).order_by(AliasMove.number.desc()).limit(size)
        if before is not None:
            query = query.where(AliasMove.number < before)
        with self._sessions.begin() as session:
            return list(session.scalars(query))

    def publish(self, name: str, new_version: bool, make: Callable[[int], Model]) -> Model:
        """Adds a model that no job made.

        Args:
            name: of the model.
            new_version: whether the name may exist.
            make: given the version, makes the row; what it leaves when this fails is swept at the next start.

        Raises:
            AlreadyExists: the name is taken, and no new version was asked for.
        """
        try:
            with self._sessions.begin() as session:
                model = make(reserve(session, name, new_version))
                session.add(model)
            return model
        except IntegrityError:
            # Another caller was the first to use the name.
            return self.publish(name, new_version, make)

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
                for alias in session.scalars(
                    select(Alias).where(Alias.name == model.name, Alias.version == model.version)
                ):
                    session.add(_move(alias.name, alias.alias, 0))
                    session.delete(alias)
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


def _move(name: str, alias: str, version: int) -> AliasMove:
    return AliasMove(name=name, alias=alias, version=version, moved_at=now())


def _named(session: Session, wanted: Reference) -> Select[Model]:
    query = select(Model).where(Model.name == wanted.name).order_by(Model.version.desc()).limit(1)
    version = wanted.version
    if wanted.alias is not None:
        alias = session.get(Alias, (wanted.name, wanted.alias))
        # No version is 0.
        version = alias.version if alias else 0
    return query if version is None else query.where(Model.version == version)
