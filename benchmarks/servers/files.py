"""Serves the files below a directory over HTTP: python -m benchmarks.servers.files HOST PORT DIRECTORY

The kernel sends them, so that as little as can be of what is measured beside it is this server's own.
"""

from __future__ import annotations

import os
import sys
from functools import partial
from http import HTTPStatus
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Files(SimpleHTTPRequestHandler):
    """Answers on connections that stay open, and says nothing of it."""

    protocol_version = "HTTP/1.1"

    def copyfile(self, source: Any, outputfile: Any) -> None:
        """Sends a file."""
        size, sent = os.fstat(source.fileno()).st_size, 0
        while sent < size:
            sent += os.sendfile(self.connection.fileno(), source.fileno(), sent, size - sent)

    def list_directory(self, path: Any) -> None:
        """Refuses to: there is no file to send."""
        self.send_error(HTTPStatus.NOT_FOUND)

    def log_message(self, *_: object) -> None:
        """Says nothing."""


def main() -> None:
    """Serves until it is ended."""
    host, port, directory = sys.argv[1:]
    with ThreadingHTTPServer((host, int(port)), partial(Files, directory=directory)) as server:
        server.serve_forever()


if __name__ == "__main__":
    main()
