"""Runs the gateway: `python -m gateway`."""

from __future__ import annotations

import gc
import logging
import signal

import pyarrow as pa
import uvicorn

from gateway.app import create_app
from gateway.protocol import timely
from keyprint import logs
from keyprint.addresses import Address, setting_of
from keyprint.settings import GatewaySettings, read, run

log = logging.getLogger("gateway")


def main() -> None:
    """Serves until SIGTERM or SIGINT."""
    settings = read(GatewaySettings)
    logs.configure(settings.log_level)
    # Arrow's own pools keep more of what a file took.
    pa.set_memory_pool(pa.system_memory_pool())
    address = Address.parse(settings.gateway_listen, setting_of("gateway"))
    config = uvicorn.Config(
        create_app(settings),
        host=address.host,
        port=address.port,
        http=timely(settings.gateway_read_seconds),
        log_config=None,
        access_log=False,
        server_header=False,
        # Nothing here asks who the client is, or by which scheme it came.
        proxy_headers=False,
        timeout_graceful_shutdown=max(1, round(settings.grace_seconds)),
    )
    # What is loaded by now stays; to look through it for garbage took a sixth of a busy gateway's time.
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)
    # uvicorn stops gracefully on a signal and then raises it once more for whoever handled it before;
    # for us the stop is all there is to do, and the exit status is 0.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)
    uvicorn.Server(config).run()


if __name__ == "__main__":
    run(main)
