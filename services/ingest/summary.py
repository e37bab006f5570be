"""What the charts of a dataset show: how much was typed when, how fast, and the profile along the phrase."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from keyprint import attempts
from keyprint.attempts import UNKNOWN_TIME
from keyprint.errors import NotFound
from keyprint.table import from_batch
from services.ingest.store import Store
from services.ingest.tables import Dataset

Values = npt.NDArray[np.float32]

MOST_PERIODS = 100
MOST_TIMELINES = 1000
"""Users of whom attempts over time are told, so that the answer stays small."""
_QUARTILES = (25, 50, 75)


@dataclass(frozen=True)
class Quartiles:
    """Quartiles in ms, one entry for each of the L keys: float32[L] each."""

    lower: Values
    median: Values
    upper: Values


@dataclass(frozen=True)
class Profile:
    """How a group of valid attempts was typed.

    Attributes:
        attempts: how many these are.
        keys_per_second: median speed.
        correction_rate: backspaces per keystroke, 0 to 1.
        press_to_press_ms: latency before each key, 0 before the first; None without attempts.
        hold_ms: hold of each key; None where a key has no known release.
    """

    attempts: int
    keys_per_second: float
    correction_rate: float
    press_to_press_ms: Quartiles | None
    hold_ms: Quartiles | None


@dataclass(frozen=True)
class Period:
    """Attempts, valid or not, from a day ("2019-06-30", UTC) to another, which belongs to it."""

    first_day: str
    last_day: str
    attempts: int


@dataclass(frozen=True)
class Timeline:
    """The attempts of one user in each of the dataset's periods."""

    user: str
    attempts: Sequence[int]


@dataclass(frozen=True)
class UserSummary:
    """One user: the label, attempts over time, and their own profile."""

    user: str
    periods: Sequence[Period]
    profile: Profile


@dataclass(frozen=True)
class Summary:
    """Everyone together over time, at most 100 periods, each of the first users, and the user who was asked for."""

    everyone: Profile
    periods: Sequence[Period]
    timelines: Sequence[Timeline]
    user: UserSummary | None


@dataclass(frozen=True)
class _Typed:
    """The valid attempts of one document: latencies and holds float32[m, L] in ms, unknown holds NaN."""

    latency: Values
    hold: Values
    backspaces: int
    keystrokes: int


def summarize(store: Store, dataset: Dataset, user: str = "") -> Summary:
    """Summarizes a dataset that was imported, and one of its users where a label is given.

    Raises:
        NotFound: it has no such user.
    """
    if user and all(document.user != user for document in dataset.documents):
        raise NotFound("USER_NOT_FOUND", f"The dataset has no user {user!r}.", "user")
    typed: list[_Typed] = []
    of_user: list[_Typed] = []
    days = Counter[int]()
    days_of: dict[str, Counter[int]] = {}
    for document, table in store.read_documents(dataset.id, dataset.documents):
        typed.append(_typed(table, dataset.phrase))
        here = _days(table)
        days.update(here)
        if document.user is not None:
            days_of.setdefault(document.user, Counter()).update(here)
        if user and document.user == user:
            of_user.append(typed[-1])
    grid = _Grid(days)
    first = islice(days_of.items(), MOST_TIMELINES)
    return Summary(
        everyone=_profile(typed),
        periods=grid.periods(days),
        timelines=[Timeline(label, grid.row(one)) for label, one in first],
        user=UserSummary(user, grid.periods(days_of[user]), _profile(of_user)) if user else None,
    )


def _typed(table: pa.Table, phrase: str) -> _Typed:
    batches = table.combine_chunks().to_batches()
    keystrokes = from_batch(batches[0] if batches else pa.RecordBatch.from_pylist([], table.schema))
    verdicts = attempts.judge(keystrokes, phrase)
    aligned = attempts.align(keystrokes, verdicts, phrase)
    latency = np.diff(aligned.pressed_at, axis=1, prepend=aligned.pressed_at[:, :1]) / 1e3
    known = aligned.released_at != UNKNOWN_TIME
    hold = np.where(known, (aligned.released_at - aligned.pressed_at) / 1e3, np.nan)
    valid = np.repeat(verdicts.reason == 0, np.diff(keystrokes.offsets))
    backspace = keystrokes.character == attempts.encode([attempts.BACKSPACE])[0]
    return _Typed(latency.astype(np.float32), hold.astype(np.float32), int((valid & backspace).sum()), int(valid.sum()))


def _days(table: pa.Table) -> dict[int, int]:
    """Attempts by day, counted from 1970 on."""
    moments = table["typed_at"].drop_null().to_numpy().astype("datetime64[us]").astype("datetime64[D]")
    days, counts = np.unique(moments.astype(np.int64), return_counts=True)
    return dict(zip(days.tolist(), counts.tolist(), strict=True))


class _Grid:
    """Periods of equal length over all days on which anybody typed."""

    def __init__(self, days: Mapping[int, int]) -> None:
        """`days` are everybody's attempts by day."""
        self._first, self._last = min(days, default=0), max(days, default=0)
        self._length = 1 if len(days) <= MOST_PERIODS else -(-(self._last - self._first + 1) // MOST_PERIODS)
        self._numbers = sorted(self._counts(days))

    def periods(self, days: Mapping[int, int]) -> list[Period]:
        """Those with any of these attempts, which are counted by day."""
        counts = self._counts(days)
        return [self._period(number, counts[number]) for number in self._numbers if counts[number]]

    def row(self, days: Mapping[int, int]) -> list[int]:
        """How many of these attempts there are in each period in which anybody typed."""
        counts = self._counts(days)
        return [counts[number] for number in self._numbers]

    def _counts(self, days: Mapping[int, int]) -> Counter[int]:
        counts = Counter[int]()
        for day, count in days.items():
            counts[(day - self._first) // self._length] += count
        return counts

    def _period(self, number: int, attempts: int) -> Period:
        begins = self._first + number * self._length
        return Period(_iso(begins), _iso(min(begins + self._length - 1, self._last)), attempts)


def _iso(day: int) -> str:
    return str(np.datetime64(day, "D"))


def _profile(typed: Sequence[_Typed]) -> Profile:
    latency = np.concatenate([one.latency for one in typed])
    if not len(latency):
        return Profile(0, 0.0, 0.0, None, None)
    hold = np.concatenate([one.hold for one in typed])
    seconds = latency.sum(axis=1) / 1e3
    # An attempt that took no time has no speed.
    speeds = (latency.shape[1] - 1) / seconds[seconds > 0]
    held = not np.isnan(hold).all(axis=0).any()
    return Profile(
        attempts=len(latency),
        keys_per_second=float(np.median(speeds)) if len(speeds) else 0.0,
        correction_rate=sum(one.backspaces for one in typed) / sum(one.keystrokes for one in typed),
        press_to_press_ms=Quartiles(*np.percentile(latency, _QUARTILES, axis=0).astype(np.float32)),
        hold_ms=Quartiles(*np.nanpercentile(hold, _QUARTILES, axis=0).astype(np.float32)) if held else None,
    )
