"""The one model that a Bento holds, in the place of those that training has."""

from __future__ import annotations

from keyprint.errors import FailedPrecondition, NotFound
from keyprint.names import parse_reference
from services.inference.engine import Engine, Listed


class OneModel:
    """An engine under its name, and under its name with its version."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        name, _, version = engine.reference.partition("@")
        self._name, self._version = name, int(version)

    def get(self, reference: str) -> Engine:
        """The engine.

        Raises:
            InvalidArgument: it is no reference.
            NotFound: it is another model's; aliases stay with training, where they move.
        """
        parse_reference(reference, "model")
        if reference not in (self._name, self._engine.reference):
            raise NotFound(
                "MODEL_NOT_FOUND",
                f"There is no model {reference!r} here; this Bento holds {self._engine.reference} alone.",
                "model",
            )
        return self._engine

    def index(self) -> list[Listed]:
        """It alone, which is in memory."""
        return [Listed(self._name, self._version, loaded=True)]

    def unload(self, reference: str) -> None:
        """Refuses.

        Raises:
            InvalidArgument: it is no reference.
            NotFound: it is another model's.
            FailedPrecondition: it is this one's.
        """
        held = self.get(reference).reference
        raise FailedPrecondition("MODEL_FIXED", f"{held} stays in memory as long as its Bento is served.", "model")
