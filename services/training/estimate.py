"""How long work that is under way will take."""

from __future__ import annotations

import math

_MEMORY = 0.1
"""Share of the work over which an older pace fades to a third of its weight."""


class Estimate:
    """What one piece of work still takes, by its pace, smoothed: single steps take what the machine lets them take."""

    def __init__(self) -> None:
        self._progress = 0.0
        self._at = 0.0
        self._seconds = 0.0
        self._gained = 0.0

    def remaining(self, progress: float, at: float) -> float | None:
        """The seconds left.

        The way to the first step tells nothing of those that follow: libraries are imported and data is read on it.

        Args:
            progress: share of the whole that is done, 0 to 1, never less than before; 0 before the first step.
            at: the time, in seconds on any clock that only goes forward.

        Returns:
            None before the second step.
        """
        gained = progress - self._progress
        if gained > 0:
            if self._progress > 0:
                fading = math.exp(-gained / _MEMORY)
                self._seconds = self._seconds * fading + at - self._at
                self._gained = self._gained * fading + gained
            self._progress, self._at = progress, at
        if not self._gained:
            return None
        return max(self._seconds / self._gained * (1 - self._progress) - (at - self._at), 0.0)
