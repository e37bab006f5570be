"""What is said of a field whose value is of the wrong kind, once for every surface.

A value that no message can hold never reaches a service.  Whoever finds that out, the gateway or the client, gives the
service's own reason for that field, so that a caller meets one reason per field.
"""

from __future__ import annotations

from keyprint.errors import InvalidArgument

_WRONG: dict[str, tuple[str, str]] = {
    "url": ("URL_INVALID", "The URL must be an http or https address."),
    "phrase": ("PHRASE_INVALID", "The phrase must be a text of 2 to 256 characters."),
    "min_attempts": ("MIN_ATTEMPTS_INVALID", "The minimum of attempts must be a whole number from 1 to 100000."),
    "files": ("FILES_MISSING", "At least one file must be sent, as multipart/form-data under the name files."),
    "dataset": ("DATASET_NOT_FOUND", "The dataset must be given by its id, like ds_3f9c0a1b2c4d."),
    "base_dataset": ("DATASET_NOT_FOUND", "The base dataset must be given by its id, like ds_3f9c0a1b2c4d."),
    "learner": ("LEARNER_NOT_FOUND", "The learner must be given by its name, like adaboost."),
    "model": ("MODEL_NAME_INVALID", "The model must be given by its name, like adaboost-1."),
    "job": ("JOB_NOT_FOUND", "The training job must be given by its id, like job_3f9c0a1b2c4d."),
    "holdout": ("HOLDOUT_OUT_OF_RANGE", "The hold-out must be a number above 0 and below 1, like 0.2."),
    "split": ("SPLIT_INVALID", 'The split must be "late" or "random".'),
    "features": ("UNKNOWN_FEATURE_SET", "The feature set must be given by its name, like timing."),
    "impostors": ("IMPOSTORS_OUT_OF_RANGE", "The share of impostors must be a number from 0 to below 1, like 0.2."),
    "seed": ("SEED_INVALID", "The seed must be a whole number from 0 to 2147483647."),
    "params": ("PARAMETER_INVALID", "A parameter must be a number."),
    "first_n": ("PAGE_SIZE_INVALID", "The number of rows must be a whole number from 1 to 1000."),
    "page_size": ("PAGE_SIZE_INVALID", "The page size must be a whole number from 1 to 1000."),
    "rows": ("ROWS_INVALID", 'The rows must be "attempts" or "keystrokes".'),
    "far": ("FAR_OUT_OF_RANGE", "The false accept rate must be a number above 0 and at most 0.5, like 0.01."),
    "candidates": ("CANDIDATES_INVALID", "The number of candidates must be a whole number from 1 to 1000."),
    "attempt": ("ATTEMPT_INVALID", "An attempt must be a list of keystrokes, each with typed_at and character."),
    "attempts": ("ATTEMPT_INVALID", "The attempts must be a list of lists of keystrokes."),
}


def wrong(field: str) -> InvalidArgument | None:
    """The error of a field, or of one inside it ("params.rounds"); None where nothing is known of it."""
    known = _WRONG.get(field.split(".")[0])
    return InvalidArgument(*known, field) if known else None
