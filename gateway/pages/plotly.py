"""Plotly's JavaScript, as the installed package holds it."""

from __future__ import annotations

from http import HTTPStatus
from importlib.metadata import version

from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

FILE = "plotly.min.js"

FOLDER = f"/static/plotly-{version('plotly')}"
"""Named for the version, so that a browser may keep the file for good."""

ADDRESS = f"{FOLDER}/{FILE}"


class PlotlyFiles(StaticFiles):
    """The one file that pages need, of five megabytes."""

    def __init__(self) -> None:
        super().__init__(packages=[("plotly", "package_data")])

    async def get_response(self, path: str, scope: Scope) -> Response:
        """The file, with leave to keep it.

        Raises:
            HTTPException: another one is asked for.
        """
        if path != FILE:
            raise HTTPException(HTTPStatus.NOT_FOUND)
        response = await super().get_response(path, scope)
        response.headers["Cache-Control"] = "public, max-age=31536000, immutable"
        return response
