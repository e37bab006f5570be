"""Channels to Keyprint's services; needs grpcio alone."""

from __future__ import annotations

from collections.abc import Sequence

import grpc

from keyprint import requestid

MESSAGE_BYTES = 16 * 2**20
"""Largest message that a server accepts or a client receives."""

OPTIONS = [
    ("grpc.max_receive_message_length", MESSAGE_BYTES),
    ("grpc.max_send_message_length", MESSAGE_BYTES),
    # A container that is started again has another address, which gRPC would not ask for within half a minute.
    ("grpc.dns_min_time_between_resolutions_ms", 2_000),
    # A service that comes back is found within seconds; gRPC's own limit is two minutes.
    ("grpc.max_reconnect_backoff_ms", 2_000),
    # A connection that was dropped without a word is given up, and its calls end, when nothing answers.  Without data,
    # gRPC would ask twice and then no more.
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 20_000),
    ("grpc.http2.max_pings_without_data", 0),
]

NOT_AHEAD = [("grpc.http2.bdp_probe", 0)]
"""For long streams that are read slowly, and large requests that wait: gRPC would take in megabytes of each of them
before they are asked for."""


def channel(address: str, more: Sequence[tuple[str, int]] = ()) -> grpc.Channel:
    """A channel to the service at `address` ("host:port"), whose calls carry the request's id; `more` are options."""
    return grpc.intercept_channel(grpc.insecure_channel(address, options=[*OPTIONS, *more]), requestid.Carrier())
