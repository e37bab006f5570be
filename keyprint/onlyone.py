"""State that one process has for itself."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from keyprint.errors import FailedPrecondition


@contextmanager
def only_one(home: Path, who: str) -> Iterator[None]:
    """Keeps a second process from the same state while the first one runs; whatever ends it lets go.

    Args:
        home: the directory of the state; made if it is not there.
        who: what uses it, for people.

    Raises:
        FailedPrecondition: there is one already.
    """
    home.mkdir(parents=True, exist_ok=True)
    with (home / "lock").open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise FailedPrecondition(
                "ALREADY_RUNNING",
                f"Another {who} uses {home}; stop it, or set KEYPRINT_HOME to another directory.",
                "KEYPRINT_HOME",
            ) from None
        yield
