"""Problems of validation in our words."""

from __future__ import annotations

import pytest

from keyprint.problems import of_validation


@pytest.mark.parametrize(
    ("kind", "place", "reason", "field"),
    [
        ("float_parsing", ("body", "holdout"), "HOLDOUT_OUT_OF_RANGE", "holdout"),
        ("missing", ("query", "dataset"), "DATASET_NOT_FOUND", "dataset"),
        ("missing", ("body", "user"), "FIELD_MISSING", "user"),
        ("float_parsing", ("body", "params", "depth"), "PARAMETER_INVALID", "params.depth"),
        ("extra_forbidden", ("body", "holdout", "x"), "FIELD_UNKNOWN", "holdout.x"),
        ("json_invalid", ("body", 17), "BODY_INVALID", ""),
        ("missing", ("body",), "BODY_INVALID", ""),
        ("string_too_long", ("header", "Idempotency-Key"), "FIELD_INVALID", "Idempotency-Key"),
    ],
)
def test_the_field_and_its_reason_are_named(kind: str, place: tuple[str | int, ...], reason: str, field: str) -> None:
    error = of_validation([{"type": kind, "loc": place, "msg": "Something is off"}])
    assert (error.reason, error.field) == (reason, field)
    assert error.message.endswith(".")


def test_only_the_first_complaint_is_told() -> None:
    complaints = [{"type": "missing", "loc": ("body", name), "msg": ""} for name in ("url", "phrase")]
    assert of_validation(complaints).field == "url"
