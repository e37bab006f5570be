"""keyprint up and keyprint demo: all of Keyprint on this machine."""

from __future__ import annotations

import signal
import threading
from pathlib import Path
from typing import Annotated

import typer


def up() -> None:
    """Run ingest, training, inference and the gateway on this machine until Ctrl-C.

    Needs a checkout. Settings are KEYPRINT_ variables: KEYPRINT_HOME holds the state, KEYPRINT_<PART>_LISTEN says where
    a part listens. Each part's log is in logs/ under KEYPRINT_HOME. Exits with 1 if a part ends by itself.
    """
    import os

    from keyprint import processes
    from keyprint.localsettings import read
    from keyprint.onlyone import only_one

    root = processes.checkout()
    local = read()
    with only_one(local.home, "`keyprint up` or `keyprint demo`"):
        tree = processes.Tree(local.addresses, root, local.home, local.grace, os.environ)
        stopping = threading.Event()

        def stop(*_: object) -> None:
            if stopping.is_set():
                # Asked twice: no more patience.
                tree.kill()
            stopping.set()

        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, stop)
        with tree:
            if tree.wait(lambda part: _tell(part, local.addresses[part].reach.listen), stopping):
                typer.echo(f"Keyprint is up: {local.addresses['gateway'].url}  Ctrl-C stops it.")
                tree.watch(stopping)
            typer.echo("Stopping.")


def _tell(part: str, listen: str) -> None:
    typer.echo(f"  {part:<10} {listen}")


def demo(
    users: Annotated[int, typer.Option(min=2, max=1000, help="Made-up typists.")] = 20,
    attempts: Annotated[int, typer.Option(min=25, max=10_000, help="Attempts of each to learn from.")] = 60,
    home: Annotated[
        Path, typer.Option(envvar="KEYPRINT_HOME", help="Directory for all state; `keyprint up` goes on with it.")
    ] = Path("var"),
) -> None:
    """Show everything with made-up typists: import, train, compare, predict, CSV. Takes minutes, needs a checkout."""
    from keyprint.demo import run

    run(home, users, attempts)
