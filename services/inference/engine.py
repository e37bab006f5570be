"""A model, loaded and ready: attempts in, probabilities out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sized
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from keyprint import attempts, package
from keyprint.attempts import Aligned, Keystrokes, Verdicts
from keyprint.errors import Cancelled, FailedPrecondition
from keyprint.features import Matrix, feature_set
from keyprint.graph import Graph

MEMORY = 5
"""Bytes of memory that a model takes for each byte of its graph and of what it says of its training; 4.7 were measured
for graphs of trees, 1.5 for nets."""

MOST_AT_ONCE = 1024
"""Attempts between two looks at whether the caller still waits."""

GoesOn = Callable[[], bool]
"""Whether somebody still waits for what is being done."""


def always() -> bool:
    """It goes on."""
    return True


def gone() -> Cancelled:
    """What is told where it does not go on."""
    return Cancelled("CANCELLED", "The caller went away, or has no time left.")


class Typed(Protocol):
    """Attempts, as `Keystrokes` or as a message."""

    @property
    def character(self) -> Sized:
        """Their keys."""

    @property
    def released_at(self) -> Iterable[object]:
        """Their release times in µs, `UNKNOWN_TIME` where unknown."""


@dataclass(frozen=True)
class Answers:
    """What a model says of n attempts, of which m are valid.

    Attributes:
        verdicts: which are valid, and why the others are not.
        aligned: the valid ones.
        probabilities: float32[m, K], calibrated.
    """

    verdicts: Verdicts
    aligned: Aligned
    probabilities: Matrix

    @property
    def rows(self) -> npt.NDArray[np.int64]:
        """int64[m], which attempts are valid."""
        return self.aligned.rows

    def row(self, attempt: int) -> int | None:
        """Which of the m a valid attempt is; None for one that is not."""
        return None if self.verdicts.reason[attempt] else int(self.rows.searchsorted(attempt))


class Engine:
    """One model; safe to share between threads.

    Attributes:
        reference: name@version.
        package: what it is.
        labels: str[K], whom it can tell apart.
        label_bytes: of the longest of them, in UTF-8.
        size: bytes of memory that it takes, about.
    """

    def __init__(self, reference: str, directory: Path) -> None:
        """Loads the package in `directory` and answers once, so that the first caller does not wait.

        Args:
            reference: name@version, as answers tell it.

        Raises:
            ValueError: the package is not one that this Keyprint reads.
        """
        self.reference = reference
        self.package = package.read(directory)
        self.labels = np.array(self.package.labels, np.str_)
        self.label_bytes = max(len(label.encode()) for label in self.package.labels)
        self._features = feature_set(self.package.inputs.feature_set)
        if self._features.version != self.package.inputs.version:
            raise ValueError(
                f"{reference} was trained with version {self.package.inputs.version} of the feature set "
                f"{self._features.name!r}; this Keyprint has version {self._features.version}."
            )
        self._graph = Graph(directory / package.GRAPH)
        if self._graph.users != len(self.labels):
            raise ValueError(f"its graph knows {self._graph.users} users, and labels.json has {len(self.labels)}")
        self.size = MEMORY * sum((directory / name).stat().st_size for name in (package.GRAPH, "training.json"))
        width = len(self._features.columns(self.package.inputs.phrase, self.package.inputs.release_times))
        self._graph.run(np.zeros((1, width), np.float32))

    @property
    def phrase(self) -> str:
        """What it can read."""
        return self.package.inputs.phrase

    @property
    def release_times(self) -> bool:
        """Whether it needs release times."""
        return self.package.inputs.release_times

    def answer(self, keystrokes: Keystrokes, goes_on: GoesOn = always) -> Answers:
        """Judges n attempts and says of the valid ones who typed them.

        Raises:
            Cancelled: it does not go on.
        """
        verdicts = attempts.judge(keystrokes, self.phrase)
        aligned = attempts.align(keystrokes, verdicts, self.phrase)
        return Answers(verdicts, aligned, self.probabilities(aligned, goes_on))

    def probabilities(self, aligned: Aligned, goes_on: GoesOn = always) -> Matrix:
        """float32[m, K]: who typed these attempts, calibrated.

        Raises:
            Cancelled: it does not go on.
        """
        found = [np.empty((0, self._graph.users), np.float32)]
        for begin in range(0, len(aligned), MOST_AT_ONCE):
            if not goes_on():
                raise gone()
            some = aligned.part(begin, begin + MOST_AT_ONCE)
            found.append(self._graph.run(self._features.compute(some, self.release_times)))
        return np.concatenate(found) if len(found) > 2 else found[-1]

    def check_releases(self, typed: Typed) -> None:
        """Nothing, if a release time is known where the model needs them, or there are no keys.

        Raises:
            FailedPrecondition: there is not a single one.
        """
        needs = self.release_times and len(typed.character) > 0
        # One is enough, and as a rule the first is known.
        if needs and all(at == attempts.UNKNOWN_TIME for at in typed.released_at):
            raise FailedPrecondition(
                "NO_RELEASE_TIMES",
                f"{self.reference} was trained with release times, and none are given; give released_at, or use a "
                "model that was trained without.",
                "attempt",
            )


class Listed(NamedTuple):
    """A model that there is.

    Attributes:
        name: its name.
        version: its version.
        loaded: whether it is in memory.
        trouble: what kept it from there, if that was just now.
    """

    name: str
    version: int
    loaded: bool
    trouble: str = ""


class Engines(Protocol):
    """Engines by reference: those of training's models, or the one of a Bento's."""

    def get(self, reference: str) -> Engine:
        """The engine of a model, as `name`, `name@version` or `name@alias`."""

    def index(self) -> list[Listed]:
        """Every model there is."""

    def unload(self, reference: str) -> None:
        """Takes a model out of memory until it is asked for again."""
