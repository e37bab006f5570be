"""Models: what there is, and which version a name means."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing

from fastapi import APIRouter, Response
from fastapi.responses import StreamingResponse
from pydantic import Field

from gateway.api.parts import PageSize, PageToken, ServicesOf, answer, answers
from gateway.rpc import begun
from keyprint.forms import Body, UInt32
from keyprint.v1 import training_pb2

router = APIRouter(tags=["models"])

MESSAGES = (training_pb2.Model, training_pb2.ListModelsResponse, training_pb2.ListAliasMovesResponse)

_FILE = {"type": "string", "format": "binary"}


class AliasRequest(Body):
    """Which version an alias is to mean."""

    version: UInt32 = Field(0, description="The version; 0 for the newest.")


@router.get("/v1/models", responses=answers(training_pb2.ListModelsResponse, "A page, newest first."))
async def list_models(services: ServicesOf, page_size: PageSize = 0, page_token: PageToken = "") -> Response:
    """List models, every version, without their curves and details."""
    request = training_pb2.ListModelsRequest(page_size=page_size, page_token=page_token)
    return answer(await services.call(services.training.ListModels, request))


@router.get("/v1/models/{name}", responses=answers(training_pb2.Model, "The model."))
async def get_model(services: ServicesOf, name: str) -> Response:
    """Get one model: `name` (its newest version), `name@version` or `name@alias`."""
    return answer(await services.call(services.training.GetModel, training_pb2.GetModelRequest(model=name)))


@router.get(
    "/v1/models/{name}/package",
    response_class=StreamingResponse,
    responses={200: {"description": "name-version.keyprint", "content": {"application/x-tar": {"schema": _FILE}}}},
)
async def export_model(services: ServicesOf, name: str) -> Response:
    """Download a model as a file, which `keyprint models import` publishes elsewhere."""
    request = training_pb2.DownloadModelRequest(model=name)
    pieces = await begun(services.stream(services.training.DownloadModel, request))
    header = (await anext(pieces)).header
    file_name = f"{header.model.name}-{header.model.version}.keyprint"
    return StreamingResponse(
        _contents(pieces),
        media_type="application/x-tar",
        headers={
            "Content-Disposition": f"attachment; filename={file_name}",
            "Content-Length": str(header.size),
            "ETag": f'"{header.model.digest}"',
        },
    )


async def _contents(pieces: AsyncGenerator[training_pb2.DownloadModelResponse, None]) -> AsyncGenerator[bytes, None]:
    async with aclosing(pieces):
        async for piece in pieces:
            yield piece.content


@router.delete("/v1/models/{name}", status_code=204)
async def delete_model(services: ServicesOf, name: str) -> None:
    """Delete a model; a bare name deletes all its versions."""
    await services.call(services.training.DeleteModel, training_pb2.DeleteModelRequest(model=name))


@router.get(
    "/v1/models/{name}/aliases", responses=answers(training_pb2.ListAliasMovesResponse, "A page, newest first.")
)
async def list_alias_moves(
    services: ServicesOf, name: str, page_size: PageSize = 0, page_token: PageToken = ""
) -> Response:
    """List where the aliases of a name pointed, and since when."""
    request = training_pb2.ListAliasMovesRequest(model=name, page_size=page_size, page_token=page_token)
    return answer(await services.call(services.training.ListAliasMoves, request))


@router.put("/v1/models/{name}/aliases/{alias}", responses=answers(training_pb2.Model, "What the alias now means."))
async def set_model_alias(services: ServicesOf, name: str, alias: str, body: AliasRequest | None = None) -> Response:
    """Point an alias of a name at a version: the body's, or the one in `name@version`, or the newest."""
    model = f"{name}@{body.version}" if body is not None and body.version else name
    request = training_pb2.SetModelAliasRequest(model=model, alias=alias)
    return answer(await services.call(services.training.SetModelAlias, request))
