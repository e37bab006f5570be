"""Each page's whole job in a real browser, against the four real services."""

from __future__ import annotations

import csv
import json
import re
import urllib.request
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from playwright.sync_api import Page, Route, expect

from tests.conftest import Stack
from tests.e2e.browser import BROWSER, PATIENCE_MS
from tests.e2e.screenshots import shoot
from tests.e2e.steps import MODEL, api, start_training, submit_source

pytestmark = BROWSER


def analyze_files(page: Page, files: list[Path], phrase: str) -> None:
    page.goto("/analyze")
    page.get_by_role("radio", name="Files").check(force=True)
    page.locator("#files").set_input_files(files)
    page.get_by_label("Phrase").fill(phrase)
    page.get_by_role("button", name="Analyze").click()


def test_home_says_where_things_stand_and_leads_everywhere(page: Page, trained: str) -> None:
    page.goto("/")
    expect(page.locator("#tiles")).to_contain_text("datasets")
    expect(page.locator("#datasets table")).to_contain_text("READY")
    expect(page.locator("#jobs table")).to_contain_text(trained)
    shoot(page, "home")
    for title, heading in (
        ("Analyze", "Analyze"),
        ("Train", "Train"),
        ("Models", "Models"),
        ("Evaluate", "Evaluate"),
        ("Type", "Type"),
        ("API", "API"),
    ):
        page.goto("/")
        page.get_by_role("navigation").get_by_role("link", name=title).click()
        expect(page.get_by_role("heading", level=1)).to_have_text(heading)


NOTHING: dict[str, dict[str, Any]] = {
    "datasets": {"datasets": [], "next_page_token": ""},
    "training-jobs": {"jobs": [], "next_page_token": ""},
    "models": {"models": [], "next_page_token": ""},
}


def answering(answer: dict[str, Any]) -> Callable[[Route], None]:
    return lambda route: route.fulfill(json=answer)


@pytest.mark.parametrize(
    ("path", "sentence", "way"),
    [
        ("/", "None yet", "Import the first one."),
        ("/analyze", "the first import shows up here", ""),
        ("/train", "the first training shows up here", ""),
        ("/models", "There is no model yet.", "Train the first one."),
        ("/evaluate", "There is no model yet.", "Train the first one."),
    ],
)
def test_a_page_without_anything_to_show_says_what_to_do_next(page: Page, path: str, sentence: str, way: str) -> None:
    for name, answer in NOTHING.items():
        page.route(re.compile(rf"/v1/{name}(\?.*)?$"), answering(answer))
    page.goto(path)
    expect(page.locator("main")).to_contain_text(sentence)
    if way:
        expect(page.get_by_role("link", name=way)).to_be_visible()
    shoot(page, f"empty-{path.strip('/') or 'home'}")


def test_datasets_beyond_the_first_page_of_them_can_be_chosen(page: Page, keyprint_stack: Stack, imported: str) -> None:
    datasets = api(keyprint_stack, "/v1/datasets")["datasets"]
    [wanted] = [one for one in datasets if one["id"] == imported]
    others = [{**wanted, "id": f"ds_{number}"} for number in range(3)]
    page.route(
        re.compile(r"/v1/datasets\?page_size=\d+$"),
        answering({"datasets": others, "next_page_token": "second"}),
    )
    page.route(
        re.compile(r"/v1/datasets\?.*page_token=second$"), answering({"datasets": [wanted], "next_page_token": ""})
    )
    page.goto(f"/train?dataset={imported}")
    expect(page.get_by_label("Dataset", exact=True).locator("option")).to_have_count(4)
    expect(page.get_by_label("Dataset", exact=True)).to_have_value(imported)


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


def wait_for_people(page: Page, chart: str, axis: str, names: list[str]) -> None:
    """Waits until just they stand along an axis of a picture."""
    page.wait_for_function(
        "([id, axis, names]) => document.getElementById(id).data?.[0][axis].join('|') === names",
        arg=[chart, axis, "|".join(names)],
    )


def test_whoever_looks_at_pictures_of_many_people_chooses_whom_to_see(page: Page, tmp_path: Path) -> None:
    long = "x" * 200
    names = [*(f"person {number}" for number in range(99)), long]
    files = [tmp_path / f"{number}.json" for number in range(len(names))]
    for number, (file, name) in enumerate(zip(files, names, strict=True)):
        file.write_text(json.dumps({"user_label": name, "user_data": [typed("hi", 100 + number)] * (number % 3 + 1)}))
    analyze_files(page, files, "hi")
    for chart, axis in (("reasons", "x"), ("timelines", "y")):
        figure = page.locator(f"#{chart}-figure")
        expect(figure).to_contain_text("People 1 to 40 of 100 are shown.", timeout=PATIENCE_MS)
        wait_for_people(page, chart, axis, names[:40])
        figure.get_by_role("button", name="People after these").click()
        figure.get_by_role("button", name="People after these").click()
        expect(figure).to_contain_text("People 81 to 100 of 100 are shown.")
        expect(figure.get_by_role("button", name="People after these")).to_be_disabled()
        wait_for_people(page, chart, axis, names[80:])
        # Of a long name there is room for the beginning.
        assert page.evaluate(f"document.getElementById('{chart}').layout.{axis}axis.ticktext").pop() == "x" * 19 + "…"
        find = figure.get_by_role("searchbox")
        find.fill("SON 7")
        expect(figure).to_contain_text("All 11 people with “son 7” in their names are shown.")
        wait_for_people(page, chart, axis, ["person 7", *(f"person {number}" for number in range(70, 80))])
        find.fill("nobody")
        expect(figure).to_contain_text("There is nobody with “nobody” in their names.")
        find.fill("")
        expect(figure).to_contain_text("People 1 to 40 of 100 are shown.")
    page.get_by_label("One person against everybody").select_option("person 50")
    wait_for_people(page, "timelines", "y", ["person 50", *names[:39]])
    # One day, on which each typed so often.
    assert page.evaluate("document.getElementById('timelines').data[0].z.slice(0, 4)") == [[3], [1], [2], [3]]


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


def test_analyze_draws_one_person_against_everybody(page: Page, imported: str) -> None:
    page.goto(f"/analyze?dataset={imported}")
    for chart in ("latency", "hold", "time", "reasons", "speed", "corrections"):
        expect(page.locator(f"#{chart} .main-svg").first).to_be_visible()
    page.get_by_label("One person against everybody").select_option("typist02")
    for chart in ("latency", "hold", "time", "speed", "corrections"):
        expect(page.locator(f"#{chart}")).to_have_attribute("aria-label", re.compile("typist02"))
    shoot(page, "analyze")
    page.reload()
    expect(page.get_by_label("One person against everybody")).to_have_value("typist02")


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
        # What the API takes for its default.
        ("Phrase", "", "phrase"),
        ("Minimum of attempts", "0", "min_attempts"),
        ("Minimum of attempts", "", "min_attempts"),
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


@pytest.mark.parametrize("label", ["Minimum of attempts", "Rows to show"])
def test_a_number_that_is_none_is_told_beside_it(page: Page, label: str) -> None:
    page.goto("/analyze")
    page.get_by_label("URL", exact=True).fill("https://example.org/a.json")
    page.get_by_label(label).clear()
    page.get_by_label(label).press_sequentially("1e")
    page.get_by_role("button", name="Analyze").click()
    expect(page.locator(".error:visible")).to_have_text("That is no number.")
    expect(page.get_by_label(label)).to_be_focused()


def test_a_parameter_that_is_no_number_trains_nothing(page: Page, imported: str) -> None:
    page.goto(f"/train?dataset={imported}")
    page.get_by_label("Learner", exact=True).select_option("extratrees")
    page.get_by_text("Parameters", exact=True).click()
    trees = page.get_by_label("trees", exact=True)
    trees.clear()
    trees.press_sequentially("1e")
    page.get_by_role("button", name="Train", exact=True).click()
    expect(page.locator("[id='params.trees-error']")).to_have_text("That is no number.")
    expect(page).to_have_url(re.compile("dataset=[a-z0-9_]+$"))


def test_an_address_that_this_browser_did_not_make_trains_nothing_by_itself(page: Page, imported: str) -> None:
    posted: list[str] = []
    page.on("request", lambda request: posted.append(request.url) if request.method == "POST" else None)
    page.goto(f"/train?dataset={imported}&learner=adaboost&split=late&model=from-afar&holdout=0.2&request=x")
    expect(page.locator(".form-error")).to_contain_text("nothing is trained yet")
    expect(page.get_by_label("Model name")).to_have_value("from-afar")
    expect(page.get_by_label("Learner", exact=True)).to_have_value("adaboost")
    assert posted == []


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
    for curve in ("loss", "learnt"):
        expect(page.locator(f"#{curve} .main-svg").first).to_be_visible()
    row = page.locator("#comparison tbody tr").filter(has_text=trained)
    expect(row).to_contain_text("this one")
    expect(row).to_contain_text("adaboost")
    model = api(keyprint_stack, f"/v1/models/{trained}")
    expect(row).to_contain_text(f"{100 * model['evaluation']['accuracy']:.1f} %")
    expect(page.locator("#state")).to_have_text("SUCCEEDED")
    shoot(page, "train")


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
    page.get_by_label("Impostors").fill("1.5")
    page.get_by_label("Model name").fill("pages-wrong")
    page.get_by_role("button", name="Train", exact=True).click()
    expect(page.locator("#impostors-error")).not_to_be_empty()
    page.get_by_label("Impostors").fill("0")
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
    for chart in ("confidence", "who"):
        expect(page.locator(f"#{chart} .main-svg").first).to_be_visible()
    shoot(page, "evaluate")
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
    with page.expect_download() as downloading:
        page.get_by_role("link", name="Parquet").click()
    assert downloading.value.suggested_filename == "output_predictions.parquet"
    downloading.value.save_as(file)
    assert pq.read_table(file)["attempt"].to_pylist() == list(range(attempts))
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


@pytest.mark.parametrize("path", ["/", "/analyze", "/train", "/models", "/evaluate", "/type", "/docs"])
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


def test_the_api_is_described_on_a_page_of_its_own(page: Page) -> None:
    page.goto("/docs")
    call = page.locator("details", has_text="/v1/models/{name}:identify").first
    call.locator("summary").click()
    expect(call).to_contain_text("IdentifyBody")
    shoot(page, "docs")


def test_evaluate_shows_what_is_suspected_and_tells_of_a_file_that_cannot_be(
    page: Page, trained: str, imported: str
) -> None:
    path = re.compile(r"/predictions\?")

    def suspect(route: Route) -> None:
        answer = route.fetch().json()
        # What the model was trained on is a replay.
        for row in answer["rows"]:
            row["flags"] = "REPLAY_SUSPECTED SYNTHETIC_SUSPECTED" if row["attempt"] == 1 else ""
        route.fulfill(json=answer)

    page.route(path, suspect)
    page.goto(f"/evaluate?model={trained}&dataset={imported}&first_n=4&go=1")
    rows = page.locator("#rows tbody tr")
    expect(rows).to_have_count(4, timeout=PATIENCE_MS)
    expect(rows.nth(1)).to_contain_text("REPLAY_SUSPECTED")
    expect(rows.nth(0)).not_to_contain_text("SUSPECTED")
    expect(page.locator("#facts .tile", has_text="suspected").locator("b")).to_have_text("1 (25 %)")
    second = page.request.get(f"/v1/models/{trained}/predictions?dataset={imported}&first_n=1").json()["rows"][0]
    expect(rows.nth(0)).to_contain_text(second["second_choice"])

    page.route(
        path, lambda route: route.fulfill(status=404, json={"reason": "MODEL_NOT_FOUND", "detail": "It is gone."})
    )
    page.get_by_role("link", name="Download all as CSV").click()
    expect(page.locator("#download-error")).to_have_text("It is gone.")
    expect(page.locator("#rows tbody tr")).to_have_count(4)
