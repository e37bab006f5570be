"""How the system shares cores among the threads of a process."""

from __future__ import annotations

import os
from contextlib import suppress


def let_finish() -> None:
    """Has this thread, and all that it starts from now on, go on when it wakes another, until it waits itself.

    Linux gives the core to who is woken, as a rule; here that one would wait for Python's lock at once, which who woke
    it holds, and give the core back. Where the system knows nothing of the sort, or forbids it, nothing changes. ADR 30
    has what it is worth.
    """
    # sched(7): threads of SCHED_BATCH are scheduled as others are, but do not preempt when they wake.
    if hasattr(os, "sched_setscheduler"):
        with suppress(OSError):
            os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
