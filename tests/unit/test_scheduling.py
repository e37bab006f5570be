"""How the system shares cores among the threads of a process."""

from __future__ import annotations

import os
import threading

import pytest

from keyprint.scheduling import let_finish


@pytest.mark.skipif(not hasattr(os, "sched_getscheduler"), reason="only Linux has scheduling policies")
def test_threads_that_are_started_later_let_each_other_finish_too_and_no_other_threads_do() -> None:
    found: list[int] = []

    def begin() -> None:
        let_finish()
        later = threading.Thread(target=lambda: found.append(os.sched_getscheduler(0)))
        later.start()
        later.join()
        found.append(os.sched_getscheduler(0))

    before = os.sched_getscheduler(0)
    thread = threading.Thread(target=begin)
    thread.start()
    thread.join()
    assert found == [os.SCHED_BATCH] * 2
    assert os.sched_getscheduler(0) == before


@pytest.mark.skipif(not hasattr(os, "sched_getscheduler"), reason="only Linux has scheduling policies")
def test_what_the_system_forbids_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def forbid(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "sched_setscheduler", forbid)
    before = os.sched_getscheduler(0)
    let_finish()
    assert os.sched_getscheduler(0) == before
