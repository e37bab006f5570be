"""Routes that are called thousands of times a second."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, cast

from fastapi import Request, Response
from fastapi.routing import APIRoute
from pydantic import BaseModel, ValidationError

from gateway.api.parts import services_of


class QuickRoute(APIRoute):
    """A route whose endpoint takes `services`, what its path names and `body`, a model, and gives a response.

    FastAPI finds out anew for each request what an endpoint needs, which takes it longer than to read the body. What is
    not as it should be goes FastAPI's way, so that it is answered alike everywhere.
    """

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """What answers a request."""
        usual = super().get_route_handler()
        endpoint = self.endpoint
        model = cast(type[BaseModel], self.body_field.field_info.annotation) if self.body_field else None

        async def quick(request: Request) -> Response:
            if model is None or request.headers.get("content-type") != "application/json":
                return await usual(request)
            try:
                body = model.model_validate_json(await request.body())
            except ValidationError:
                return await usual(request)
            response: Response = await endpoint(services=await services_of(request), body=body, **request.path_params)
            return response

        return quick
