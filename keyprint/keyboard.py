"""Where keys lie on a QWERTY keyboard, and what that does to the time between two of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

ROWS = ("`1234567890-=", "qwertyuiop[]\\", "asdfghjkl;'", "zxcvbnm,./")
SHIFTED = dict(zip('~!@#$%^&*()_+{}|:"<>?', "`1234567890-=[]\\;',./", strict=True))
FINGER_OF_COLUMN = (0, 1, 2, 3, 3, 4, 4, 5, 6, 7)
"""Fingers from the left little one (0) to the right little one (7); columns further right are its too."""
THUMB = 8

EFFECTS = ("other_hand", "same_finger", "same_key", "rows_apart", "shift", "into_space", "into_word")


@dataclass(frozen=True)
class Key:
    """A key and how it is reached."""

    finger: int
    row: int
    column: int
    shift: bool

    @property
    def hand(self) -> int:
        """0 left, 1 right, 2 either, for the thumbs."""
        return 2 if self.finger == THUMB else self.finger // 4


def key(character: str) -> Key:
    """The key that types `character`; a character of another keyboard gets some key, always the same one."""
    if character == " ":
        return Key(THUMB, 4, 4, False)
    plain = SHIFTED.get(character, character.lower())
    for row, keys in enumerate(ROWS):
        column = keys.find(plain)
        if column >= 0 and len(plain) == 1:
            return Key(_finger(column), row, column, plain != character)
    column = ord(character) % 10
    return Key(_finger(column), 1 + ord(character) // 10 % 3, column, character != character.lower())


def _finger(column: int) -> int:
    return FINGER_OF_COLUMN[min(column, len(FINGER_OF_COLUMN) - 1)]


def neighbour(character: str, right: bool) -> str:
    """The character that a slip to the key beside types instead."""
    if character == " ":
        return "b" if right else "n"
    where = key(character)
    keys = ROWS[where.row]
    column = where.column + (1 if right else -1)
    # At the end of a row there is only the other neighbour.
    return keys[column] if 0 <= column < len(keys) else keys[2 * where.column - column]


def effects(phrase: Sequence[str]) -> npt.NDArray[np.float64]:
    """What slows or speeds each key of a phrase of L: [L, len(EFFECTS)], the first key's all 0 but for its shift."""
    keys = [key(character) for character in phrase]
    out = np.zeros((len(keys), len(EFFECTS)))
    for i, here in enumerate(keys):
        out[i, 4] = here.shift
        if i == 0:
            continue
        before = keys[i - 1]
        same = (here.row, here.column) == (before.row, before.column)
        out[i, 0] = here.hand != before.hand
        out[i, 1] = here.finger == before.finger and not same
        out[i, 2] = same
        out[i, 3] = 0 if THUMB in (here.finger, before.finger) else abs(here.row - before.row)
        out[i, 5] = here.finger == THUMB
        out[i, 6] = before.finger == THUMB
    return out
