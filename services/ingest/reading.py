"""A document as an import keeps it: its rows, and what is said of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from keyprint import attempts
from keyprint.arrow import to_ipc
from keyprint.attempts import REASONS, WARNINGS
from services.ingest.parse import parse_document, to_batch


@dataclass(frozen=True)
class Rules:
    """What documents are read by.

    Attributes:
        phrase: what everybody typed.
        document_attempts: most attempts of one document.
        attempt_keystrokes: keystrokes beyond which an attempt is TOO_LONG.
    """

    phrase: str
    document_attempts: int
    attempt_keystrokes: int


@dataclass(frozen=True)
class Reading:
    """What a document says.

    Attributes:
        user: who typed; None in an unlabelled document.
        next: where the chain goes on, relative to this document; None at its end.
        rows: its attempts, numbered from 0 on, as `keyprint.table.SCHEMA` has them, an Arrow IPC stream of one batch.
        attempts: how many these are.
        keystrokes: how many these have in all.
        valid: attempts that read as the phrase.
        released: those of them that have the release of every key.
        invalid: how many are not valid, by reason.
        warnings: how many have an oddity, by its name.
    """

    user: str | None
    next: str | None
    rows: bytes
    attempts: int
    keystrokes: int
    valid: int
    released: int
    invalid: dict[str, int]
    warnings: dict[str, int]


class Read(Protocol):
    """Reads documents as `read_document` does."""

    def __call__(self, content: bytes, rules: Rules) -> Reading:
        """Reads one."""


def read_document(content: bytes | memoryview, rules: Rules) -> Reading:
    """Reads a document.

    Raises:
        InvalidArgument: the content is no document, or has more attempts than it may.
    """
    document = parse_document(content, rules.document_attempts)
    verdicts = attempts.judge(document.keystrokes, rules.phrase, rules.attempt_keystrokes)
    valid, *invalid = np.bincount(verdicts.reason, minlength=len(REASONS)).tolist()
    found = {name: int((verdicts.warnings >> bit & 1).sum()) for bit, name in enumerate(WARNINGS)}
    return Reading(
        document.user,
        document.next,
        to_ipc(to_batch(document, verdicts, 0)),
        len(document.keystrokes),
        len(document.keystrokes.pressed_at),
        valid,
        int(attempts.released(document.keystrokes, verdicts).sum()),
        {reason: count for reason, count in zip(REASONS[1:], invalid, strict=True) if count},
        {name: count for name, count in found.items() if count},
    )
