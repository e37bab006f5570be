"""Who typed this: one attempt, many, a claim, or a whole dataset."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Response
from fastapi.encoders import jsonable_encoder
from fastapi.responses import JSONResponse, StreamingResponse
from pyarrow import RecordBatch

from gateway.api.parts import FirstN, Responses, ServicesOf, answer, answers
from gateway.api.quick import QuickRoute
from gateway.export import csv_pieces, parquet_pieces
from gateway.rpc import Services, begun
from keyprint.arrow import from_ipc
from keyprint.forms import FLAGS, Far, IdentifyBody, VerifyBody, results
from keyprint.v1 import inference_pb2

router = APIRouter(tags=["predictions"])
quick = APIRouter(route_class=QuickRoute)

MESSAGES = (inference_pb2.IdentifyResponse, inference_pb2.VerifyResponse)

FILE_NAME = "output_predictions"
PARQUET = "application/vnd.apache.parquet"

DatasetId = Annotated[str, Query(description="Dataset id.")]
RowsName = Annotated[Literal["attempts", "keystrokes"], Query(description="What a row is.")]


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
                            "required": ["model", "threshold", "far", "results"],
                            "properties": {
                                "model": {"type": "string"},
                                "threshold": {"type": "number"},
                                "far": {"type": "number"},
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
                                            "flags": {"type": "array", "items": {"type": "string", "enum": FLAGS}},
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


@quick.post("/v1/models/{name}:identify", responses=_IDENTIFIED)
async def identify(services: ServicesOf, name: str, body: IdentifyBody) -> Response:
    """Say who typed an attempt, or each of many. An attempt that is not valid is an answer, not an error."""
    request = body.request(name)
    if isinstance(request, inference_pb2.BatchIdentifyRequest):
        return JSONResponse(results(await services.call(services.inference.BatchIdentify, request)))
    return answer(await services.call(services.inference.Identify, request))


@quick.post("/v1/models/{name}:verify", responses=answers(inference_pb2.VerifyResponse, "Whether the claim holds."))
async def verify(services: ServicesOf, name: str, body: VerifyBody) -> Response:
    """Decide whether an attempt was typed by the user they claim to be."""
    return answer(await services.call(services.inference.Verify, body.request(name)))


router.include_router(quick)


@router.get("/v1/models/{name}/predictions")
async def predict(
    services: ServicesOf,
    name: str,
    dataset: DatasetId,
    first_n: FirstN = 100,
    rows: RowsName = "attempts",
    far: Far = 0.0,
) -> Response:
    """Predict the first attempts of a dataset, as JSON."""
    found: list[dict[str, Any]] = []
    async for batch in _predictions(services, name, dataset, rows, far, first_n):
        found.extend(batch.to_pylist())
    return JSONResponse({"model": name, "dataset": dataset, "rows": jsonable_encoder(found)})


def _file(kind: str, media_type: str, schema: dict[str, str]) -> Responses:
    return {200: {"description": f"{FILE_NAME}.{kind}", "content": {media_type: {"schema": schema}}}}


@router.get(
    "/v1/models/{name}/predictions.csv",
    response_class=StreamingResponse,
    responses=_file("csv", "text/csv", {"type": "string"}),
)
async def predict_csv(
    services: ServicesOf, name: str, dataset: DatasetId, rows: RowsName = "attempts", far: Far = 0.0
) -> Response:
    """Predict a whole dataset, as CSV. A transfer that breaks off is not the whole file."""
    batches = await begun(_predictions(services, name, dataset, rows, far, first_n=0))
    return _attachment(csv_pieces(batches), "csv", "text/csv; charset=utf-8")


@router.get(
    "/v1/models/{name}/predictions.parquet",
    response_class=StreamingResponse,
    responses=_file("parquet", PARQUET, {"type": "string", "format": "binary"}),
)
async def predict_parquet(
    services: ServicesOf, name: str, dataset: DatasetId, rows: RowsName = "attempts", far: Far = 0.0
) -> Response:
    """Predict a whole dataset, as Parquet. A transfer that breaks off is no file."""
    batches = await begun(_predictions(services, name, dataset, rows, far, first_n=0))
    return _attachment(parquet_pieces(batches), "parquet", PARQUET)


def _attachment(pieces: AsyncGenerator[bytes, None], kind: str, media_type: str) -> Response:
    headers = {"Content-Disposition": f"attachment; filename={FILE_NAME}.{kind}", "Cache-Control": "no-store"}
    return StreamingResponse(pieces, media_type=media_type, headers=headers)


async def _predictions(
    services: Services, model: str, dataset: str, rows: RowsName, far: float, first_n: int
) -> AsyncGenerator[RecordBatch, None]:
    """Record batches as inference sends them; `first_n` 0 is all."""
    request = inference_pb2.PredictDatasetRequest(
        model=model,
        dataset=dataset,
        rows=inference_pb2.PredictDatasetRequest.Rows.Value(f"ROWS_{rows.upper()}"),
        first_n=first_n,
        far=far,
    )
    async for message in services.stream(services.inference.PredictDataset, request):
        yield from_ipc(message.ipc)
