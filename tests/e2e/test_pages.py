"""Each page's whole job in a real browser, against the four real services."""

from __future__ import annotations

import csv
import json
import re
import urllib.request
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.conftest import Stack
from tests.e2e.browser import BROWSER, PATIENCE_MS

MODEL = "pages-ada"

pytestmark = BROWSER


@pytest.fixture(scope="module")
def imported(browser: Browser, keyprint_stack: Stack) -> str:
    """The dataset that the Analyze page made of the chain."""
    context = browser.new_context(base_url=keyprint_stack.gateway_url)
    page = context.new_page()
    page.goto("/analyze")
    submit_source(page, keyprint_stack.source_url, keyprint_stack.phrase)
    expect(page.locator("#records table")).to_be_visible(timeout=PATIENCE_MS)
    found = re.search(r"dataset=(ds_\w+)", page.url)
    context.close()
    assert found is not None
    return found[1]


@pytest.fixture(scope="module")
def trained(browser: Browser, keyprint_stack: Stack, imported: str) -> str:
    """The model that the Train page made of that dataset."""
    context = browser.new_context(base_url=keyprint_stack.gateway_url)
    page = context.new_page()
    start_training(page, imported, MODEL)
    expect(page.locator("#comparison table")).to_be_visible(timeout=PATIENCE_MS)
    context.close()
    return f"{MODEL}@1"


def submit_source(page: Page, url: str, phrase: str | None = None) -> None:
    page.get_by_role("radio", name="A URL").check(force=True)
    page.get_by_label("URL", exact=True).fill(url)
    if phrase is not None:
        page.get_by_label("Phrase").fill(phrase)
    page.locator("button[type=submit]").click()


def analyze_files(page: Page, files: list[Path], phrase: str) -> None:
    page.goto("/analyze")
    page.get_by_role("radio", name="Files").check(force=True)
    page.locator("#files").set_input_files(files)
    page.get_by_label("Phrase").fill(phrase)
    page.get_by_role("button", name="Analyze").click()


def start_training(page: Page, dataset: str, model: str) -> None:
    page.goto(f"/train?dataset={dataset}")
    expect(page.get_by_label("Dataset", exact=True)).to_have_value(dataset)
    page.get_by_label("Model name").fill(model)
    page.get_by_label("Learner", exact=True).select_option("adaboost")
    page.get_by_role("button", name="Train", exact=True).click()


def api(stack: Any, path: str) -> Any:
    with urllib.request.urlopen(f"{stack.gateway_url}{path}") as answer:  # noqa: S310 (our own gateway)
        return json.load(answer)


def test_home_says_where_things_stand_and_leads_everywhere(page: Page, trained: str) -> None:
    page.goto("/")
    expect(page.locator("#tiles")).to_contain_text("datasets")
    expect(page.locator("#datasets table")).to_contain_text("READY")
    expect(page.locator("#jobs table")).to_contain_text(trained)
    for title, heading in (("Analyze", "Analyze"), ("Train", "Train"), ("Evaluate", "Evaluate"), ("API", "API")):
        page.goto("/")
        page.get_by_role("navigation").get_by_role("link", name=title).click()
        expect(page.get_by_role("heading", level=1)).to_have_text(heading)


def test_analyze_shows_counts_people_and_keystrokes(page: Page, keyprint_stack: Stack, imported: str) -> None:
    dataset = api(keyprint_stack, f"/v1/datasets/{imported}")
    page.goto("/analyze")
    page.get_by_label("Rows to show").fill("37")
    submit_source(page, keyprint_stack.source_url, keyprint_stack.phrase)
    expect(page.locator("#records tbody tr")).to_have_count(37)
    # The same source is the same dataset.
    assert f"dataset={imported}" in page.url
    expect(page.locator("#state")).to_have_text("READY")
    expect(page.locator("#facts")).to_contain_text(f"{dataset['attempts']:,}")
    validity = page.locator("#validity")
    expect(validity.get_by_role("row", name="valid", exact=False).first).to_contain_text(
        f"{dataset['valid_attempts']:,}"
    )
    for reason, count in dataset["invalid"].items():
        expect(validity.get_by_role("row").filter(has_text=reason)).to_contain_text(str(count))
    expect(page.locator("#users tbody tr")).to_have_count(dataset["users"])
    first = page.locator("#records tbody tr").first
    record = api(keyprint_stack, f"/v1/datasets/{imported}/records?first_n=1")["records"][0]
    expect(first).to_contain_text(record["user"])
    expect(first).to_contain_text(str(record["microsecond"]))


def typed(text: str, step: int, held: int = 50) -> list[dict[str, str]]:
    """A press every `step` ms, each released `held` ms later."""
    start = datetime(2024, 3, 4)
    return [
        {
            "character": one,
            "typed_at": (start + timedelta(milliseconds=at * step)).isoformat(),
            "released_at": (start + timedelta(milliseconds=at * step + held)).isoformat(),
        }
        for at, one in enumerate(text)
    ]


def test_people_are_shown_with_reasons_copies_warnings_and_why_not_enrolled(page: Page, tmp_path: Path) -> None:
    people = {
        "<b>ann": [
            *(typed("hi", 100 + step) for step in range(22)),
            typed("hi", 100),
            typed("hi", 100, held=-5),
            typed("ho", 100),
            [],
        ],
        "ben": [typed("hi", 200 + step) for step in range(3)],
    }
    files: list[Path] = []
    for name, attempts in people.items():
        files.append(tmp_path / f"{len(files)}.json")
        files[-1].write_text(json.dumps({"user_label": name, "user_data": attempts}))
    analyze_files(page, files, "hi")
    rows = page.locator("#users tbody tr")
    expect(rows).to_have_count(2, timeout=PATIENCE_MS)
    expect(rows.nth(0).locator("th, td")).to_have_text(
        ["<b>ann", "enrolled", "26", "24", "1", "1 EMPTY1 PHRASE_MISMATCH", "1 NEGATIVE_HOLD"]
    )
    expect(rows.nth(1).locator("th, td")).to_have_text(
        ["ben", re.compile("not enrolled.*3 of 20 attempts"), "3", "3", "0", "", ""]
    )
    expect(page.locator("#records tbody tr", has_text="DUPLICATE")).to_have_count(len("hi"))
    expect(page.locator("#enrolment")).to_contain_text("left out of training: 1 of 2 people")


def test_people_beyond_the_first_page_are_shown_on_request(page: Page, tmp_path: Path) -> None:
    files = [tmp_path / f"{number}.json" for number in range(130)]
    for number, file in enumerate(files):
        file.write_text(json.dumps({"user_label": f"person {number}", "user_data": [typed("hi", 100 + number)]}))
    analyze_files(page, files, "hi")
    rows = page.locator("#users tbody tr")
    expect(rows).to_have_count(100, timeout=PATIENCE_MS)
    expect(page.locator("#more-people")).to_contain_text("100 of 130 people are shown.")
    page.get_by_role("button", name="Show more").click()
    expect(rows).to_have_count(130)
    expect(rows.nth(129).locator("th")).to_have_text("person 129")
    expect(page.locator("#more-people")).to_be_hidden()


def test_a_source_is_asked_again_only_where_told_to(page: Page, keyprint_stack: Stack) -> None:
    def source(count: int) -> None:
        document = {"user_label": "ann", "user_data": [typed("hi", 100)] * count}
        (keyprint_stack.files / "again.json").write_text(json.dumps(document))

    def analyzed(refresh: bool) -> str:
        page.goto("/analyze")
        page.get_by_label("Ask the source again").set_checked(refresh)
        submit_source(page, f"{keyprint_stack.files_url}/again.json", "hi")
        expect(page.locator("#records table")).to_be_visible(timeout=PATIENCE_MS)
        return page.locator("#facts .tile", has_text="attempts").locator("b").text_content() or ""

    source(3)
    assert analyzed(refresh=False) == "3"
    assert analyzed(refresh=True) == "3"
    expect(page.locator("#unchanged")).to_contain_text("has not changed")
    source(5)
    assert analyzed(refresh=False) == "3"
    expect(page.locator("#unchanged")).to_be_hidden()
    assert analyzed(refresh=True) == "5"
    expect(page.locator("#unchanged")).to_be_hidden()


def test_training_and_evaluating_say_that_a_source_has_not_changed(
    page: Page, keyprint_stack: Stack, trained: str
) -> None:
    page.goto("/evaluate")
    page.get_by_label("Model", exact=True).select_option(trained)
    for refresh in (False, True):
        page.get_by_label("Ask the source again").set_checked(refresh, force=True)
        submit_source(page, keyprint_stack.test_url)
        expect(page.locator("#rows tbody tr").first).to_be_visible(timeout=PATIENCE_MS)
        expect(page.locator("#unchanged")).to_be_visible(visible=refresh)
    page.goto("/train")
    page.get_by_label("Model name").fill("pages-unchanged")
    page.get_by_role("radio", name="A URL").check(force=True)
    page.get_by_label("Ask the source again").check()
    submit_source(page, keyprint_stack.source_url, keyprint_stack.phrase)
    expect(page.locator("#unchanged")).to_contain_text("has not changed", timeout=PATIENCE_MS)
    page.locator("#training [data-cancel]").click()
    expect(page.locator("#state")).to_have_text("CANCELLED", timeout=PATIENCE_MS)


def test_analyze_is_found_again_after_leaving(page: Page, keyprint_stack: Stack, imported: str) -> None:
    page.goto(f"/analyze?dataset={imported}&first_n=5")
    expect(page.locator("#records tbody tr")).to_have_count(5)
    expect(page.get_by_label("URL", exact=True)).to_have_value(keyprint_stack.source_url)


@pytest.mark.parametrize(
    ("label", "value", "field"),
    [
        ("URL", "ftp://example.org/x", "url"),
        ("Phrase", "x", "phrase"),
        ("Minimum of attempts", "0.5", "min_attempts"),
        ("Rows to show", "1001", "first_n"),
    ],
)
def test_analyze_says_what_is_wrong_beside_the_field(
    page: Page, keyprint_stack: Stack, label: str, value: str, field: str
) -> None:
    page.goto("/analyze")
    page.get_by_label("URL", exact=True).fill(keyprint_stack.source_url)
    page.get_by_label("Phrase").fill(keyprint_stack.phrase)
    page.get_by_label(label, exact=True).fill(value)
    page.get_by_role("button", name="Analyze").click()
    expect(page.locator(f"#{field}-error")).to_be_visible()
    expect(page.locator(f"#{field}-error")).not_to_be_empty()
    expect(page.get_by_label(label, exact=True)).to_be_focused()
    expect(page.locator("#result")).to_be_hidden()


def test_what_fails_while_fetching_is_told_too(page: Page, keyprint_stack: Stack) -> None:
    page.goto("/analyze")
    submit_source(page, f"{keyprint_stack.source_url}.nothing-here", keyprint_stack.phrase)
    expect(page.locator("#state")).to_have_text("FAILED", timeout=PATIENCE_MS)
    expect(page.locator("#notice")).to_be_visible()
    expect(page.locator("#url-error")).not_to_be_empty()
    expect(page.locator("#records")).to_be_hidden()


def test_files_are_analyzed_like_urls(page: Page, keyprint_stack: Stack, tmp_path: Path) -> None:
    with urllib.request.urlopen(keyprint_stack.source_url) as answer:  # noqa: S310 (our own test server)
        document = json.load(answer)
    document["next"] = None
    file = tmp_path / "one.json"
    file.write_text(json.dumps(document))
    analyze_files(page, [file], keyprint_stack.phrase)
    expect(page.locator("#records table")).to_be_visible(timeout=PATIENCE_MS)
    expect(page.locator("#users tbody tr")).to_have_count(1)


def test_train_says_that_it_started_and_ends_in_a_comparison(page: Page, keyprint_stack: Stack, trained: str) -> None:
    job = next(one for one in api(keyprint_stack, "/v1/training-jobs")["jobs"] if one["model"] == MODEL)
    page.goto(f"/train?job={job['id']}")
    row = page.locator("#comparison tbody tr").filter(has_text=trained)
    expect(row).to_contain_text("this one")
    expect(row).to_contain_text("adaboost")
    model = api(keyprint_stack, f"/v1/models/{trained}")
    expect(row).to_contain_text(f"{100 * model['evaluation']['accuracy']:.1f} %")
    expect(page.locator("#state")).to_have_text("SUCCEEDED")


def test_train_can_be_left_and_cancelled(page: Page, keyprint_stack: Stack, imported: str) -> None:
    start_training(page, imported, "pages-cancelled")
    expect(page.locator("#started")).to_contain_text("Training has")
    page.wait_for_url("**/train?job=*")
    page.reload()
    expect(page.locator("#job-title")).to_have_text("pages-cancelled@1")
    page.locator("#training [data-cancel]").click()
    expect(page.locator("#state")).to_have_text("CANCELLED", timeout=PATIENCE_MS)
    expect(page.locator("#started")).to_contain_text("left no model")


def test_a_url_is_imported_and_then_trained_on(page: Page, keyprint_stack: Stack, imported: str) -> None:
    page.goto("/train")
    expect(page.get_by_label("Learner", exact=True).locator("option")).not_to_have_count(0)
    page.get_by_label("Model name").fill("pages-from-url")
    submit_source(page, keyprint_stack.source_url, keyprint_stack.phrase)
    page.wait_for_url("**/train?job=*", timeout=PATIENCE_MS)
    found = re.search(r"job=(\w+)", page.url)
    assert found is not None
    # The source was read before, so there is nothing to import again.
    assert api(keyprint_stack, f"/v1/training-jobs/{found[1]}")["dataset"] == imported
    page.locator("#training [data-cancel]").click()
    expect(page.locator("#state")).to_have_text("CANCELLED", timeout=PATIENCE_MS)


@pytest.mark.parametrize("holdout", ["0", "1", "abc", ""])
def test_train_refuses_a_wrong_holdout_beside_it(page: Page, imported: str, holdout: str) -> None:
    page.goto(f"/train?dataset={imported}")
    expect(page.get_by_label("Dataset", exact=True)).to_have_value(imported)
    page.get_by_label("Model name").fill("pages-wrong")
    page.get_by_label("Hold-out", exact=True).fill(holdout)
    page.get_by_role("button", name="Train", exact=True).click()
    expect(page.locator("#holdout-error")).to_contain_text("above 0 and below 1")
    expect(page.get_by_label("Hold-out", exact=True)).to_be_focused()


@pytest.mark.parametrize("name", ["", "No Name", MODEL])
def test_train_refuses_a_wrong_or_taken_name_beside_it(page: Page, imported: str, trained: str, name: str) -> None:
    start_training(page, imported, name)
    expect(page.locator("#model-error")).to_be_visible()
    expect(page.locator("#model-error")).not_to_be_empty()


def test_parameters_are_the_learners_own(page: Page, keyprint_stack: Stack, imported: str) -> None:
    page.goto(f"/train?dataset={imported}")
    page.get_by_text("Parameters").click()
    for learner in api(keyprint_stack, "/v1/learners")["learners"]:
        page.get_by_label("Learner", exact=True).select_option(learner["name"])
        fields = page.locator("#params input")
        expect(fields).to_have_count(len(learner["parameters"]))
        for parameter in learner["parameters"]:
            field = page.locator(f"[id='params.{parameter['name']}']")
            assert float(field.input_value()) == parameter["default"]
    too_much = learner["parameters"][0]
    page.locator(f"[id='params.{too_much['name']}']").fill(str(int(too_much["maximum"]) + 1))
    page.get_by_label("Model name").fill("pages-wrong")
    page.get_by_role("button", name="Train", exact=True).click()
    expect(page.locator(f"[id='params.{too_much['name']}-error']")).not_to_be_empty()


def test_evaluate_predicts_a_test_url_and_gives_the_csv(
    page: Page, keyprint_stack: Stack, trained: str, tmp_path: Path
) -> None:
    page.goto("/evaluate")
    page.get_by_label("Model", exact=True).select_option(trained)
    page.get_by_label("Rows to show").fill("9")
    submit_source(page, keyprint_stack.test_url)
    expect(page.locator("#rows tbody tr")).to_have_count(9, timeout=PATIENCE_MS)
    expect(page.locator("#decisions table")).to_be_visible()
    found = re.search(r"dataset=(ds_\w+)", page.url)
    assert found is not None
    attempts = api(keyprint_stack, f"/v1/datasets/{found[1]}")["attempts"]

    with page.expect_download() as downloading:
        page.get_by_role("link", name="Download all as CSV").click()
    assert downloading.value.suggested_filename == "output_predictions.csv"
    file = tmp_path / "output_predictions.csv"
    downloading.value.save_as(file)
    with file.open(newline="") as lines:
        rows = list(csv.DictReader(lines))
    assert [int(row["attempt"]) for row in rows] == list(range(attempts))
    assert list(rows[0])[:5] == ["attempt", "predicted_user", "probability", "decision", "reason"]
    shown = page.locator("#rows tbody tr").first
    expect(shown).to_contain_text(rows[0]["predicted_user"] or rows[0]["reason"])

    page.reload()
    expect(page.locator("#rows tbody tr")).to_have_count(9, timeout=PATIENCE_MS)


def test_evaluate_tells_all_about_a_model_on_request(page: Page, keyprint_stack: Stack, trained: str) -> None:
    model = api(keyprint_stack, f"/v1/models/{trained}")
    page.goto("/evaluate")
    page.get_by_label("Model", exact=True).select_option(trained)
    page.get_by_text("About this model", exact=True).click()
    about = page.locator("#about-model")
    for told in (model["fingerprint"], model["digest"], "model.onnx", "training.json", *model["users"]):
        expect(about).to_contain_text(told)
    usual = about.locator("tr", has_text="unless asked for another")
    expect(usual).to_contain_text(f"{100 * model['decision']['default_false_accept_rate']:.2f} %")
    page.set_viewport_size({"width": 360, "height": 780})
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    page.get_by_text("About this model", exact=True).click()
    expect(about).to_be_hidden()


def test_evaluate_says_beside_the_url_what_is_wrong_with_it(page: Page, trained: str) -> None:
    page.goto("/evaluate")
    expect(page.get_by_label("Model", exact=True).locator("option")).not_to_have_count(0)
    submit_source(page, "nonsense")
    expect(page.locator("#url-error")).not_to_be_empty()


@pytest.mark.parametrize("path", ["/", "/analyze", "/train", "/evaluate", "/docs"])
@pytest.mark.parametrize("width", [360, 800])
def test_pages_fit_small_screens(page: Page, imported: str, path: str, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 780})
    page.goto(f"{path}?dataset={imported}" if path == "/analyze" else path)
    page.wait_for_load_state("networkidle")
    over = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    assert over <= 0


def test_forms_work_by_keyboard(page: Page, keyprint_stack: Stack, imported: str) -> None:
    page.goto("/analyze")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    page.get_by_label("URL", exact=True).focus()
    page.keyboard.type(keyprint_stack.source_url)
    page.get_by_label("Phrase").fill(keyprint_stack.phrase)
    page.keyboard.press("Enter")
    expect(page.locator("#records table")).to_be_visible(timeout=PATIENCE_MS)
    page.goto("/train")
    page.get_by_role("radio", name="A dataset").focus()
    page.keyboard.press("ArrowRight")
    expect(page.get_by_role("radio", name="A URL")).to_be_checked()
    expect(page.get_by_label("URL", exact=True)).to_be_visible()
