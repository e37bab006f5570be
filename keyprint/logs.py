"""How every process logs."""

from __future__ import annotations

import logging

from keyprint import requestid

FORMAT = "%(asctime)s %(levelname)s %(name)s%(request)s %(message)s"


def configure(level: int | str) -> None:
    """Logs from `level` on to standard error, with the id of the request that a line is about, if there is one."""
    logging.basicConfig(level=level, format=FORMAT)
    for handler in logging.getLogger().handlers:
        tell_requests(handler)


def tell_requests(handler: logging.Handler) -> None:
    """Gives each record of a handler its `request`: the id in brackets after a space, or nothing."""
    handler.addFilter(_with_request)


def _with_request(record: logging.LogRecord) -> bool:
    found = requestid.current()
    record.request = f" [{found}]" if found else ""
    return True
