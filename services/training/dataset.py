"""A dataset as training sees it: its trainable attempts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from keyprint import attempts
from keyprint.attempts import Aligned
from keyprint.errors import FailedPrecondition
from keyprint.holdout import Split, choose, size
from keyprint.table import from_batch
from services.training.arrays import Flags

READABLE = ("READY", "INCOMPLETE")
FEWEST_ATTEMPTS = 2


@dataclass(frozen=True)
class About:
    """What ingest tells of a dataset.

    Attributes:
        id: of the dataset.
        state: as ingest names it, like "READY".
        labelled: whether it says who typed.
        phrase: what everybody typed.
        fingerprint: of its content.
        release_times: whether it has them.
        min_attempts: valid attempts from which a user is enrolled.
        users: how many are enrolled.
        fewest_attempts: valid ones that are no copies, of the enrolled user who has the fewest.
        most_attempts: of the one who has the most.
    """

    id: str
    state: str
    labelled: bool
    phrase: str
    fingerprint: str
    release_times: bool
    min_attempts: int
    users: int
    fewest_attempts: int
    most_attempts: int


@dataclass(frozen=True)
class Trainable:
    """The valid, enrolled, non-duplicate attempts of a labelled dataset, in its order.

    Attributes:
        id: of the dataset.
        phrase: what everybody typed, L keys.
        fingerprint: of what was read.
        release_times: whether the dataset has them.
        users: str[n], who typed each attempt.
        ids: the attempts' ids.
        attempts: the n attempts.
    """

    id: str
    phrase: str
    fingerprint: str
    release_times: bool
    users: npt.NDArray[np.str_]
    ids: Sequence[bytes]
    attempts: Aligned

    @cached_property
    def timing_ids(self) -> list[bytes]:
        """The attempts' timing to the millisecond, as `keyprint.attempts.timing_ids` has it."""
        return attempts.timing_ids(self.attempts)

    def held_out(self, share: float, split: Split, seed: int) -> Flags:
        """bool[n]: which attempts are kept from training."""
        return choose(self.users.tolist(), self.attempts.pressed_at[:, 0], share, split, seed)

    def hold_out(self, share: float, split: Split, seed: int) -> Trainable:
        """The attempts that are kept from training, alone."""
        return self.only(self.held_out(share, split, seed))

    def only(self, chosen: Flags) -> Trainable:
        """The chosen attempts alone."""
        ids = [one for one, keep in zip(self.ids, chosen, strict=True) if keep]
        kept = select(self.attempts, chosen)
        return Trainable(self.id, self.phrase, self.fingerprint, self.release_times, self.users[chosen], ids, kept)


def select(aligned: Aligned, chosen: Flags) -> Aligned:
    """The chosen ones of m attempts."""
    return Aligned(*(getattr(aligned, field.name)[chosen] for field in fields(Aligned)))


def check(about: About) -> None:
    """Nothing, if a model can be trained on the dataset.

    Raises:
        FailedPrecondition: it is not read yet, does not say who typed, or has too few users or attempts.
    """
    if about.state not in READABLE:
        raise FailedPrecondition(
            "DATASET_NOT_READY",
            f"The dataset is {about.state}; it can be trained on when it is READY or INCOMPLETE.",
            "dataset",
        )
    if not about.labelled:
        raise FailedPrecondition(
            "DATASET_UNLABELLED", "The dataset does not say who typed, so nothing can be trained on it.", "dataset"
        )
    if about.users < 2:
        raise FailedPrecondition(
            "NOT_ENOUGH_USERS",
            f"Training needs two enrolled users and the dataset has {about.users}; a user is enrolled with "
            f"{about.min_attempts} valid attempts (min_attempts).",
            "dataset",
        )
    if about.fewest_attempts < FEWEST_ATTEMPTS:
        raise FailedPrecondition(
            "NOT_ENOUGH_ATTEMPTS",
            "An enrolled user has a single valid attempt, and training needs one on each side of the hold-out; "
            "import the source with a larger min_attempts.",
            "dataset",
        )


def check_holdout(about: About, share: float) -> None:
    """Nothing, if a hold-out of this share leaves something to calibrate on: two attempts of somebody.

    Raises:
        FailedPrecondition: it leaves everybody a single attempt.
    """
    # Who has the most attempts has the most left.
    if about.most_attempts - size(about.most_attempts, share) < FEWEST_ATTEMPTS:
        raise nothing_to_calibrate_on(share)


def nothing_to_calibrate_on(share: float) -> FailedPrecondition:
    """What is wrong with a hold-out that leaves everybody a single attempt."""
    return FailedPrecondition(
        "NOT_ENOUGH_ATTEMPTS",
        f"A hold-out of {share:g} leaves every user a single attempt, and calibration needs two; make it smaller, "
        "or give more attempts.",
        "holdout",
    )


def changed() -> FailedPrecondition:
    """What is wrong with a dataset that was resumed while it was read."""
    return FailedPrecondition(
        "DATASET_CHANGED", "The dataset was resumed while it was read; train again when that has ended.", "dataset"
    )


def from_table(about: About, table: pa.Table) -> Trainable:
    """The trainable attempts of a dataset, of what ingest streams of them."""
    (batch,) = table.combine_chunks().to_batches()
    keystrokes = from_batch(batch)
    aligned = attempts.align(keystrokes, attempts.judge(keystrokes, about.phrase), about.phrase)
    return Trainable(
        id=about.id,
        phrase=about.phrase,
        fingerprint=about.fingerprint,
        release_times=about.release_times,
        users=np.array(batch.column("user").to_pylist(), np.str_),
        ids=batch.column("attempt_id").to_pylist(),
        attempts=aligned,
    )
