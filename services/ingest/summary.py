"""What the charts of a dataset show: how much was typed when, how fast, and the profile along the phrase."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

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
class UserSummary:
    """One user: the label, attempts over time, and their own profile."""

    user: str
    periods: Sequence[Period]
    profile: Profile


@dataclass(frozen=True)
class Summary:
    """Everyone together over time, at most 100 periods, and the user who was asked for."""

    everyone: Profile
    periods: Sequence[Period]
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
    days = Counter[int]()
    chosen = None
    for document, table in store.read_documents(dataset.id, dataset.documents):
        typed.append(_typed(table, dataset.phrase))
        here = _days(table)
        days.update(here)
        if user and document.user == user:
            chosen = UserSummary(user, _periods(here), _profile(typed[-1:]))
    return Summary(_profile(typed), _periods(days), chosen)


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


def _periods(days: Mapping[int, int]) -> list[Period]:
    if not days:
        return []
    first, last = min(days), max(days)
    length = 1 if len(days) <= MOST_PERIODS else -(-(last - first + 1) // MOST_PERIODS)
    counts = Counter[int]()
    for day, count in days.items():
        counts[(day - first) // length] += count
    return [
        Period(_iso(first + number * length), _iso(min(first + (number + 1) * length - 1, last)), count)
        for number, count in sorted(counts.items())
    ]


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
