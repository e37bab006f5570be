"""From nothing to people who are told apart at the Type page, by the clock."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from keyprint import processes
from tests.e2e.browser import BROWSER, PATIENCE_MS
from tests.e2e.test_type import WANTED, Hands

pytestmark = BROWSER

TWO_MINUTES = 120.0
PACE_MS = float(os.environ.get("KEYPRINT_TEST_PACE_MS", "70"))
"""Before each key; `make soak` types as people do."""


class Clock:
    """Seconds of each part of the way, which it prints."""

    def __init__(self) -> None:
        self._began = self._at = time.monotonic()

    @property
    def whole(self) -> float:
        return time.monotonic() - self._began

    def tell(self, what: str) -> None:
        now = time.monotonic()
        print(f"{now - self._at:6.1f} s  {what}")  # noqa: T201 - for whoever runs it with -s
        self._at = now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def fresh(browser: Browser, clock: Clock, tmp_path: Path) -> Iterator[Page]:
    """A page before a Keyprint that has just been started, with nothing in it."""
    addresses = processes.free_addresses()
    with processes.Tree(addresses, processes.checkout(), tmp_path, 1.0, dict(os.environ)) as tree:
        tree.wait(lambda part: None)
        clock.tell("until all four parts were up")
        context = browser.new_context(base_url=addresses["gateway"].url)
        page = context.new_page()
        page.set_default_timeout(PATIENCE_MS)
        yield page
        context.close()


def enrol(page: Page, clock: Clock, name: str, hands: Hands) -> None:
    page.get_by_label("Your name").fill(name)
    page.get_by_role("button", name="Begin").click()
    for attempt in range(1, WANTED + 1):
        expect(page.locator("#typing-title")).to_have_text(f"{name}: attempt {attempt} of {WANTED}")
        hands.type(page)
    clock.tell(f"{name} typed {WANTED} times")
    expect(page.locator("#typing-title")).to_have_text("Who is typing?", timeout=PATIENCE_MS)
    clock.tell(f"until {name} was learned")


def test_from_a_fresh_start_somebody_is_recognised_within_two_minutes_and_then_another(
    fresh: Page, clock: Clock
) -> None:
    ann, ben = Hands.made(1, pace=PACE_MS, hold=45), Hands.made(2, pace=0.7 * PACE_MS, hold=75)
    name = fresh.locator("#headline .headline-name")
    fresh.goto("/type")
    clock.tell("until the page was there")
    enrol(fresh, clock, "Ann", ann)
    ann.type(fresh)
    clock.tell("Ann typed once more")
    expect(name).to_have_text("Ann")
    clock.tell("until Ann was recognised")
    assert clock.whole < TWO_MINUTES

    fresh.get_by_role("button", name="Enrol somebody else").click()
    enrol(fresh, clock, "Ben", ben)
    for who, hands in (("Ben", ben), ("Ann", ann)):
        hands.type(fresh)
        expect(fresh.locator("#strips li").first).to_contain_text(who)
        expect(name).to_have_text(who)
        clock.tell(f"{who} typed and was recognised")
