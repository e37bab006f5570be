"""The straightforward way from a document to features: json, datetime and loops; what ingest is measured against.

It does the same as `parse_document`, `judge`, `align` and `FeatureSet.compute` for the default features, one keystroke
at a time.
"""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

from keyprint.attempts import BACKSPACE
from keyprint.features import LONGEST_HOLD_MS, LONGEST_MS, SHORTEST_MS, TYPICAL_HOLD_MS

Key = tuple[str, datetime, datetime | None]
"""The character, its press and its release."""

Standing = tuple[Key, int, float]
"""A key that backspaces left, the corrections since the key before, and what they cost in ms."""


def features(content: bytes, phrase: str, releases: bool) -> list[list[float]]:
    """One row for every valid attempt of a document."""
    rows = []
    for attempt in json.loads(content)["user_data"]:
        keys = [_key(one) for one in attempt]
        standing = _standing(keys)
        forward = all(before[1] <= after[1] for before, after in pairwise(keys))
        if forward and "".join(key[0] for key, _, _ in standing) == phrase:
            rows.append(_row(standing, releases))
    return rows


def _key(found: dict[str, Any]) -> Key:
    released = found.get("released_at")
    return found["character"], _moment(found["typed_at"]), _moment(released) if released else None


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _standing(keys: list[Key]) -> list[Standing]:
    places: list[int] = []
    for place, (character, _, _) in enumerate(keys):
        if character != BACKSPACE:
            places.append(place)
        elif places:
            places.pop()
    found: list[Standing] = []
    before = -1
    for place in places:
        corrections = place - before - 1
        cost = _ms(keys[max(before, 0)][1], keys[place - 1][1]) if corrections else 0.0
        found.append((keys[place], corrections, cost))
        before = place
    return found


def _ms(begin: datetime, end: datetime) -> float:
    return (end - begin).total_seconds() * 1e3


def _clip(milliseconds: float) -> float:
    return min(max(milliseconds, SHORTEST_MS), LONGEST_MS)


def _log(milliseconds: float) -> float:
    return math.log(_clip(milliseconds))


def _signed_log(milliseconds: float) -> float:
    return math.asinh(min(max(milliseconds, -LONGEST_MS), LONGEST_MS) / 10.0)


def _row(standing: list[Standing], releases: bool) -> list[float]:
    pressed = [_ms(standing[0][0][1], moment) for (_, moment, _), _, _ in standing]
    total = math.log(max(min(pressed[-1], len(pressed) * LONGEST_MS), SHORTEST_MS))
    latencies = [0.0] + [_log(after - before) for before, after in pairwise(pressed)]
    held = _held(standing) if releases else []
    of_holds = _of_holds(pressed, held)
    row: list[float] = []
    costs = []
    for key, (_, corrections, cost) in enumerate(standing):
        costs.append(math.log1p(min(max(cost, 0.0), LONGEST_MS)))
        row += [
            latencies[key],
            latencies[key] - latencies[key - 1] if key >= 2 else 0.0,
            _log(pressed[key] - pressed[key - 2]) if key >= 2 else 0.0,
            _log(pressed[key] - pressed[key - 3]) if key >= 3 else 0.0,
            latencies[key] - total if key else 0.0,
            float(corrections),
            costs[key],
            *next(of_holds, ()),
        ]
    row += [total, float(sum(one[1] for one in standing)), sum(costs)]
    if releases:
        holds = [math.log(one) for one in held]
        row += [statistics.fmean(holds), statistics.pstdev(holds)]
    return row


def _held(standing: list[Standing]) -> list[float]:
    """How long each key was held, in ms; the median hold stands in where that is not known, or no finger's."""
    holds = [_ms(pressed, released) if released else None for (_, pressed, released), _, _ in standing]
    likely = [hold if hold is not None and 0 < hold <= LONGEST_HOLD_MS else None for hold in holds]
    known = [hold for hold in likely if hold is not None]
    usual = statistics.median(known) if known else TYPICAL_HOLD_MS
    return [_clip(usual if hold is None else hold) for hold in likely]


def _of_holds(pressed: list[float], held: list[float]) -> Iterator[list[float]]:
    for key, hold in enumerate(held):
        let_go = pressed[key - 1] + held[key - 1]
        yield [
            math.log(hold),
            math.log(hold) - math.log(held[key - 1]) if key else 0.0,
            _signed_log(pressed[key] - let_go) if key else 0.0,
            _signed_log(pressed[key] + hold - let_go) if key else 0.0,
        ]
