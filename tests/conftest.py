"""What tests of several parts share."""

from __future__ import annotations

import functools
import os
import tempfile
import threading
from collections.abc import Callable, Generator, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import hypothesis
import pytest

from keyprint import processes, simulate
from keyprint.addresses import Address
from keyprint.attempts import DEFAULT_PHRASE
from tests import otherbackend

# Machines are shared: how long an example takes says nothing.
hypothesis.settings.register_profile("keyprint", deadline=None)
hypothesis.settings.load_profile("keyprint")

Serve = Callable[[Callable[..., BaseHTTPRequestHandler]], AbstractContextManager[str]]

# BentoML makes its own directory while it is imported, in the user's home unless told otherwise, and reports its use.
os.environ["BENTOML_HOME"] = tempfile.mkdtemp(prefix="keyprint-bentoml-")
os.environ["BENTOML_DO_NOT_TRACK"] = "True"
# Some tests run it without keyprint.graph.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"


_MAY_BE_ABSENT = ("../shared", "accelerator")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What is quick comes first, and before there is a browser.

    As long as one is open, Playwright has an event loop in this thread, beside which no other can run.
    """
    items.sort(key=lambda item: "unit" not in item.path.parts)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """On CI a test that is skipped has failed: what it needs was not installed."""
    report = yield
    if report.skipped and os.environ.get("CI") == "true":
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        if not any(name in reason for name in _MAY_BE_ABSENT):
            report.outcome = "failed"
            report.longrepr = f"{item.nodeid} was skipped on CI: {reason}"
    return report


@contextmanager
def _serving(handler: Any) -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as listening:
        thread = threading.Thread(target=listening.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{listening.server_port}"
        finally:
            listening.shutdown()
            thread.join()


@pytest.fixture(scope="session")
def serve() -> Serve:
    """Runs a web server with the handler given while its context is open, and gives its URL."""
    return _serving


class Files(SimpleHTTPRequestHandler):
    """Serves files without a word."""

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name in the base class
        pass


@dataclass(frozen=True)
class Stack:
    """All four parts as processes, and typing data for them.

    Attributes:
        home: directory of their state and logs.
        addresses: where each part is.
        files: the directory that is served.
        files_url: and its URL.
        source_url: a chain of a few made-up typists at `phrase`.
        test_url: new attempts of the same, without their names; `files / "test_labels.csv"` has those.
    """

    home: Path
    addresses: dict[str, Address]
    files: Path
    files_url: str
    source_url: str
    test_url: str
    phrase: str = DEFAULT_PHRASE

    @property
    def gateway_url(self) -> str:
        """The gateway's pages and API."""
        return self.addresses["gateway"].url.rstrip("/")


@pytest.fixture(scope="session")
def keyprint_stack(tmp_path_factory: pytest.TempPathFactory, serve: Serve) -> Iterator[Stack]:
    """One house for all tests that want a whole one."""
    home, files = tmp_path_factory.mktemp("home"), tmp_path_factory.mktemp("files")
    first, *_ = simulate.write(files, 4, 30, DEFAULT_PHRASE, test=True)
    addresses = processes.free_addresses()
    environment = {**os.environ, "KEYPRINT_INGEST_ALLOW_NETS": "127.0.0.0/8"}
    tree = processes.Tree(addresses, processes.checkout(), home, 1.0, environment)
    with serve(functools.partial(Files, directory=str(files))) as url, tree:
        tree.wait(lambda part: None)
        yield Stack(home, addresses, files, url, f"{url}/{first.name}", f"{url}/test.json")


@pytest.fixture(scope="session")
def client_python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of an environment that holds what `make wheel` makes, with its base install, and no more."""
    return otherbackend.install(tmp_path_factory.mktemp("client"))
