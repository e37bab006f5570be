"""Who typed the attempts of a dataset, as JSON and as files."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Response
from fastapi.encoders import jsonable_encoder
from fastapi.responses import JSONResponse, StreamingResponse
from pyarrow import RecordBatch

from gateway.api.parts import FirstN, Responses, ServicesOf
from gateway.export import csv_pieces, parquet_pieces
from gateway.rpc import Services, begun
from keyprint.arrow import from_ipc
from keyprint.forms import Far
from keyprint.v1 import inference_pb2

router = APIRouter(tags=["predictions"])

FILE_NAME = "output_predictions"
PARQUET = "application/vnd.apache.parquet"

DatasetId = Annotated[str, Query(description="Dataset id.")]
RowsName = Annotated[Literal["attempts", "keystrokes"], Query(description="What a row is.")]


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
