"""The models that there are, their aliases, and how they did."""

from __future__ import annotations

from sqlalchemy import Select, delete, inspect, select, update
from sqlalchemy.orm import Session, joinedload

from keyprint.errors import NotFound
from keyprint.names import Reference, parse_reference
from services.training.reserve import hold, reserve
from services.training.tables import Alias, AliasMove, Details, Measured, Model, Name, Sessions, now, upsert


class Models:
    """Every read and write of them; safe to share between threads."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions

    def get(self, reference: str) -> Model:
        """The model that a reference names, with its details.

        Raises:
            InvalidArgument: it is no reference.
            NotFound: there is none.
        """
        wanted = parse_reference(reference, "model")
        with self._sessions.begin() as session:
            found = session.scalars(_named(session, wanted)).first()
        if found is None:
            raise _no(reference)
        return found

    def page(self, before: int | None, size: int) -> list[Model]:
        """Up to `size` models, newest first, those numbered below `before`, without their details."""
        query = select(Model).order_by(Model.number.desc()).limit(size)
        if before is not None:
            query = query.where(Model.number < before)
        with self._sessions.begin() as session:
            return list(session.scalars(query))

    def all(self) -> list[Model]:
        """All models, newest first, without their details."""
        with self._sessions.begin() as session:
            return list(session.scalars(select(Model).order_by(Model.number.desc())))

    def users(self, model: Model) -> tuple[str, ...]:
        """The labels of a model that was read without its details, in the order of its outputs.

        Raises:
            NotFound: it was just deleted.
        """
        with self._sessions.begin() as session:
            found = session.scalars(select(Details.users).where(Details.number == model.number)).one_or_none()
        if found is None:
            raise _no(model.reference)
        return found

    def aliases(self) -> dict[str, list[str]]:
        """Model reference to the aliases that point at it, in order."""
        found: dict[str, list[str]] = {}
        with self._sessions.begin() as session:
            for one in session.scalars(select(Alias).order_by(Alias.alias)):
                found.setdefault(f"{one.name}@{one.version}", []).append(one.alias)
        return found

    def set_alias(self, reference: str, alias: str) -> Model:
        """Points an alias at the model that a reference names; gives that with its details.

        Raises:
            InvalidArgument: it is no reference.
            NotFound: there is none.
        """
        wanted = parse_reference(reference, "model")
        with self._sessions.begin() as session:
            # What deletes models locks the name's row as well, so the model is there until this is written.
            _lock(session, wanted.name)
            model = session.scalars(_named(session, wanted)).first()
            if model is None:
                raise _no(reference)
            before = session.get(Alias, (model.name, alias))
            if before is None or before.version != model.version:
                session.merge(Alias(name=model.name, alias=alias, version=model.version))
                session.add(_move(model.name, alias, model.version))
        return model

    def alias_moves(self, name: str, before: int | None, size: int) -> list[AliasMove]:
        """Up to `size` moves of a name's aliases, newest first, those numbered below `before`."""
        query = select(AliasMove).where(AliasMove.name == name).order_by(AliasMove.number.desc()).limit(size)
        if before is not None:
            query = query.where(AliasMove.number < before)
        with self._sessions.begin() as session:
            return list(session.scalars(query))

    def reserve(self, name: str, new_version: bool) -> int:
        """The next version of a name, for a model that no job makes.

        Raises:
            AlreadyExists: the name is taken, and no new version was asked for.
        """
        with self._sessions.begin() as session:
            return reserve(session, name, new_version)

    def add(self, model: Model, new_version: bool) -> None:
        """Adds a model of a version that was reserved.

        Raises:
            AlreadyExists: somebody took the name since, and no new version was asked for.
        """
        with self._sessions.begin() as session:
            if not new_version:
                hold(session, model.name, model.version)
            session.add(model)

    def delete(self, reference: str) -> list[Model]:
        """Deletes the model that a reference names, all versions of a bare name, with their aliases; gives what went.

        Raises:
            InvalidArgument: it is no reference.
            NotFound: there is none.
        """
        wanted = parse_reference(reference, "model")
        bare = wanted.version is None and wanted.alias is None
        with self._sessions.begin() as session:
            _lock(session, wanted.name)
            query = select(Model).where(Model.name == wanted.name) if bare else _named(session, wanted)
            going = list(session.scalars(query))
            for model in going:
                for alias in session.scalars(
                    select(Alias).where(Alias.name == model.name, Alias.version == model.version)
                ):
                    session.add(_move(alias.name, alias.alias, 0))
                    session.delete(alias)
                session.delete(model)
            # Nobody measures them from here on.
            session.flush()
            digests = [model.digest for model in going]
            session.execute(delete(Measured).where(Measured.model_digest.in_(digests)))
        if not going:
            raise _no(reference)
        return going

    def measured(self, model_digest: str, holdout_digest: str) -> Measured | None:
        """How a model did on a hold-out, if that was measured before."""
        with self._sessions.begin() as session:
            return session.get(Measured, (model_digest, holdout_digest))

    def keep_measured(self, measured: Measured) -> None:
        """Keeps how a model did on a hold-out, if the model is there; of two callers, who find the same, the first."""
        row = {column.key: getattr(measured, column.key) for column in inspect(Measured).column_attrs}
        # A write locks the model, in every database: it is not deleted before this is written.
        here = update(Model).where(Model.digest == measured.model_digest).values(digest=Model.digest)
        with self._sessions.begin() as session:
            if session.scalars(here.returning(Model.number)).all():
                session.execute(upsert(session, Measured).values(row).on_conflict_do_nothing())


def _lock(session: Session, name: str) -> None:
    """Has whoever else changes a name's models and aliases wait for the end of this transaction."""
    session.execute(update(Name).where(Name.name == name).values(last_version=Name.last_version))


def _no(reference: str) -> NotFound:
    return NotFound("MODEL_NOT_FOUND", f"There is no model {reference!r}.", "model")


def _move(name: str, alias: str, version: int) -> AliasMove:
    return AliasMove(name=name, alias=alias, version=version, moved_at=now())


def _named(session: Session, wanted: Reference) -> Select[Model]:
    query = select(Model).where(Model.name == wanted.name).order_by(Model.version.desc()).limit(1)
    query = query.options(joinedload(Model.details))
    version = wanted.version
    if wanted.alias is not None:
        alias = session.get(Alias, (wanted.name, wanted.alias))
        # No version is 0.
        version = alias.version if alias else 0
    return query if version is None else query.where(Model.version == version)
