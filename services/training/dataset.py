"""A dataset as training sees it: its trainable attempts, read from ingest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from keyprint import arrow, attempts
from keyprint.attempts import Aligned
from keyprint.errors import FailedPrecondition
from keyprint.holdout import Split, choose, size
from keyprint.v1 import ingest_pb2, ingest_pb2_grpc

READABLE = (ingest_pb2.Dataset.STATE_READY, ingest_pb2.Dataset.STATE_INCOMPLETE)
FEWEST_ATTEMPTS = 2


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

    def held_out(self, share: float, split: Split, seed: int) -> npt.NDArray[np.bool_]:
        """bool[n]: which attempts are kept from training."""
        return choose(self.users.tolist(), self.attempts.pressed_at[:, 0], share, split, seed)

    def only(self, chosen: npt.NDArray[np.bool_]) -> Trainable:
        """The chosen attempts alone."""
        ids = [one for one, keep in zip(self.ids, chosen, strict=True) if keep]
        kept = select(self.attempts, chosen)
        return Trainable(self.id, self.phrase, self.fingerprint, self.release_times, self.users[chosen], ids, kept)


def select(aligned: Aligned, chosen: npt.NDArray[np.bool_]) -> Aligned:
    """The chosen ones of m attempts."""
    return Aligned(*(getattr(aligned, field.name)[chosen] for field in fields(Aligned)))


def check(dataset: ingest_pb2.Dataset) -> None:
    """Nothing, if a model can be trained on the dataset.

    Raises:
        FailedPrecondition: it is not read yet, does not say who typed, or has too few users or attempts.
    """
    if dataset.state not in READABLE:
        raise FailedPrecondition(
            "DATASET_NOT_READY",
            f"The dataset is {_state(dataset)}; it can be trained on when it is READY or INCOMPLETE.",
            "dataset",
        )
    if not dataset.labelled:
        raise FailedPrecondition(
            "DATASET_UNLABELLED", "The dataset does not say who typed, so nothing can be trained on it.", "dataset"
        )
    if dataset.enrolled_users < 2:
        raise FailedPrecondition(
            "NOT_ENOUGH_USERS",
            f"The dataset has {dataset.enrolled_users} enrolled users and training needs two; a user is enrolled with "
            f"{dataset.min_attempts} valid attempts (min_attempts).",
            "dataset",
        )
    for one in dataset.user_statistics:
        if one.enrolled and one.valid_attempts - one.duplicate_attempts < FEWEST_ATTEMPTS:
            raise FailedPrecondition(
                "NOT_ENOUGH_ATTEMPTS",
                f"User {one.user!r} has a single valid attempt, and training needs one on each side of the hold-out; "
                "import the source with a larger min_attempts.",
                "dataset",
            )


def check_holdout(dataset: ingest_pb2.Dataset, share: float) -> None:
    """Nothing, if a hold-out of this share leaves something to calibrate on: two attempts of somebody.

    Raises:
        FailedPrecondition: it leaves everybody a single attempt.
    """
    counts = [one.valid_attempts - one.duplicate_attempts for one in dataset.user_statistics if one.enrolled]
    if all(count - size(count, share) < FEWEST_ATTEMPTS for count in counts):
        raise nothing_to_calibrate_on(share)


def nothing_to_calibrate_on(share: float) -> FailedPrecondition:
    """What is wrong with a hold-out that leaves everybody a single attempt."""
    return FailedPrecondition(
        "NOT_ENOUGH_ATTEMPTS",
        f"A hold-out of {share:g} leaves every user a single attempt, and calibration needs two; make it smaller, "
        "or give more attempts.",
        "holdout",
    )


def _state(dataset: ingest_pb2.Dataset) -> str:
    return ingest_pb2.Dataset.State.Name(dataset.state).removeprefix("STATE_")


def read(ingest: ingest_pb2_grpc.IngestServiceStub, dataset: str) -> Trainable:
    """Reads the trainable attempts of a dataset.

    Raises:
        FailedPrecondition: it cannot be trained on, or changed while it was read.
        grpc.RpcError: ingest refused, or does not answer.
    """
    about = ingest.GetDataset(ingest_pb2.GetDatasetRequest(dataset=dataset))
    check(about)
    request = ingest_pb2.ReadAttemptsRequest(
        dataset=dataset, selection=ingest_pb2.ReadAttemptsRequest.SELECTION_TRAINABLE
    )
    table = pa.Table.from_batches([arrow.from_ipc(batch.ipc) for batch in ingest.ReadAttempts(request)])
    if ingest.GetDataset(ingest_pb2.GetDatasetRequest(dataset=dataset)).fingerprint != about.fingerprint:
        raise FailedPrecondition(
            "DATASET_CHANGED", "The dataset was resumed while it was read; train again when that has ended.", "dataset"
        )
    (batch,) = table.combine_chunks().to_batches()
    keystrokes = attempts.from_batch(batch)
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
