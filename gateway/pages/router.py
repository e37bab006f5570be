"""The addresses of the pages and of the files that they load."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, cast

from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.templating import Jinja2Templates
from markupsafe import Markup, escape
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from gateway.pages import plotly
from keyprint.attempts import DEFAULT_PHRASE

GATEWAY = Path(__file__).parent.parent

PAGES = {
    "/": "home",
    "/analyze": "analyze",
    "/train": "train",
    "/models": "models",
    "/evaluate": "evaluate",
    "/type": "type",
}
"""Address to template."""

templates = Jinja2Templates(GATEWAY / "pages" / "templates")
templates.env.trim_blocks = True
templates.env.lstrip_blocks = True
templates.env.globals |= {"plotly": plotly.ADDRESS, "default_phrase": DEFAULT_PHRASE}


def _code(text: str) -> Markup:
    """What stands between backticks as code."""
    return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(text))))  # noqa: S704 (escaped before)


templates.env.filters["code"] = _code


class Static(StaticFiles):
    """Files that a browser asks about again each time, so that a new version is seen at once."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        response = await super().get_response(path, scope)
        response.headers["Cache-Control"] = "no-cache"
        return response


def install(app: FastAPI) -> None:
    """Adds the pages and their files to `app`."""
    router = APIRouter(include_in_schema=False, default_response_class=Response)
    for address, name in PAGES.items():
        router.add_api_route(address, _page(name), methods=["GET", "HEAD"], name=name)
    router.add_api_route("/docs", _docs, methods=["GET", "HEAD"], name="docs")
    app.include_router(router)
    app.mount(plotly.FOLDER, plotly.PlotlyFiles(), name="plotly")
    app.mount("/static", Static(directory=GATEWAY / "static"), name="static")


def _page(name: str) -> Any:
    async def page(request: Request) -> Response:
        return templates.TemplateResponse(request, f"{name}.html", {"page": name})

    return page


def missing(request: Request) -> Response:
    """What a browser gets for an address at which there is nothing."""
    return templates.TemplateResponse(request, "missing.html", {"page": "missing"}, 404)


async def _docs(request: Request) -> Response:
    """The API's own description, as a page that works offline."""
    document = cast(FastAPI, request.app).openapi()
    calls: dict[str, list[dict[str, Any]]] = {}
    for path, methods in document["paths"].items():
        for method, call in methods.items():
            calls.setdefault(call["tags"][0], []).append({"method": method.upper(), "path": path, **call})
    context = {"page": "docs", "document": document, "calls": calls, "schemas": document["components"]["schemas"]}
    return templates.TemplateResponse(request, "docs.html", context)
