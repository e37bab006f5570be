"""What the service and the process that trains tell each other, as JSON lines over its pipes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from keyprint.errors import KeyprintError, of_system
from keyprint.holdout import Split
from keyprint.package import Point

STAGES = ("reading", "fitting", "calibrating", "impostors", "exporting", "evaluating")
"""In this order, "impostors" where asked for; the service has "queued" before, "publishing" and "done" after them."""


@dataclass(frozen=True)
class Order:
    """What to train and where to put it.

    Attributes:
        ingest_address: where the dataset is read from.
        directory: an empty directory for the package.
        dataset: its id.
        learner: its name.
        params: every parameter by name.
        holdout: share kept from training, between 0 and 1.
        split: how it is chosen.
        features: name of the feature set.
        seed: of every random choice.
        impostors: share of the users to evaluate with as impostors; 0 for none.
        ingest_seconds: how long to wait for ingest to answer.
    """

    ingest_address: str
    directory: str
    dataset: str
    learner: str
    params: Mapping[str, float]
    holdout: float
    split: Split
    features: str
    seed: int
    impostors: float = 0.0
    ingest_seconds: float = 0.0


@dataclass(frozen=True)
class Progress:
    """How far the work is.

    Attributes:
        stage: one of `STAGES`.
        progress: share of the whole that is done, 0 to 1.
        message: one sentence for people.
        point: the newest point of the learning curve, if there is a new one.
    """

    stage: str
    progress: float
    message: str
    point: Point | None = None


@dataclass(frozen=True)
class Outcome:
    """The package is written, and says everything about itself."""


@dataclass(frozen=True)
class Failure:
    """Why there is no model: an error that a stranger may read."""

    reason: str
    message: str
    field: str

    @classmethod
    def of(cls, error: KeyprintError) -> Failure:
        """The failure that an error makes of the job."""
        return cls(error.reason, error.message, error.field)


def failure_of(error: Exception) -> Failure:
    """What to tell of a job that an error ended, which only the log need know if it is our fault."""
    known = error if isinstance(error, KeyprintError) else of_system(error)
    return Failure.of(known) if known else INTERNAL


INTERNAL = Failure("INTERNAL", "Training failed inside Keyprint; the training service's log says how.", "")

OUT_OF_MEMORY = Failure(
    "OUT_OF_MEMORY",
    "Training needs more memory than there is; train on less, or a smaller model, or give the training service more.",
    "",
)

Said = Progress | Outcome | Failure

_KINDS = {kind.__name__: kind for kind in (Progress, Outcome, Failure)}


def to_line(said: Said) -> str:
    """One line of JSON."""
    # Not-a-number is no JSON, and PostgreSQL takes none.
    return json.dumps({"said": type(said).__name__, **asdict(said)}, allow_nan=False) + "\n"


def from_line(line: str) -> Said:
    """Reads what `to_line` wrote."""
    content: dict[str, Any] = json.loads(line)
    kind = _KINDS[content.pop("said")]
    if kind is Progress and content["point"]:
        content["point"] = Point(**content["point"])
    said: Said = kind(**content)
    return said
