"""Who typed this, and is this who they say they are: one attempt, many, or a claim."""

from __future__ import annotations

from fastapi import APIRouter, Response
from fastapi.responses import JSONResponse

from gateway.api.parts import Responses, ServicesOf, answer, answers
from gateway.api.quick import Calls
from keyprint.forms import FLAGS, IdentifyBody, VerifyBody, results
from keyprint.v1 import inference_pb2

router = APIRouter(tags=["predictions"])

MESSAGES = (inference_pb2.IdentifyResponse, inference_pb2.VerifyResponse)

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


@router.post("/v1/models/{name}:identify", responses=_IDENTIFIED)
async def identify(services: ServicesOf, name: str, body: IdentifyBody) -> Response:
    """Say who typed an attempt, or each of many. An attempt that is not valid is an answer, not an error."""
    request = body.request(name)
    if isinstance(request, inference_pb2.BatchIdentifyRequest):
        return JSONResponse(results(await services.call(services.inference.BatchIdentify, request)))
    return answer(await services.call(services.inference.Identify, request))


@router.post("/v1/models/{name}:verify", responses=answers(inference_pb2.VerifyResponse, "Whether the claim holds."))
async def verify(services: ServicesOf, name: str, body: VerifyBody) -> Response:
    """Decide whether an attempt was typed by the user they claim to be."""
    return answer(await services.call(services.inference.Verify, body.request(name)))


CALLS: Calls = {"identify": (identify, IdentifyBody), "verify": (verify, VerifyBody)}
"""What `gateway.api.quick` answers."""
