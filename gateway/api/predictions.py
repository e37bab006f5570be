"""Who typed this: one attempt, many, a claim, or a whole dataset."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Response
from fastapi.encoders import jsonable_encoder
from fastapi.responses import JSONResponse, StreamingResponse
from pyarrow import RecordBatch
from pydantic import Field

from gateway.api.parts import Body, FirstN, Responses, ServicesOf, Text, UInt32, answer, answers
from gateway.export import csv_pieces
from gateway.rpc import Services, begun
from keyprint.arrow import from_ipc
from keyprint.errors import InvalidArgument
from keyprint.jsonform import to_dict
from keyprint.source import attempt_from_source
from keyprint.v1 import inference_pb2

router = APIRouter(tags=["predictions"])

MESSAGES = (inference_pb2.IdentifyResponse, inference_pb2.VerifyResponse)

FILE_NAME = "output_predictions.csv"

_EXAMPLE = [
    {"typed_at": "2019-06-30T15:05:44.743893", "character": "B"},
    {"typed_at": "2019-06-30T15:05:44.905120", "character": "e", "released_at": "2019-06-30T15:05:44.991007"},
]

Attempt = Annotated[
    list[Any],
    Field(
        description="Keystrokes as in the source format: typed_at, character and, if known, released_at.",
        examples=[_EXAMPLE],
    ),
]
DatasetId = Annotated[str, Query(description="Dataset id.")]
RowsName = Annotated[Literal["attempts", "keystrokes"], Query(description="What a row is.")]


class IdentifyBody(Body):
    """One attempt, or many."""

    attempt: Attempt | None = Field(None, description="The one attempt.")
    attempts: list[Attempt] | None = Field(None, max_length=16_384, description="Many attempts, instead of one.")
    candidates: UInt32 = Field(0, description="Candidates wanted for the one attempt, 1 to 1000; 0 for 5.")
    explain: bool = Field(False, description="Whether to tell what each key of the one attempt said; of many, not.")


class VerifyBody(Body):
    """A claim."""

    user: Text = Field(description="Who they claim to be; one of the model's users.")
    attempt: Attempt
    far: float = Field(
        0.0, description="Share of false claims by the model's users to be accepted, at most 0.5; 0 for its default."
    )
    explain: bool = Field(False, description="Whether to tell what each key said for and against this user.")


_FLAGS = [value.name.removeprefix("FLAG_") for value in inference_pb2.Flag.DESCRIPTOR.values if value.number]

_IDENTIFIED: Responses = {
    200: {
        "description": "For one attempt its candidates; for many, `results` in their order.",
        "content": {
            "application/json": {
                "schema": {
                    "anyOf": [
                        {"$ref": "#/components/schemas/IdentifyResponse"},
                        {
                            "type": "object",
                            "required": ["model", "results"],
                            "properties": {
                                "model": {"type": "string"},
                                "results": {
                                    "type": "array",
                                    "items": {
                                        "type": "object",
                                        "required": ["user", "probability", "decision", "reason", "flags"],
                                        "properties": {
                                            "user": {"type": "string"},
                                            "probability": {"type": "number"},
                                            "decision": {"type": "string"},
                                            "reason": {"type": "string"},
                                            "flags": {"type": "array", "items": {"type": "string", "enum": _FLAGS}},
                                        },
                                    },
                                },
                            },
                        },
                    ]
                }
            }
        },
    }
}


@router.post("/v1/models/{name}:identify", responses=_IDENTIFIED)
async def identify(services: ServicesOf, name: str, body: IdentifyBody) -> Response:
    """Say who typed an attempt, or each of many. An attempt that is not valid is an answer, not an error."""
    if (body.attempt is None) == (body.attempts is None):
        raise InvalidArgument("ATTEMPT_INVALID", 'Give either "attempt" or "attempts".', "attempt")
    if body.attempts is not None:
        if body.explain:
            raise InvalidArgument(
                "EXPLAIN_INVALID", 'Only one attempt at a time can be explained; give "attempt".', "explain"
            )
        return JSONResponse(await _identify_many(services, name, body.attempts))
    request = inference_pb2.IdentifyRequest(
        model=name,
        attempt=attempt_from_source(body.attempt or []),
        candidates=body.candidates,
        explain=body.explain,
    )
    return answer(await services.call(services.inference.Identify, request))


async def _identify_many(services: Services, name: str, attempts: list[list[Any]]) -> dict[str, Any]:
    """Columns to the service and back, rows to the caller."""
    request = inference_pb2.BatchIdentifyRequest(model=name)
    for number, keystrokes in enumerate(attempts):
        try:
            attempt = attempt_from_source(keystrokes)
        except InvalidArgument as error:
            raise InvalidArgument(error.reason, error.message, f"attempts.{number}") from error
        request.length.append(len(keystrokes))
        request.character.extend(attempt.character)
        request.pressed_at.extend(attempt.pressed_at)
        request.released_at.extend(attempt.released_at)
    response = await services.call(services.inference.BatchIdentify, request)
    columns = to_dict(response)
    columns["flags"] = [[name for bit, name in enumerate(_FLAGS) if mask >> bit & 1] for mask in columns["flags"]]
    names = ("user", "probability", "decision", "reason", "flags")
    rows = zip(*(columns[one] for one in names), strict=True)
    return {"model": columns["model"], "results": [dict(zip(names, row, strict=True)) for row in rows]}


@router.post("/v1/models/{name}:verify", responses=answers(inference_pb2.VerifyResponse, "Whether the claim holds."))
async def verify(services: ServicesOf, name: str, body: VerifyBody) -> Response:
    """Decide whether an attempt was typed by the user they claim to be."""
    request = inference_pb2.VerifyRequest(
        model=name, user=body.user, attempt=attempt_from_source(body.attempt), far=body.far, explain=body.explain
    )
    return answer(await services.call(services.inference.Verify, request))


@router.get("/v1/models/{name}/predictions")
async def predict(
    services: ServicesOf, name: str, dataset: DatasetId, first_n: FirstN = 100, rows: RowsName = "attempts"
) -> Response:
    """Predict the first attempts of a dataset, as JSON."""
    found: list[dict[str, Any]] = []
    async for batch in _predictions(services, name, dataset, rows, first_n):
        found.extend(batch.to_pylist())
    return JSONResponse({"model": name, "dataset": dataset, "rows": jsonable_encoder(found)})


@router.get(
    "/v1/models/{name}/predictions.csv",
    response_class=StreamingResponse,
    responses={200: {"description": FILE_NAME, "content": {"text/csv": {"schema": {"type": "string"}}}}},
)
async def predict_csv(services: ServicesOf, name: str, dataset: DatasetId, rows: RowsName = "attempts") -> Response:
    """Predict a whole dataset, as CSV. A transfer that breaks off is not the whole file."""
    batches = await begun(_predictions(services, name, dataset, rows, first_n=0))
    return StreamingResponse(
        csv_pieces(batches),
        media_type="text/csv; charset=utf-8",
        headers={"Content-Disposition": f"attachment; filename={FILE_NAME}", "Cache-Control": "no-store"},
    )


async def _predictions(
    services: Services, model: str, dataset: str, rows: RowsName, first_n: int
) -> AsyncGenerator[RecordBatch, None]:
    """Record batches as inference sends them; `first_n` 0 is all."""
    request = inference_pb2.PredictDatasetRequest(
        model=model,
        dataset=dataset,
        rows=inference_pb2.PredictDatasetRequest.Rows.Value(f"ROWS_{rows.upper()}"),
        first_n=first_n,
    )
    async for message in services.stream(services.inference.PredictDataset, request):
        yield from_ipc(message.ipc)
