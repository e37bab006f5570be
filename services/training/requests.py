"""Requests, read and checked."""

from __future__ import annotations

from dataclasses import dataclass

from google.protobuf.json_format import MessageToDict
from google.protobuf.struct_pb2 import Struct

from keyprint import checks
from keyprint.errors import InvalidArgument
from keyprint.features import feature_set
from keyprint.holdout import Split, check_share
from keyprint.names import check_model_name
from keyprint.v1 import attempts_pb2, training_pb2
from services.training.jobs import Asked
from services.training.learners import learner

LARGEST_SEED = 2**31 - 1
LONGEST_REQUEST_ID = 128

_SPLITS: dict[int, Split] = {
    attempts_pb2.SPLIT_UNSPECIFIED: "late",
    attempts_pb2.SPLIT_LATE: "late",
    attempts_pb2.SPLIT_RANDOM: "random",
}


def asked(request: training_pb2.CreateTrainingJobRequest) -> Asked:
    """What a job is asked for.

    Raises:
        InvalidArgument: a field is wrong.
    """
    if len(request.request_id) > LONGEST_REQUEST_ID:
        raise InvalidArgument(
            "REQUEST_ID_INVALID",
            f"A request id has at most {LONGEST_REQUEST_ID} characters, not {len(request.request_id)}.",
            "request_id",
        )
    checks.keepable(request.request_id, "request_id")
    chosen = learner(request.learner)
    return Asked(
        dataset=checks.keepable(request.dataset, "dataset"),
        learner=chosen.name,
        model=check_model_name(request.model, "model"),
        holdout=check_share(request.holdout),
        split=split(request.split),
        features=feature_set(request.features).name,
        params=chosen.check(_params(request.params)),
        seed=seed(request.seed),
        impostors=_impostors(request.impostors),
    )


@dataclass(frozen=True)
class Holdout:
    """Which attempts of a dataset are held out: what share of each user's, and how they are chosen."""

    share: float
    split: Split
    seed: int


def holdout(request: training_pb2.CompareModelsRequest | training_pb2.EvaluateModelRequest) -> Holdout:
    """Which attempts to judge models by.

    Raises:
        InvalidArgument: a field is wrong.
    """
    return Holdout(check_share(request.holdout), split(request.split), seed(request.seed))


def _params(given: Struct) -> dict[str, object]:
    try:
        found: dict[str, object] = MessageToDict(given)
    except ValueError:
        # JSON has no number that is not finite.
        raise InvalidArgument("PARAMETER_INVALID", "Every number of a parameter must be finite.", "params") from None
    return found


def _impostors(share: float) -> float:
    # A comparison with not-a-number is never true.
    if not 0 <= share < 1:
        raise InvalidArgument(
            "IMPOSTORS_OUT_OF_RANGE",
            f"The share of users that are impostors must be from 0 to below 1, not {share:g}.",
            "impostors",
        )
    return share


def split(value: attempts_pb2.Split.ValueType) -> Split:
    """How a hold-out is chosen.

    Raises:
        InvalidArgument: no such way.
    """
    try:
        return _SPLITS[value]
    except KeyError:
        raise InvalidArgument("SPLIT_INVALID", f"The split must be late or random, not {value}.", "split") from None


def seed(value: int) -> int:
    """A seed.

    Raises:
        InvalidArgument: out of range.
    """
    if value > LARGEST_SEED:
        raise InvalidArgument("SEED_INVALID", f"The seed must be from 0 to {LARGEST_SEED}, not {value}.", "seed")
    return value
