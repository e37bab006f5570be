"""Whoever asks gets their own answer, however many ask at once."""

from __future__ import annotations

import queue
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from services.inference.together import MOST, Together

THREADS, EACH = 64, 50


class Doubling:
    """Doubles numbers, refuses negative ones, and notes how many it was given at once."""

    def __init__(self) -> None:
        self.sizes: list[int] = []
        self.at_work = threading.Event()
        self.goes_on = threading.Event()
        self.goes_on.set()

    def __call__(self, numbers: Sequence[int]) -> list[int]:
        self.sizes.append(len(numbers))
        self.at_work.set()
        assert self.goes_on.wait(10)
        if any(number < 0 for number in numbers):
            raise ValueError(f"negative: {numbers}")
        return [2 * number for number in numbers]


def test_thousands_of_callers_at_once_each_get_their_own_answer() -> None:
    together, work = Together[int, int](), Doubling()
    with ThreadPoolExecutor(THREADS) as pool:
        answers = list(pool.map(lambda number: together(number, work), range(THREADS * EACH)))
    assert answers == [2 * number for number in range(THREADS * EACH)]
    assert sum(work.sizes) == THREADS * EACH
    assert max(work.sizes) <= MOST


def behind(together: Together[int, int], work: Doubling, numbers: Sequence[int]) -> list[int | Exception]:
    """What each of several gets who ask while somebody else, with 1, is worked for."""

    def ask(number: int) -> int | Exception:
        try:
            return together(number, work)
        except ValueError as error:
            return error

    work.goes_on.clear()
    with ThreadPoolExecutor(len(numbers) + 1) as pool:
        first = pool.submit(ask, 1)
        assert work.at_work.wait(10)
        others = [pool.submit(ask, number) for number in numbers]
        while together.waiting < len(numbers):
            threading.Event().wait(0.001)
        work.goes_on.set()
        assert first.result() == 2
        return [one.result() for one in others]


def test_who_comes_while_another_is_worked_for_is_worked_for_together() -> None:
    together, work = Together[int, int](), Doubling()
    assert behind(together, work, [10, 11, 12]) == [20, 22, 24]
    assert work.sizes == [1, 3]


def test_no_more_are_worked_for_at_once_than_may_be() -> None:
    together, work = Together[int, int](), Doubling()
    assert behind(together, work, range(MOST + 5)) == [2 * number for number in range(MOST + 5)]
    assert work.sizes == [1, MOST, 5]


def test_what_fails_fails_for_its_own_caller_alone() -> None:
    together, work = Together[int, int](), Doubling()
    ten, wrong, twelve = behind(together, work, [10, -1, 12])
    assert (ten, twelve) == (20, 24)
    assert isinstance(wrong, ValueError)
    assert str(wrong) == "negative: [-1]"


def test_a_failure_leaves_nothing_behind() -> None:
    together, work = Together[int, int](), Doubling()
    with pytest.raises(ValueError, match="negative"):
        together(-1, work)
    assert together(3, work) == 6


def test_a_failure_before_the_work_leaves_nothing_behind_either() -> None:
    work, coming = Doubling(), iter([0, 1])

    def count() -> int:
        return 1 // next(coming)

    together, answers = Together[int, int](count), queue.SimpleQueue[int]()
    with pytest.raises(ZeroDivisionError):
        together(2, work)
    threading.Thread(target=lambda: answers.put(together(3, work)), daemon=True).start()
    assert answers.get(timeout=10) == 6


def test_who_works_waits_for_those_who_are_said_to_come() -> None:
    work = Doubling()
    together = Together[int, int](lambda: 3)
    # Longer than any wait here lasts, so that all three come in time.
    with pytest.MonkeyPatch.context() as patch, ThreadPoolExecutor(3) as pool:
        patch.setattr("services.inference.together._PATIENCE_SECONDS", 10)
        assert list(pool.map(lambda number: together(number, work), [1, 2, 3])) == [2, 4, 6]
    assert work.sizes == [3]


def test_who_is_said_to_come_and_does_not_is_not_waited_for_long() -> None:
    together, work = Together[int, int](lambda: 3), Doubling()
    assert together(1, work) == 2
    assert work.sizes == [1]
