"""Attempts as rows of equal length, padded with empty characters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from keyprint import attempts
from keyprint.attempts import Flags, Keystrokes, Times


@dataclass(frozen=True)
class Padded:
    """n attempts of at most w keystrokes, row by row.

    Attributes:
        character: n · w keys in UTF-8, empty behind the end of an attempt.
        pressed_at: int64[n, w], press times in µs, `UNKNOWN_TIME` where absent.
        released_at: int64[n, w], release times in µs, `UNKNOWN_TIME` where absent.
    """

    character: Sequence[bytes]
    pressed_at: Times
    released_at: Times


def keystrokes(padded: Padded) -> Keystrokes:
    """The attempts without their padding.

    One that cannot be read, with a gap, a key that is no UTF-8 or a key without a press time, is malformed.
    """
    codes, filled, readable = (column.reshape(padded.pressed_at.shape) for column in _keys(padded.character))
    gap = filled[:, 1:] & ~filled[:, :-1]
    unread = filled & (~readable | (padded.pressed_at == attempts.UNKNOWN_TIME))
    malformed = gap.any(axis=1) | unread.any(axis=1)
    kept = filled & ~malformed[:, None]
    return Keystrokes(
        offsets=attempts.offsets(kept.sum(axis=1)),
        character=codes[kept],
        pressed_at=padded.pressed_at[kept],
        released_at=padded.released_at[kept],
        malformed=malformed,
    )


def _keys(characters: Sequence[bytes]) -> tuple[attempts.Codes, Flags, Flags]:
    """Of each its code, whether it is a key at all, and whether it can be read; one look per distinct key."""
    distinct = {key: number for number, key in enumerate(dict.fromkeys(characters))}
    which: npt.NDArray[np.intp] = np.fromiter(map(distinct.__getitem__, characters), np.intp, len(characters))
    codes = attempts.encode([key.decode(errors="replace") for key in distinct])
    filled = np.array([bool(key) for key in distinct], np.bool_)
    readable = np.array([_is_text(key) for key in distinct], np.bool_)
    return codes[which], filled[which], readable[which]


def _is_text(key: bytes) -> bool:
    try:
        key.decode()
    except UnicodeDecodeError:
        return False
    return True
