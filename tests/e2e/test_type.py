"""The Type page tells people apart who type in it, with real keys in real time."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pytest
from playwright.sync_api import Page, expect

from keyprint.attempts import DEFAULT_PHRASE
from tests.e2e.browser import BROWSER, PATIENCE_MS
from tests.e2e.screenshots import shoot

pytestmark = BROWSER

WANTED = 8


@dataclass(frozen=True)
class Hands:
    """A person's rhythm: ms before each key of the phrase, and ms that each is held."""

    gaps: Sequence[float]
    holds: Sequence[float]

    @classmethod
    def made(cls, seed: int, pace: float, hold: float) -> Hands:
        """Hands of a pace and a touch, with habits of their own."""
        rng = np.random.default_rng(seed)
        keys = len(DEFAULT_PHRASE)
        return cls(
            (pace * np.exp(rng.normal(0, 0.35, keys))).tolist(), (hold * np.exp(rng.normal(0, 0.2, keys))).tolist()
        )

    def type(self, page: Page, text: str = DEFAULT_PHRASE) -> None:
        """Presses and releases the keys of `text` when their time has come, some before the one before is let go."""
        pressed = np.cumsum(self.gaps[: len(text)])
        events = [(at, True, key) for at, key in zip(pressed, text, strict=False)]
        # A key that comes twice in a row has to go up in between.
        ends = [at + held for at, held in zip(pressed, self.holds, strict=False)]
        for number, (one, other) in enumerate(pairwise(text)):
            if one == other:
                ends[number] = min(ends[number], pressed[number + 1] - 5)
        events += [(at, False, key) for at, key in zip(ends, text, strict=True)]
        began = time.monotonic()
        for at, down, key in sorted(events):
            time.sleep(max(0.0, began + at / 1000 - time.monotonic()))
            if down:
                page.keyboard.down(key)
            else:
                page.keyboard.up(key)


ANN = Hands.made(1, pace=70, hold=45)
BEN = Hands.made(2, pace=48, hold=75)


def enrol(page: Page, name: str, hands: Hands, leaves: bool = False) -> None:
    """Types eight times, and then waits, or leaves at once and comes back."""
    page.get_by_label("Your name").fill(name)
    page.get_by_role("button", name="Begin").click()
    for attempt in range(1, WANTED + 1):
        expect(page.locator("#typing-title")).to_have_text(f"{name}: attempt {attempt} of {WANTED}")
        hands.type(page)
    if leaves:
        page.goto("/")
        page.goto("/type")
    expect(page.locator("#typing-title")).to_have_text("Who is typing?", timeout=PATIENCE_MS)


def test_two_people_at_one_keyboard_are_told_apart(page: Page) -> None:
    page.goto("/type")
    shoot(page, "type-empty")
    enrol(page, "Ann", ANN)
    shoot(page, "type-known")
    ANN.type(page)
    name = page.locator("#headline .headline-name")
    expect(name).to_have_text("Ann")
    expect(page.locator("#verdict .bars li").first).to_contain_text("Ann")
    expect(page.locator("#verdict .phrase-key")).to_have_count(len(DEFAULT_PHRASE))
    expect(page.locator("#verdict")).to_contain_text("What spoke for and against Ann")

    page.get_by_role("button", name="Enrol somebody else").click()
    page.get_by_label("Your name").fill("Ann")
    page.get_by_role("button", name="Begin").click()
    expect(page.locator("#name-error")).to_contain_text("known already")
    enrol(page, "Ben", BEN, leaves=True)
    for who, hands in (("Ben", BEN), ("Ann", ANN), ("Ben", BEN)):
        hands.type(page)
        expect(page.locator("#strips li").first).to_contain_text(who)
        expect(name).to_have_text(who)
    shoot(page, "type-answer")

    page.reload()
    expect(page.locator("#known li")).to_have_text(["Ann", "Ben"])
    ANN.type(page)
    expect(name).to_have_text("Ann")

    page.get_by_role("button", name="Forget everybody").click()
    page.get_by_role("button", name="Forget", exact=True).click()
    expect(page.get_by_label("Your name")).to_be_visible()


def test_an_enrolment_is_found_again_after_leaving(page: Page) -> None:
    page.goto("/type")
    page.get_by_label("Your name").fill("Ann")
    page.get_by_role("button", name="Begin").click()
    ANN.type(page)
    expect(page.locator("#typing-title")).to_have_text("Ann: attempt 2 of 8")
    ANN.type(page, "Be Authentoc")
    shoot(page, "type-enrolment")
    page.goto("/")
    page.goto("/type")
    expect(page.locator("#typing-title")).to_have_text("Ann: attempt 2 of 8")
    expect(page.locator("#strips li")).to_have_count(1)
    page.get_by_role("button", name="Stop").click()
    expect(page.get_by_label("Your name")).to_be_visible()


@pytest.mark.parametrize("name", ["", "typist07", "x" * 41])
def test_a_name_that_will_not_do_is_refused_beside_it(page: Page, name: str) -> None:
    page.goto("/type")
    page.get_by_label("Your name").fill(name)
    page.get_by_role("button", name="Begin").click()
    expect(page.locator("#name-error")).not_to_be_empty()
    expect(page.get_by_label("Your name")).to_be_focused()


def test_slips_are_corrected_and_what_is_no_typing_is_refused(page: Page) -> None:
    page.goto("/type")
    page.get_by_label("Your name").fill("Ann")
    page.get_by_role("button", name="Begin").click()
    field = page.get_by_label("Type it here")
    ANN.type(page, "Bi")
    expect(page.locator("#slip")).to_be_visible()
    page.keyboard.press("Backspace")
    expect(page.locator("#slip")).to_be_hidden()
    expect(field).to_have_value("B")
    # A key that is held repeats itself, and stays one press.
    for _ in range(3):
        page.keyboard.down("e")
    expect(field).to_have_value("Be")
    page.keyboard.up("e")
    page.keyboard.press("ArrowLeft")
    page.keyboard.press(" ")
    expect(field).to_have_value("Be ")
    page.evaluate(
        """() => {
            const data = new DataTransfer();
            data.setData("text/plain", "Authentic.");
            document.getElementById("typed").dispatchEvent(
                new ClipboardEvent("paste", { clipboardData: data, bubbles: true, cancelable: true }));
        }"""
    )
    expect(page.locator("#refused")).to_contain_text("no rhythm")
    expect(field).to_have_value("")
    ANN.type(page, "Be")
    page.get_by_role("heading", name="Type", exact=True).click()
    expect(page.locator("#refused")).to_contain_text("went elsewhere")
    expect(field).to_have_value("")


def test_keyboards_on_a_screen_tell_characters_without_keys(page: Page) -> None:
    page.goto("/type")
    page.get_by_label("Your name").fill("Ann")
    page.get_by_role("button", name="Begin").click()
    field = page.get_by_label("Type it here")
    field.focus()
    for character in DEFAULT_PHRASE:
        page.keyboard.insert_text(character)
    expect(page.locator("#typing-title")).to_have_text("Ann: attempt 2 of 8")
    # Nobody saw these keys go up.
    expect(page.locator("#strips .key.unseen")).to_have_count(len(DEFAULT_PHRASE))
    # A word at once, as a suggestion gives it, has no rhythm.
    page.keyboard.insert_text("Be Authentic.")
    expect(page.locator("#refused")).to_contain_text("single keys")
    expect(field).to_have_value("")


def test_an_answer_about_nobody_known_has_no_share_and_lines_begin_together(page: Page) -> None:
    known = json.dumps({"people": ["Ann"], "dataset": "ds_1", "made": ["ds_1"], "model": "type-1", "version": 1})
    page.add_init_script(f"localStorage.setItem('keyprint.type', {json.dumps(known)})")
    best = ["typist07", "Ann"]
    page.route(
        "**/v1/models/type-1@1:identify",
        lambda route: route.fulfill(
            json={
                "candidates": [{"user": best[0], "probability": 0.24}],
                "decision": "UNKNOWN",
                "threshold": 0.5,
                "explanation": {"user": best.pop(0), "keys": []},
            }
        ),
    )
    page.goto("/type")
    labels = page.locator("#strips .strip-label")
    ANN.type(page)
    expect(labels).to_have_text(["Not Ann"])
    ANN.type(page)
    expect(labels).to_have_text(["Perhaps Ann, 24 %", "Not Ann"])
    begins = page.locator("#strips svg").evaluate_all("all => all.map((one) => one.getBoundingClientRect().x)")
    assert begins[0] == begins[1]


def test_there_is_a_way_back_from_enrolling_somebody_else(page: Page) -> None:
    known = json.dumps({"people": ["Ann"], "dataset": "ds_1", "made": ["ds_1"], "model": "type-1", "version": 1})
    page.add_init_script(f"localStorage.setItem('keyprint.type', {json.dumps(known)})")
    page.goto("/type")
    step = page.locator("#steps [aria-current]")
    expect(step).to_have_text("The answer")
    page.get_by_role("button", name="Enrol somebody else").click()
    expect(step).to_have_text("Your name")
    expect(page.get_by_label("Your name")).to_be_focused()
    page.get_by_role("button", name="Back").click()
    expect(step).to_have_text("The answer")
    expect(page.locator("#typing-title")).to_have_text("Who is typing?")
    expect(page.get_by_label("Your name")).to_be_hidden()
