"""Models that go."""

from __future__ import annotations

from services.training.models import Models
from services.training.store import Store


def delete(models: Models, store: Store, reference: str) -> None:
    """Deletes what a reference names, all versions of a bare name, from the tables and from the store.

    Raises:
        InvalidArgument: it is no reference.
        NotFound: there is no such model.
    """
    for model in models.delete(reference):
        store.delete(model.name, model.version)
