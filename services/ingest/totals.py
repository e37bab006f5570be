"""What the documents of a dataset come to, which its row says by itself."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from services.ingest.tables import Dataset, DocumentRow

SUMS = (
    "attempts", "keystrokes", "valid_attempts", "released_attempts", "duplicate_attempts", "downloaded_bytes",
)  # fmt: skip
"""Counts of a document that its dataset has under the same name."""


def clear(dataset: Dataset) -> None:
    """Makes the totals those of no document."""
    for name in (*SUMS, "document_count", "enrolled_users", "fewest_trainable", "most_trainable"):
        setattr(dataset, name, 0)
    dataset.invalid, dataset.warnings = {}, {}
    dataset.labelled = False


def add(dataset: Dataset, documents: Sequence[DocumentRow]) -> None:
    """Adds further documents to the totals."""
    if not dataset.document_count and documents:
        dataset.labelled = documents[0].user is not None
    dataset.document_count += len(documents)
    for name in SUMS:
        # A count that is not written yet is its default.
        setattr(dataset, name, getattr(dataset, name) + sum(getattr(one, name) or 0 for one in documents))
    invalid, warnings = Counter(dataset.invalid), Counter(dataset.warnings)
    for one in documents:
        invalid.update(one.invalid)
        warnings.update(one.warnings)
    dataset.invalid, dataset.warnings = dict(invalid), dict(warnings)
    trainable = [one.valid_attempts - (one.duplicate_attempts or 0) for one in documents if one.enrolled]
    if trainable:
        before = [dataset.fewest_trainable] if dataset.enrolled_users else []
        dataset.fewest_trainable = min(before + trainable)
        dataset.most_trainable = max(dataset.most_trainable, *trainable)
        dataset.enrolled_users += len(trainable)
