"""What flags and explanations cost one attempt, and how often real attempts are flagged.

    python -m benchmarks.explain DIRECTORY [--phrase TEXT] [--learners NAME ...] [--param NAME=VALUE ...]

DIRECTORY holds labelled documents, user_*.json.  Each learner is trained on them by the service's own code, with
release times if there are any; the inference service's own code then answers the hold-out, one attempt at a time.
Medians.
"""

from __future__ import annotations

import argparse
import logging
import os
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

from benchmarks.accuracy import read
from keyprint import attempts
from keyprint.attempts import Keystrokes
from keyprint.cli.train import read_params
from services.inference import decide
from services.inference.engine import Engine
from services.inference.explain import explain
from services.inference.flags import REPLAY, SYNTHETIC, Recent, flag
from services.training.dataset import Trainable
from services.training.learners import learner
from services.training.trainer import train
from services.training.work import Order

HOLDOUT = 0.2
MOST_TIMED = 500
"""Attempts that are timed."""


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("directory", type=Path)
    parser.add_argument("--phrase", default=attempts.DEFAULT_PHRASE)
    parser.add_argument("--learners", nargs="+", default=["adaboost", "lstm"])
    parser.add_argument("--param", action="append", default=[], metavar="NAME=VALUE")
    wanted = parser.parse_args()
    data = read(sorted(wanted.directory.glob("user_*.json")), wanted.phrase)
    print("| learner | answer | flags | explanation | replays | synthetic |\n|---|---|---|---|---|---|")
    for name in wanted.learners:
        with tempfile.TemporaryDirectory() as folder:
            params = learner(name).check(read_params(wanted.param))
            train(Order("", folder, "", name, params, HOLDOUT, "late", "timing", 0), data, lambda told: None)
            print(row(name, Engine(f"{name}@1", Path(folder)), data), flush=True)


def row(name: str, engine: Engine, data: Trainable) -> str:
    """Times and rates of one model over its hold-out, each attempt on its own."""
    unseen = data.hold_out(HOLDOUT, "late", 0)
    typed = [_keystrokes(unseen, number) for number in range(len(unseen.ids))]
    recent = Recent()
    masks = np.concatenate([flag(engine, engine.answer(one), recent) for one in typed])
    timed = typed[:: max(1, len(typed) // MOST_TIMED)]
    answered = [engine.answer(one) for one in timed]
    best = [str(decide.decide(engine, one, 0.0).user[0]) for one in answered]
    costs = (
        _median_us([partial(_answer, engine, one) for one in timed]),
        _median_us([partial(flag, engine, one, recent) for one in answered]),
        _median_us([partial(explain, engine, one, 0, user) for one, user in zip(answered, best, strict=True)]),
    )
    rates = ((masks & bit != 0).sum() for bit in (REPLAY, SYNTHETIC))
    return (
        f"| {name} | {' | '.join(f'{cost:.0f} µs' for cost in costs)} | "
        + " | ".join(f"{count} of {len(masks):,}" for count in rates)
        + " |"
    )


def _answer(engine: Engine, keystrokes: Keystrokes) -> decide.Decided:
    return decide.decide(engine, engine.answer(keystrokes), engine.package.decision.default)


def _keystrokes(data: Trainable, number: int) -> Keystrokes:
    """One attempt as a caller sends it, without its corrections."""
    return attempts.single(
        list(data.phrase), data.attempts.pressed_at[number].tolist(), data.attempts.released_at[number].tolist()
    )


def _median_us(calls: list[Callable[[], object]]) -> float:
    taken = []
    for call in calls:
        began = time.perf_counter()
        call()
        taken.append(time.perf_counter() - began)
    return float(np.median(taken)) * 1e6


if __name__ == "__main__":
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    logging.disable(logging.WARNING)
    main()
