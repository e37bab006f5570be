"""Puts the gateway together."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from gateway import examples, pages, problems
from gateway.api import datasets, health, identify, models, predictions, training, uploads
from gateway.api.parts import PROBLEM
from gateway.api.quick import Quick
from gateway.guard import Guard, allowed_hosts
from gateway.requests import Requests
from gateway.rpc import Services
from gateway.schemas import schemas
from gateway.tags import Tags
from keyprint.bodies import Bodies, BodyLimits
from keyprint.problems import Problem
from keyprint.settings import GatewaySettings

DESCRIPTION = """\
Tells people apart by how they type: import typing data, look at it, train models, compare them, predict.

Every error is a problem document (RFC 9457) whose `reason` is stable and whose `field` names what to mend.
A model is called `name` (its newest version), `name@version` or `name@alias`.

What is posted may be sent again: the same source or the same files are the same dataset, and a second training job with
the `Idempotency-Key` of the first is the first; one that asks for something else gets 409.

Every answer has an `X-Request-Id`, the one that was sent or one that was made, which stands in the log of every
service that the request reached. `X-Request-Timeout` says for how many seconds the client waits: nothing works on for
longer. What is got as JSON has an `ETag`; `If-None-Match` gets 304 where nothing has changed.
"""

# In this order paths are looked for: what is called most comes first.
API = (identify, predictions, datasets, uploads, training, models, health)


def create_app(settings: GatewaySettings) -> FastAPI:
    """The gateway as an ASGI application, which connects to the services while it runs."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        app.state.services = Services(
            settings.ingest_address,
            settings.training_address,
            settings.inference_address,
            settings.gateway_timeout_seconds,
            settings.gateway_uploads,
        )
        yield
        await app.state.services.close()

    app = FastAPI(
        title="Keyprint",
        version=version("keyprint"),
        description=DESCRIPTION,
        # FastAPI's own pages load scripts from a CDN; `pages` has one that does not.
        docs_url=None,
        redoc_url=None,
        lifespan=lifespan,
        responses=PROBLEM,
        generate_unique_id_function=lambda route: route.name,
    )
    for module in API:
        app.include_router(module.router)
    app.openapi = lambda: _openapi(app)  # type: ignore[method-assign]  # FastAPI's way to extend its document
    pages.install(app)
    problems.install(app, pages.missing)
    app.add_middleware(Quick, calls=identify.CALLS)
    app.add_middleware(Tags)
    app.add_middleware(Guard, hosts=allowed_hosts(settings.gateway_listen, settings.gateway_hosts))
    # Around the guard, whose refusals come before a body's end too.
    app.add_middleware(Bodies, limits=body_limits(settings), streamed=(uploads.UPLOAD_PATH,))
    app.add_middleware(Requests)
    return app


def body_limits(settings: GatewaySettings) -> BodyLimits:
    """What a request's body may be."""
    return BodyLimits(
        settings.gateway_body_mib * 2**20, settings.gateway_read_seconds, settings.gateway_body_kib_second * 2**10
    )


def _openapi(app: FastAPI) -> dict[str, Any]:
    """FastAPI's document with the schemas of the answers, which are protobuf messages, added."""
    if app.openapi_schema is None:
        document = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
        messages = [message for module in (datasets, training, models, identify) for message in module.MESSAGES]
        components = document["components"]["schemas"]
        components.update(schemas(*messages))
        components["UploadForm"] = uploads.UploadForm.model_json_schema()
        components["Problem"] = Problem.model_json_schema()
        examples.add(document)
        app.openapi_schema = document
    return app.openapi_schema
