"""What `identify` and `verify` take and give as JSON, on every surface: forms in, messages through, JSON out."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field
from pydantic_core import PydanticCustomError

from keyprint.errors import InvalidArgument
from keyprint.jsonform import to_dict
from keyprint.source import attempt_from_source
from keyprint.v1 import inference_pb2

FLAGS = [value.name.removeprefix("FLAG_") for value in inference_pb2.Flag.DESCRIPTOR.values if value.number]
"""What an attempt may be flagged with, in the order of a mask's bits."""

_EXAMPLE = [
    {"typed_at": "2019-06-30T15:05:44.743893", "character": "B"},
    {"typed_at": "2019-06-30T15:05:44.905120", "character": "e", "released_at": "2019-06-30T15:05:44.991007"},
]


class Body(BaseModel):
    """A request's body; a field that is not known is an error and no silent loss."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)


def _encodable(text: str) -> str:
    """JSON can write half of a surrogate pair, which is no text and cannot be sent on."""
    text.encode()
    return text


Text = Annotated[str, AfterValidator(_encodable)]


def _no_truth(value: object) -> object:
    """JSON tells true from 1, and Python does not."""
    if isinstance(value, bool):
        raise PydanticCustomError("number_type", "it must be a number, and not true or false")
    return value


Number = Annotated[float, BeforeValidator(_no_truth)]

Far = Annotated[
    Number,
    Field(
        description="False accept rate to decide at: the share of claims to be one user that the model believes of "
        "people whom it does not know; at most 0.5, 0 for the model's default.",
        json_schema_extra={"minimum": 0, "maximum": 0.5},
    ),
]

UInt32 = Annotated[int, Field(ge=0, le=2**32 - 1), BeforeValidator(_no_truth)]
"""Fits the proto's uint32; the service knows the range that makes sense."""

Truth = Annotated[bool, Field(strict=True)]
"""true or false, and no number or word in their place."""

_KEYSTROKE = {
    "type": "object",
    "required": ["typed_at", "character"],
    "properties": {
        "typed_at": {"type": "string", "format": "date-time"},
        "character": {"type": "string", "minLength": 1},
        "released_at": {"type": ["string", "null"], "format": "date-time"},
    },
}

Attempt = Annotated[
    list[Any],
    Field(
        description="Keystrokes as in the source format: typed_at, character and, if known, released_at.",
        examples=[_EXAMPLE],
        json_schema_extra={"items": _KEYSTROKE},
    ),
]


class IdentifyBody(Body):
    """One attempt, or many."""

    attempt: Attempt | None = Field(None, description="The one attempt.")
    attempts: list[Attempt] | None = Field(None, max_length=16_384, description="Many attempts, instead of one.")
    candidates: UInt32 = Field(
        0,
        description="Candidates wanted for the one attempt, 1 to 1000; 0 for 5.",
        json_schema_extra={"maximum": 1000},
    )
    explain: Truth = Field(False, description="Whether to tell what each key of the one attempt said; of many, not.")
    far: Far = 0.0

    def request(self, model: str) -> inference_pb2.IdentifyRequest | inference_pb2.BatchIdentifyRequest:
        """The message that asks a model for it: of one attempt, or of many as columns.

        Raises:
            InvalidArgument: there is not either of them, or a keystroke is not what it should be.
        """
        if (self.attempt is None) == (self.attempts is None):
            raise InvalidArgument("ATTEMPT_INVALID", 'Give either "attempt" or "attempts".', "attempt")
        if self.attempts is None:
            return inference_pb2.IdentifyRequest(
                model=model,
                attempt=attempt_from_source(self.attempt or []),
                candidates=self.candidates,
                explain=self.explain,
                far=self.far,
            )
        if self.explain:
            raise InvalidArgument(
                "EXPLAIN_INVALID", 'Only one attempt at a time can be explained; give "attempt".', "explain"
            )
        return _columns(model, self.attempts, self.far)


class VerifyBody(Body):
    """A claim."""

    user: Text = Field(description="Who they claim to be; one of the model's users.")
    attempt: Attempt
    far: Far = 0.0
    explain: Truth = Field(False, description="Whether to tell what each key said for and against this user.")

    def request(self, model: str) -> inference_pb2.VerifyRequest:
        """The message that asks a model for it.

        Raises:
            InvalidArgument: a keystroke is not what it should be.
        """
        return inference_pb2.VerifyRequest(
            model=model,
            user=self.user,
            attempt=attempt_from_source(self.attempt),
            far=self.far,
            explain=self.explain,
        )


def _columns(model: str, attempts: list[list[Any]], far: float) -> inference_pb2.BatchIdentifyRequest:
    request = inference_pb2.BatchIdentifyRequest(model=model, far=far)
    for number, keystrokes in enumerate(attempts):
        try:
            attempt = attempt_from_source(keystrokes)
        except InvalidArgument as error:
            raise InvalidArgument(error.reason, error.message, f"attempts.{number}") from error
        request.length.append(len(keystrokes))
        request.character.extend(attempt.character)
        request.pressed_at.extend(attempt.pressed_at)
        request.released_at.extend(attempt.released_at)
    return request


def results(response: inference_pb2.BatchIdentifyResponse) -> dict[str, Any]:
    """The columns of many answers as rows of JSON, in their order."""
    columns = to_dict(response)
    columns["flags"] = [[name for bit, name in enumerate(FLAGS) if mask >> bit & 1] for mask in columns["flags"]]
    names = ("user", "probability", "decision", "reason", "flags")
    rows = zip(*(columns[one] for one in names), strict=True)
    told = {name: columns[name] for name in ("model", "threshold", "far")}
    return {**told, "results": [dict(zip(names, row, strict=True)) for row in rows]}
