"""Whether the gateway lives, and whether everything behind it does."""

from __future__ import annotations

from http import HTTPStatus

from fastapi import APIRouter, Response
from fastapi.responses import JSONResponse

from gateway.api.parts import ServicesOf
from gateway.problems import problem

router = APIRouter(tags=["health"])

SERVING = "SERVING"


@router.get("/healthz")
async def healthz() -> dict[str, str]:
    """Whether the gateway itself answers."""
    return {"status": SERVING}


@router.get("/readyz")
async def readyz(services: ServicesOf) -> Response:
    """Whether all three services answer; 503 if one does not."""
    health = await services.health()
    missing = [name for name, state in health.items() if state != SERVING]
    if missing:
        return problem(
            HTTPStatus.SERVICE_UNAVAILABLE,
            "SERVICE_UNAVAILABLE",
            f"Not ready: {', '.join(f'{name} is {health[name]}' for name in missing)}.",
        )
    return JSONResponse({"status": SERVING, "services": health})
