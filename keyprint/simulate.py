"""Made-up typists, for demos and tests: documents in the source format that behave like real typing.

Hold times and press-to-press latencies are log-normal.  All typists share what a digraph's keys make fast or slow,
each has their own way with every digraph and key, attempts have a tempo of their own, neighbouring keys go together,
and everybody gets faster from session to session.  Slips are corrected with backspaces, and now and then an attempt
is left wrong.  Telling such typists apart is no evidence about people.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from keyprint.attempts import BACKSPACE

_START = datetime(2024, 3, 4, 9)
_SESSION = 10
"""Attempts in one sitting; the next sitting is a day later."""
_INVALID = 0.04
_LETTERS = "etaoinshrdlucmfwypvbgkjqxz"

Values = npt.NDArray[np.float64]
Event = tuple[str, float, float]


@dataclass(frozen=True)
class Typist:
    """One person's way of typing the phrase; logs are of ms.

    Attributes:
        label: the user label.
        latency: float64[L], mean log press-to-press latency before each key.
        hold: float64[L], mean log hold time of each key.
        spread: standard deviation of a key's log time around its mean.
        slip: probability that a key goes wrong.
        progress: how much faster, in logs, the last attempt is than the first.
    """

    label: str
    latency: Values
    hold: Values
    spread: float
    slip: float
    progress: float


def make_typists(users: int, phrase: str, seed: int) -> list[Typist]:
    """`users` different typists of `phrase`; the same seed makes the same ones."""
    rng = np.random.default_rng([seed, users])
    digraphs = [a + b for a, b in zip(" " + phrase, phrase, strict=False)]
    pairs, letters = sorted(set(digraphs)), sorted(set(phrase))
    easy = dict(zip(pairs, rng.normal(0, 0.25, len(pairs)), strict=True))
    typists = []
    for number in range(users):
        own = dict(zip(pairs, rng.normal(0, 0.22, len(pairs)), strict=True))
        keys = dict(zip(letters, rng.normal(0, 0.12, len(letters)), strict=True))
        tempo, touch = rng.normal(np.log(150), 0.2), rng.normal(np.log(95), 0.15)
        typists.append(
            Typist(
                label=f"typist{number:02d}",
                latency=np.array([tempo + easy[pair] + own[pair] for pair in digraphs]),
                hold=np.array([touch + keys[key] for key in phrase]),
                spread=float(rng.uniform(0.15, 0.28)),
                slip=float(rng.uniform(0.002, 0.012)),
                progress=float(rng.uniform(0.05, 0.3)),
            )
        )
    return typists


def type_attempt(typist: Typist, phrase: str, progress: float, rng: np.random.Generator) -> list[Event]:
    """One attempt as (key, press, release) in ms from its beginning; `progress` runs from 0, the first, to 1."""
    count = len(phrase)
    tempo = rng.normal(0, 0.08) - typist.progress * progress
    noise = rng.normal(0, typist.spread, count)
    for key in range(1, count):
        noise[key] = 0.3 * noise[key - 1] + 0.95 * noise[key]
    latency = np.exp(typist.latency + tempo + noise)
    hold = np.exp(typist.hold + 0.5 * tempo + 0.4 * noise + rng.normal(0, 0.12, count))
    events: list[Event] = []
    now = 0.0
    for key, character in enumerate(phrase):
        now += latency[key] if key else 0.0
        if rng.random() < typist.slip:
            events.append((_other_key(character, rng), now, now + hold[key]))
            now += float(rng.lognormal(np.log(420), 0.3))
            events.append((BACKSPACE, now, now + float(rng.lognormal(np.log(90), 0.2))))
            now += float(rng.lognormal(np.log(260), 0.3))
        events.append((character, now, now + hold[key]))
    return events


def _spoil(events: list[Event], rng: np.random.Generator) -> list[Event]:
    """The same attempt gone wrong: a slip left standing, given up half-way, or recorded out of order."""
    kind, at = rng.random(), int(rng.integers(1, len(events)))
    if kind < 0.6:
        key, press, release = events[at]
        return [*events[:at], (_other_key(key, rng), press, release), *events[at + 1 :]]
    if kind < 0.9:
        return events[:at]
    key, press, release = events[at]
    return [*events[:at], (key, press - 5_000, release), *events[at + 1 :]]


def _other_key(key: str, rng: np.random.Generator) -> str:
    return str(rng.choice([letter for letter in _LETTERS if letter != key.lower()]))


def simulate(
    out: Path, users: int, attempts: int, phrase: str, seed: int = 0, press_only: bool = False, test: bool = False
) -> Path:
    """Writes a chain of `users` documents of `attempts` attempts each into `out`; the same seed, the same bytes.

    Args:
        press_only: leave release times out.
        test: also write test.json, later attempts by the same typists without labels, a quarter as many, and
            test_labels.csv, who typed them.

    Returns:
        The first document.
    """
    out.mkdir(parents=True, exist_ok=True)
    typists = make_typists(users, phrase, seed)
    later = max(attempts // 4, 1) if test else 0
    unseen: list[tuple[str, Any]] = []
    for number, typist in enumerate(typists):
        rng = np.random.default_rng([seed, users, number])
        typed = []
        for index in range(attempts + later):
            events = type_attempt(typist, phrase, min(index / attempts, 1.0), rng)
            if rng.random() < _INVALID:
                events = _spoil(events, rng)
            begun = _START + timedelta(days=index // _SESSION, seconds=60 * (index % _SESSION) + rng.uniform(0, 20))
            typed.append(_written(events, begun, press_only))
        following = f"user_{typists[number + 1].label}.json" if number + 1 < users else None
        document = {"user_label": typist.label, "user_data": typed[:attempts], "next": following}
        (out / f"user_{typist.label}.json").write_text(json.dumps(document))
        unseen += [(typist.label, one) for one in typed[attempts:]]
    if test:
        _write_test(out, unseen, seed)
    return out / f"user_{typists[0].label}.json"


def _written(events: Sequence[Event], begun: datetime, press_only: bool) -> list[dict[str, str]]:
    written = []
    for key, press, release in events:
        event = {"typed_at": _iso(begun, press), "character": key}
        if not press_only:
            event["released_at"] = _iso(begun, release)
        written.append(event)
    return written


def _iso(begun: datetime, milliseconds: float) -> str:
    return (begun + timedelta(milliseconds=milliseconds)).isoformat(timespec="microseconds")


def _write_test(out: Path, unseen: list[tuple[str, Any]], seed: int) -> None:
    order = np.random.default_rng([seed, len(unseen)]).permutation(len(unseen)).tolist()
    (out / "test.json").write_text(json.dumps({"attempts": [unseen[at][1] for at in order]}))
    with (out / "test_labels.csv").open("w", newline="") as labels:
        writer = csv.writer(labels)
        writer.writerow(["attempt", "user"])
        writer.writerows((number, unseen[at][0]) for number, at in enumerate(order))
