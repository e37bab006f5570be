"""The straightforward way from a document to features: json, datetime and loops; what ingest is measured against.

It does the same as `parse_document`, `judge`, `align` and `FeatureSet.compute` for the default features without release
times, one keystroke at a time.
"""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

from keyprint.attempts import BACKSPACE
from keyprint.features import LONGEST_MS, SHORTEST_MS

Key = tuple[str, datetime]


def features(content: bytes, phrase: str) -> list[list[float]]:
    """One row for every valid attempt of a document."""
    rows = []
    for attempt in json.loads(content)["user_data"]:
        keys = [(one["character"], _moment(one["typed_at"])) for one in attempt]
        standing = _standing(keys)
        forward = all(before[1] <= after[1] for before, after in pairwise(keys))
        if forward and "".join(key for key, _, _, _ in standing) == phrase:
            rows.append(_row(standing))
    return rows


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _standing(keys: list[Key]) -> list[tuple[str, datetime, int, float]]:
    """Each key that backspaces left: the key, its press, corrections since the key before and what they cost in ms."""
    places: list[int] = []
    for place, (key, _) in enumerate(keys):
        if key != BACKSPACE:
            places.append(place)
        elif places:
            places.pop()
    found: list[tuple[str, datetime, int, float]] = []
    before = -1
    for place in places:
        corrections = place - before - 1
        cost = 0.0
        if corrections:
            cost = (keys[place - 1][1] - keys[max(before, 0)][1]).total_seconds() * 1e3
        found.append((*keys[place], corrections, cost))
        before = place
    return found


def _log(milliseconds: float) -> float:
    return math.log(min(max(milliseconds, SHORTEST_MS), LONGEST_MS))


def _row(standing: list[tuple[str, datetime, int, float]]) -> list[float]:
    pressed = [(moment - standing[0][1]).total_seconds() * 1e3 for _, moment, _, _ in standing]
    total = _log(min(pressed[-1], len(pressed) * LONGEST_MS))
    row: list[Any] = []
    latencies = [0.0] + [_log(after - before) for before, after in pairwise(pressed)]
    costs = []
    for key, (_, _, corrections, cost) in enumerate(standing):
        costs.append(math.log1p(min(max(cost, 0.0), LONGEST_MS)))
        row += [
            latencies[key],
            latencies[key] - latencies[key - 1] if key >= 2 else 0.0,
            _log(pressed[key] - pressed[key - 2]) if key >= 2 else 0.0,
            _log(pressed[key] - pressed[key - 3]) if key >= 3 else 0.0,
            latencies[key] - total if key else 0.0,
            float(corrections),
            costs[key],
        ]
    return [*row, total, float(sum(one[2] for one in standing)), sum(costs)]
