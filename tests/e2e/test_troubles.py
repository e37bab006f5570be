"""What people do to pages, and what services do to them, is told in one clear sentence."""

from __future__ import annotations

import json
import re
import threading
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Dialog, Page, Route, expect

from tests.conftest import Stack
from tests.e2e.browser import BROWSER, PATIENCE_MS
from tests.e2e.steps import api
from tests.e2e.test_type import ANN, BEN, WANTED, enrol

pytestmark = BROWSER

DOWN: dict[str, Any] = {
    "status": 503,
    "reason": "SERVICE_UNAVAILABLE",
    "field": "",
    "detail": "Keyprint's training service does not answer; is it running?",
}


def down(route: Route) -> None:
    route.fulfill(status=503, json=DOWN)


def test_home_shows_what_there_is_while_a_service_is_down(page: Page, imported: str) -> None:
    for name in ("models", "training-jobs"):
        page.route(f"**/v1/{name}?*", down)
    page.goto("/")
    expect(page.locator("#datasets table")).to_contain_text("READY")
    expect(page.locator("#jobs")).to_have_text(DOWN["detail"])
    expect(page.locator("#tiles .tile", has_text="models").locator("b")).to_have_text("\u2013")
    # And comes back by itself.
    for name in ("models", "training-jobs"):
        page.unroute(f"**/v1/{name}?*")
    expect(page.locator("#jobs .error")).to_have_count(0)


@pytest.mark.parametrize("path", ["/train", "/models", "/evaluate"])
def test_pages_say_which_service_is_down(page: Page, path: str) -> None:
    for pattern in ("**/v1/models?*", "**/v1/training-jobs?*", "**/v1/learners"):
        page.route(pattern, down)
    page.goto(path)
    expect(page.locator(".form-error:visible")).to_have_text(DOWN["detail"])


def test_files_on_their_way_are_told_and_not_left_without_a_question(page: Page, tmp_path: Path) -> None:
    file = tmp_path / "a.json"
    file.write_text(json.dumps({"user_label": "ann", "user_data": []}))
    asked: list[str] = []
    go_on = threading.Event()

    def answer(dialog: Dialog) -> None:
        asked.append(dialog.type)
        dialog.accept()

    page.on("dialog", answer)
    page.route("**/v1/datasets:upload", lambda route: None if not go_on.is_set() else route.continue_())
    page.goto("/analyze")
    page.get_by_role("radio", name="Files").check(force=True)
    page.locator("#files").set_input_files(file)
    page.get_by_role("button", name="Analyze").click()
    expect(page.locator("#running")).to_contain_text("Sending 1 file")
    expect(page.locator("#running")).to_contain_text("Stay on this page")
    page.reload()
    assert asked == ["beforeunload"]
    # Sent, and refused: the box goes, and nobody asks any more.
    go_on.set()
    page.get_by_role("radio", name="Files").check(force=True)
    page.locator("#files").set_input_files(file)
    page.get_by_role("button", name="Analyze").click()
    expect(page.locator(".error:visible")).to_have_count(1, timeout=PATIENCE_MS)
    expect(page.locator("#running")).to_be_hidden()
    page.reload()
    assert asked == ["beforeunload"]


def test_a_model_that_goes_while_it_is_chosen_is_told_beside_the_choice(
    page: Page, keyprint_stack: Stack, trained: str
) -> None:
    models = api(keyprint_stack, "/v1/models")["models"]
    gone = {**models[0], "name": "gone", "version": 1}
    page.clock.install()
    page.route(re.compile(r"/v1/models\?"), lambda route: route.fulfill(json={"models": [gone, *models]}))
    page.goto("/evaluate")
    page.get_by_label("Model", exact=True).select_option("gone@1")
    page.route(re.compile(r"/v1/models\?"), lambda route: route.fulfill(json={"models": models}))
    page.clock.fast_forward(11_000)
    expect(page.locator("#model-error")).to_contain_text("gone@1 has been deleted")
    expect(page.get_by_label("Model", exact=True)).not_to_have_value("gone@1")


def test_two_tabs_at_the_type_page_are_at_one_place(page: Page) -> None:
    page.goto("/type")
    other = page.context.new_page()
    other.goto("/type")
    page.bring_to_front()
    page.get_by_label("Your name").fill("Ann")
    page.get_by_role("button", name="Begin").click()
    ANN.type(page)
    expect(page.locator("#typing-title")).to_have_text("Ann: attempt 2 of 8")
    expect(other.locator("#typing-title")).to_have_text("Ann: attempt 2 of 8")
    other.get_by_role("button", name="Stop").click()
    expect(page.get_by_label("Your name")).to_be_visible()
    other.close()


def test_what_was_learned_and_deleted_elsewhere_can_be_begun_anew(page: Page, keyprint_stack: Stack) -> None:
    page.goto("/type")
    enrol(page, "Ann", ANN)
    model = page.evaluate("JSON.parse(localStorage.getItem('keyprint.type')).model")
    assert page.request.delete(f"/v1/models/{model}").status == 204
    # Inference goes on with what it knows for two seconds.
    page.wait_for_timeout(2_500)
    ANN.type(page)
    expect(page.locator("#refused")).to_contain_text("Forget everybody below, and begin anew.")
    page.get_by_role("button", name="Forget everybody").click()
    page.get_by_role("button", name="Forget", exact=True).click()
    expect(page.get_by_label("Your name")).to_be_visible()


def fail_learning(page: Page, name: str) -> None:
    """Types eight times, and has the upload of it broken off."""
    page.route("**/v1/datasets:upload", lambda route: route.abort())
    page.get_by_label("Your name").fill(name)
    page.get_by_role("button", name="Begin").click()
    for attempt in range(1, WANTED + 1):
        expect(page.locator("#typing-title")).to_have_text(f"{name}: attempt {attempt} of {WANTED}")
        BEN.type(page)
    expect(page.locator("#failed-text")).to_contain_text("does not answer", timeout=PATIENCE_MS)
    page.unroute("**/v1/datasets:upload")


def test_what_was_typed_outlives_a_failed_learning_and_may_get_another_name(page: Page) -> None:
    page.goto("/type")
    fail_learning(page, "Bea")
    # Nobody else can take the place of eight attempts that are not learned yet.
    expect(page.get_by_role("button", name="Enrol somebody else")).to_be_hidden()
    page.get_by_role("button", name="Choose another name").click()
    expect(page.get_by_label("Your name")).to_have_value("Bea")
    page.get_by_label("Your name").fill("Zo\u200bé")
    page.get_by_role("button", name="Begin").click()
    expect(page.locator("#name-error")).to_contain_text("cannot be seen")
    page.get_by_label("Your name").fill("می\u200cنی 👨\u200d👩\u200d👧")
    page.get_by_role("button", name="Begin").click()
    expect(page.locator("#known li")).to_have_text(["می\u200cنی 👨\u200d👩\u200d👧"], timeout=PATIENCE_MS)
    expect(page.locator("#typing-title")).to_have_text("Who is typing?")
    expect(page.locator("#failed")).to_be_hidden()


def test_a_failed_learning_that_is_left_out_leaves_nothing_to_try_again(page: Page) -> None:
    page.goto("/type")
    fail_learning(page, "Bea")
    page.get_by_role("button", name="Leave out").click()
    expect(page.locator("#failed")).to_be_hidden()
    page.get_by_label("Your name").fill("Zed")
    page.get_by_role("button", name="Begin").click()
    expect(page.locator("#typing-title")).to_have_text("Zed: attempt 1 of 8")
    expect(page.locator("#failed")).to_be_hidden()


def test_nobody_is_known_whom_the_dataset_does_not_enrol(page: Page) -> None:
    page.route("**/v1/datasets/*/users?*", lambda route: route.fulfill(json={"users": [], "next_page_token": ""}))
    page.goto("/type")
    page.get_by_label("Your name").fill("Bea")
    page.get_by_role("button", name="Begin").click()
    for attempt in range(1, WANTED + 1):
        expect(page.locator("#typing-title")).to_have_text(f"Bea: attempt {attempt} of {WANTED}")
        BEN.type(page)
    expect(page.locator("#failed-text")).to_contain_text("Too few of Bea", timeout=PATIENCE_MS)
    expect(page.locator("#known li")).to_have_count(0)


def test_the_type_page_goes_on_where_a_browser_keeps_nothing(page: Page) -> None:
    page.add_init_script(
        "Object.defineProperty(window, 'localStorage', { get() { throw new DOMException('no', 'SecurityError'); } })"
    )
    page.goto("/type")
    page.get_by_label("Your name").fill("Ann")
    page.get_by_role("button", name="Begin").click()
    expect(page.locator("#unsaved")).to_be_visible()
    ANN.type(page)
    expect(page.locator("#typing-title")).to_have_text("Ann: attempt 2 of 8")


def test_who_enrols_after_the_datasets_were_deleted_is_learned_alone(page: Page) -> None:
    page.goto("/type")
    enrol(page, "Ann", ANN)
    kept = page.evaluate("JSON.parse(localStorage.getItem('keyprint.type'))")
    for dataset in kept["made"]:
        assert page.request.delete(f"/v1/datasets/{dataset}").status == 204
    page.get_by_role("button", name="Enrol somebody else").click()
    enrol(page, "Ben", BEN)
    expect(page.locator("#lost")).to_contain_text("please enrol Ann again")
    expect(page.locator("#known li")).to_have_text(["Ben"])


def test_a_service_that_falls_silent_in_the_middle_is_told_until_it_answers(page: Page) -> None:
    dataset: dict[str, Any] = {
        "id": "ds_1", "state": "IMPORTING", "source_url": "http://127.0.0.1/a.json", "phrase": "hi", "min_attempts": 2,
        "documents": 1, "attempts": 4, "downloaded_kib": 1,
    }  # fmt: skip
    answers: dict[str, Any] = {"up": True}

    def get(route: Route) -> None:
        if answers["up"]:
            route.fulfill(json=dataset)
            answers["up"] = False
        else:
            down(route)

    page.route("**/v1/datasets/ds_1", get)
    page.route("**/v1/datasets/ds_1/events", down)
    page.goto("/analyze?dataset=ds_1")
    expect(page.locator("#running")).to_contain_text("4 attempts")
    expect(page.locator(".silence")).to_have_text("The ingest service does not answer; asking again.")
    # And is taken back when it does.
    dataset |= {"state": "FAILED", "error": {"reason": "FETCH_FAILED", "field": "url", "message": "Gone."}}
    answers["up"] = True
    expect(page.locator("#state")).to_have_text("FAILED")
    expect(page.locator(".silence")).to_have_count(0)


def test_a_cancelled_import_says_what_to_do_next(page: Page) -> None:
    dataset = {"id": "ds_1", "state": "CANCELLED", "source_url": "http://127.0.0.1/a.json", "phrase": "hi"}
    page.route("**/v1/datasets/ds_1", lambda route: route.fulfill(json=dataset | {"min_attempts": 2}))
    page.goto("/analyze?dataset=ds_1")
    expect(page.locator("#notice")).to_have_text("The import was cancelled. Press Analyze to begin it again.")
