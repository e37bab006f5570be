"""Errors as HTTP tells them: RFC 9457 problem documents."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from pydantic import BaseModel, ConfigDict

from keyprint.errors import InvalidArgument, KeyprintError, status_of
from keyprint.fields import wrong

MEDIA_TYPE = "application/problem+json"


class Problem(BaseModel):
    """What went wrong (RFC 9457)."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "type": "about:blank",
                "title": "Bad Request",
                "status": 400,
                "detail": "The hold-out must be a number above 0 and below 1, like 0.2.",
                "reason": "HOLDOUT_OUT_OF_RANGE",
                "field": "holdout",
            }
        }
    )

    type: str = "about:blank"
    title: str
    """The phrase of the HTTP status."""
    status: int
    detail: str
    """One sentence for people: what was wrong and what would be right."""
    reason: str
    """Stable, for programs; the same word as in gRPC's ErrorInfo."""
    field: str = ""
    """The request's field that it concerns, if one does."""


def document(status: int, reason: str, detail: str, field: str = "") -> dict[str, Any]:
    """A problem document."""
    # A refused name may be quoted, and what is no text cannot be written.
    detail, field = (text.encode(errors="replace").decode() for text in (detail, field))
    body = Problem(title=HTTPStatus(status).phrase, status=status, detail=detail, reason=reason, field=field)
    return body.model_dump()


def document_of(error: KeyprintError) -> dict[str, Any]:
    """One of our errors as a problem document."""
    return document(status_of(error).http, error.reason, error.message, error.field)


def of_validation(errors: Sequence[Mapping[str, Any]]) -> InvalidArgument:
    """The first of pydantic's complaints in our words."""
    first = errors[0]
    kind: str = first["type"]
    # The place begins with "body", "query", "path" or "header".
    field = ".".join(str(part) for part in first["loc"][1:])
    if kind == "json_invalid":
        return InvalidArgument("BODY_INVALID", "The request's body is not JSON.")
    if not field:
        return InvalidArgument("BODY_INVALID", "The request's body must be a JSON object.")
    if kind == "extra_forbidden":
        return InvalidArgument("FIELD_UNKNOWN", f"There is no field {field!r} here.", field)
    known = wrong(field)
    if known:
        return known
    if kind == "missing":
        return InvalidArgument("FIELD_MISSING", f"The field {field!r} is missing.", field)
    return InvalidArgument("FIELD_INVALID", f"The field {field!r} is wrong: {first['msg']}.", field)
