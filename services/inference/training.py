"""What a call to the training service that failed means for who asked inference."""

from __future__ import annotations

import grpc

from keyprint.errors import DeadlineExceeded, KeyprintError, Unavailable, from_rpc_error

RETRY_SECONDS = 2.0


def told(caught: grpc.RpcError) -> KeyprintError:
    """What training raised; a training that took too long does not answer, and the caller's own time goes on."""
    error = from_rpc_error(caught, "training")
    if isinstance(error, DeadlineExceeded):
        return Unavailable(
            "SERVICE_UNAVAILABLE",
            "Keyprint's training service does not answer in time; try again in a moment.",
            retry_seconds=RETRY_SECONDS,
        )
    return error
