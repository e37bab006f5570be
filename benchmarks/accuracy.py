"""How accurate each learner is on real typing: python -m benchmarks.accuracy DIRECTORY [--phrase TEXT] [...]

DIRECTORY holds labelled documents, user_*.json.  Every learner is trained and evaluated by the service's own code, with
its default parameters unless others are given, on a late hold-out; a row for each, in Markdown.

With --validate nothing of the hold-out is looked at: each learner is fitted on the first part of what is left, and
judged by what each typist typed next, twice.  What is to be chosen is chosen by that.
"""

from __future__ import annotations

import argparse
import logging
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import numpy as np
import pyarrow as pa

from keyprint import attempts, package
from keyprint.attempts import ID_BYTES, UNKNOWN_TIME, Aligned
from keyprint.cli.train import read_params
from keyprint.features import feature_set
from services.ingest.duplicates import find_duplicates
from services.ingest.parse import parse_document
from services.training.dataset import Trainable, select
from services.training.figures import Evaluation
from services.training.fit import Fit, Span
from services.training.learners import LEARNERS, learner
from services.training.trainer import train
from services.training.work import Order

_COLUMNS = (
    *("learner", "times", "accuracy [95 %]", "macro F1", "EER", "fit", "size"),
    *("true claims rejected", "users UNKNOWN"),
    *("strangers' claims accepted", "strangers taken for somebody", "users not taken for themselves"),
)
_VALIDATION = ("learner", "times", "parameters", "accuracy of each window", "mean", "fit")

WINDOWS = (0.65, 0.8)
"""Shares of each typist's attempts before the hold-out, from the first on, that a validation fits on."""
WINDOW = 0.2
"""The share after them by which it is judged."""


def main() -> None:
    """Prints the table, one process for each row."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("directory", type=Path)
    parser.add_argument("--phrase", default=attempts.DEFAULT_PHRASE)
    parser.add_argument("--holdout", type=float, default=0.05)
    parser.add_argument("--learners", nargs="+", default=list(LEARNERS))
    parser.add_argument("--param", action="append", default=[], metavar="NAME=VALUE")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--impostors", type=float, default=0.0, help="share of the users, for the last three columns")
    parser.add_argument("--validate", action="store_true")
    parser.add_argument("--row", nargs=2, metavar=("LEARNER", "TIMES"), help=argparse.SUPPRESS)
    wanted = parser.parse_args()
    if wanted.row:
        name, times = wanted.row
        print((validation_row if wanted.validate else row)(wanted, name, times == "releases"))
        return
    columns = _VALIDATION if wanted.validate else _COLUMNS
    print(f"| {' | '.join(columns)} |\n{'|---' * len(columns)}|", flush=True)
    for name in wanted.learners:
        for times in ("releases", "presses"):
            command = [sys.executable, "-m", "benchmarks.accuracy", *sys.argv[1:], "--row", name, times]
            subprocess.run(command, check=True)


def row(wanted: argparse.Namespace, name: str, release_times: bool) -> str:
    """Trains one model and tells how it did."""
    data = _data(wanted, release_times)
    params = learner(name).check(read_params(wanted.param))
    with tempfile.TemporaryDirectory() as folder:
        train(
            Order("", folder, "", name, params, wanted.holdout, "late", "timing", wanted.seed, wanted.impostors),
            data,
            lambda told: None,
        )
        found, about = package.read_metrics(Path(folder), Evaluation), package.read(Path(folder)).training
        size = (Path(folder) / package.GRAPH).stat().st_size
    strangers = found.open_set
    open_set = (
        (
            f"{strangers.false_accept_rate:.2%}",
            f"{strangers.false_positive_identification_rate:.1%} of {strangers.attempts}",
            f"{strangers.false_negative_identification_rate:.1%}",
        )
        if strangers
        else ("", "", "")
    )
    interval = f"{found.accuracy_low:.1%} - {found.accuracy_high:.1%}"
    return (
        f"| {name} | {'with releases' if release_times else 'presses only'} | {found.accuracy:.1%} [{interval}], "
        f"{found.attempts} attempts | {found.macro_f1:.3f} | {found.equal_error_rate:.2%} | "
        f"{about.fit_seconds:.0f} s | {size / 1e6:.1f} MB | "
        f"{found.false_reject_rate:.1%} | {found.unknown_rate:.1%} | {' | '.join(open_set)} |"
    )


def validation_row(wanted: argparse.Namespace, name: str, release_times: bool) -> str:
    """Fits on each window and tells how many of the attempts after it were named rightly."""
    data = _data(wanted, release_times)
    data = data.only(~data.held_out(wanted.holdout, "late", wanted.seed))
    params = learner(name).check(read_params(wanted.param))
    began = time.process_time()
    found = [_accuracy(wanted, data, begins, name, params) for begins in WINDOWS]
    seconds = (time.process_time() - began) / len(WINDOWS)
    times, changed = "with releases" if release_times else "presses only", ", ".join(wanted.param) or "defaults"
    each = ", ".join(f"{one:.1%}" for one in found)
    return f"| {name} | {times} | {changed} | {each} | {np.mean(found):.1%} | {seconds:.0f} s of one core |"


def _accuracy(wanted: argparse.Namespace, data: Trainable, begins: float, name: str, params: dict[str, float]) -> float:
    until = begins + WINDOW
    data = data.only(~data.held_out(1 - until, "late", wanted.seed)) if until < 1 else data
    judged = data.held_out(WINDOW / until, "late", wanted.seed)
    _, truth = np.unique(data.users, return_inverse=True)
    order = Order("", "", "", name, params, wanted.holdout, "late", "timing", wanted.seed)
    timing, users = feature_set(order.features), int(truth.max()) + 1
    fit = Fit(learner(name), order, timing, data.release_times, users, lambda told: None)
    fitted = fit(data.only(~judged), truth[~judged], Span("fitting", 0.0, 1.0))
    logits = fit.logits(fitted, timing.compute(select(data.attempts, judged), data.release_times))
    return float((logits.argmax(axis=1) == truth[judged]).mean())


def _data(wanted: argparse.Namespace, release_times: bool) -> Trainable:
    data = read(sorted(wanted.directory.glob("user_*.json")), wanted.phrase)
    if release_times:
        return data
    unknown = np.full_like(data.attempts.released_at, UNKNOWN_TIME)
    return replace(data, attempts=replace(data.attempts, released_at=unknown), release_times=False)


def read(paths: Sequence[Path], phrase: str) -> Trainable:
    """The trainable attempts of documents, as ingest would find them."""
    users: list[str | None] = []
    ids: list[bytes] = []
    parts: list[Aligned] = []
    for path in paths:
        document = parse_document(path.read_bytes())
        verdicts = attempts.judge(document.keystrokes, phrase)
        aligned = attempts.align(document.keystrokes, verdicts, phrase)
        every = attempts.attempt_ids(document.keystrokes)
        ids += [every[number] for number in aligned.rows.tolist()]
        users += [document.user] * len(aligned.rows)
        parts.append(aligned)
    names = ("rows", "pressed_at", "released_at", "corrections", "correction_us")
    together = Aligned(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))
    labels = np.array([user or "" for user in users])
    unique = ~find_duplicates(np.unique(labels, return_inverse=True)[1], pa.array(ids, pa.binary(ID_BYTES)))
    fingerprint = sha256(b"".join(ids)).hexdigest()
    releases = bool((together.released_at != UNKNOWN_TIME).all())
    return Trainable("", phrase, fingerprint, releases, labels, ids, together).only(unique)


if __name__ == "__main__":
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    logging.disable(logging.WARNING)
    main()
