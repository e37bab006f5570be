"""Every error that the API can give about a field of a form stands beside that field."""

from __future__ import annotations

import ast
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from playwright.sync_api import Page, Route, expect

from keyprint import errors
from keyprint.processes import checkout
from tests.e2e.browser import BROWSER

pytestmark = BROWSER

KINDS = {kind.__name__ for kind in errors.TABLE}
DATASET = {"id": "ds_1", "state": "READY", "source_url": "http://127.0.0.1/a.json", "phrase": "hi", "min_attempts": 2}
COUNTS = {"documents": 1, "attempts": 4, "valid_attempts": 4, "users": 2, "enrolled_users": 2, "labelled": True}
MODEL = {"name": "ada", "version": 1, "learner": "adaboost", "phrase": "hi", "evaluation": {"accuracy": 1.0}}


def same(*names: str) -> dict[str, str]:
    return {name: name for name in names}


def source(*names: str) -> dict[str, str]:
    """What is wrong with a dataset is told beside what it is made of, or chosen by."""
    return dict.fromkeys(("dataset", *names), names[-1])


@dataclass(frozen=True)
class Form:
    """A form as somebody sends it.

    Attributes:
        page: where it is.
        source: what is chosen as the source of data.
        call: the method and the path of the call that is refused.
        fields: what the API may call wrong, and the ids of the fields beside which that stands.
    """

    page: str
    source: str
    call: tuple[str, str]
    fields: dict[str, str]


BY_URL, BY_FILES = ("POST", "/v1/datasets"), ("POST", "/v1/datasets:upload")
IMPORT = same("phrase", "min_attempts")
TRAINING = same("model", "holdout", "split", "learner", "features", "impostors", "seed", "params", "new_version")
FORMS = [
    Form("/analyze", "A URL", BY_URL, IMPORT | same("url", "refresh")),
    Form("/analyze", "Files", BY_FILES, IMPORT | same("files")),
    Form("/train", "A URL", BY_URL, IMPORT | same("url", "refresh") | source("url")),
    Form("/train", "Files", BY_FILES, IMPORT | source("files")),
    Form(
        "/train",
        "A dataset",
        ("POST", "/v1/training-jobs"),
        TRAINING | same("params.trees") | source("url", "files", "dataset"),
    ),
    Form("/evaluate", "A URL", BY_URL, same("phrase", "refresh") | source("url")),
    Form("/evaluate", "Files", BY_FILES, same("phrase") | source("files")),
    Form(
        "/evaluate",
        "A dataset",
        ("GET", "/v1/models/ada%401/predictions"),
        same("model", "first_n") | source("url", "files", "dataset"),
    ),
]

ELSEWHERE = {
    "alias": "the form of aliases on the Models page; below",
    "user": "the choice of a person on the Analyze page; below",
    "attempt": "the Type page, under the field that is typed in: test_type.py",
    "users": "made-up typists, of whom no form asks how many",
    "base_dataset": "sent by the Type page alone",
    "far": "no form asks for it",
    "explain": "the Type page explains one attempt, which is never refused",
    "candidates": "no form asks for them",
    "length": "calls of many attempts, which no page makes",
    "rows": "predictions as messages",
    "content": "models that are carried from one Keyprint to another",
    "header": "written by the gateway",
    "broken_at": "written by clients of ingest",
    "job": "in the address of a page",
    "request_id": "made by the pages",
    "page_size": "chosen by the pages; of Analyze the field is called first_n",
    "page_token": "given by the API",
    "parameters": "the Open Inference Protocol",
    "raw_input_contents": "the Open Inference Protocol",
    "repository_name": "the Open Inference Protocol",
    "listen": "a setting",
    "KEYPRINT_HOME": "a setting",
}
"""Fields of errors that no form of these asks for, and why."""


def told() -> dict[str, set[str]]:
    """Fields that errors of the services and of what they share name, and the reasons that they have."""
    found: dict[str, set[str]] = {}
    root = checkout()
    for file in [*root.glob("services/**/*.py"), *root.glob("keyprint/*.py")]:
        for node in ast.walk(ast.parse(file.read_text())):
            match node:
                case ast.Call(
                    func=ast.Name(id=kind) | ast.Attribute(attr=kind),
                    args=[ast.Constant(value=str(reason)), _, ast.Constant(value=str(field)), *_],
                ) if kind in KINDS and field:
                    found.setdefault(field, set()).add(reason)
    return found


def test_every_field_that_an_error_names_has_a_place_or_belongs_elsewhere() -> None:
    known = {field for form in FORMS for field in form.fields}
    found = told()
    assert {"url", "dataset", "model", "phrase", "holdout"} <= found.keys()
    # One parameter stands for all.
    assert {field for field in found if not field.startswith("params.")} - known - ELSEWHERE.keys() == set()


def answering(answer: dict[str, Any]) -> Callable[[Route], None]:
    return lambda route: route.fulfill(json=answer)


def refusing(reason: str, field: str, method: str = "GET") -> Callable[[Route], None]:
    """Refuses calls of one method."""
    problem = {"status": 400, "reason": reason, "field": field, "detail": f"{reason} of {field}."}

    def answer(route: Route) -> None:
        if route.request.method == method:
            route.fulfill(status=400, json=problem)
        else:
            route.fallback()

    return answer


@pytest.mark.parametrize("form", FORMS, ids=lambda form: f"{form.page[1:]}-{form.source.split()[-1].lower()}")
def test_an_error_stands_beside_the_field_that_it_names(page: Page, form: Form) -> None:
    page.route("**/v1/datasets?*", answering({"datasets": [DATASET | COUNTS], "next_page_token": ""}))
    page.route("**/v1/datasets/ds_1", answering(DATASET | COUNTS))
    page.route("**/v1/models?*", answering({"models": [MODEL], "next_page_token": ""}))
    page.goto(form.page)
    page.get_by_role("radio", name=form.source).check(force=True)
    if form.source == "Files":
        page.locator("#files").set_input_files({"name": "a", "mimeType": "text/plain", "buffer": b"{}"})
    reasons = told()
    for field, place in form.fields.items():
        for reason in sorted(reasons.get(field, {"FIELD_INVALID"})):
            method, path = form.call
            refuse = refusing(reason, field, method)
            page.route(f"**{path}*", refuse)
            page.locator("button[type=submit]").click()
            error = page.locator(f"[id='{place}-error']")
            expect(error).to_have_text(f"{reason} of {field}.")
            expect(error).to_be_visible()
            expect(page.locator("#form [data-form-error]")).to_be_hidden()
            expect(page.locator("button[type=submit]")).to_be_enabled()
            page.unroute(f"**{path}*", refuse)


def test_an_error_of_an_import_that_ended_stands_beside_its_source(page: Page) -> None:
    error = {"reason": "NOT_JSON", "field": "files", "message": "This is no JSON."}
    failed = DATASET | COUNTS | {"state": "FAILED", "source_url": "upload of a.json", "error": error}
    page.route("**/v1/datasets/ds_1", answering(failed))
    page.goto("/analyze?dataset=ds_1")
    expect(page.get_by_role("radio", name="Files")).to_be_checked()
    expect(page.locator("#files-error")).to_have_text("This is no JSON.")


def test_an_alias_that_is_none_is_told_beside_it(page: Page, trained: str) -> None:
    page.goto(f"/models?model={trained}")
    page.get_by_label("Point an alias here").fill("12")
    page.get_by_role("button", name="Point", exact=True).click()
    expect(page.locator("#alias-error")).to_contain_text("alias")
    expect(page.get_by_label("Point an alias here")).to_be_focused()


def test_a_person_who_is_there_no_more_is_told_beside_the_choice(page: Page, imported: str) -> None:
    page.goto(f"/analyze?dataset={imported}")
    expect(page.locator("#latency .main-svg").first).to_be_visible()
    page.route("**/summary?*", refusing("USER_NOT_FOUND", "user"))
    page.get_by_label("One person against everybody").select_option(index=2)
    expect(page.locator("#user-error")).to_have_text("USER_NOT_FOUND of user.")


def test_a_hold_out_that_is_there_no_more_is_told_beside_its_choice(page: Page, trained: str) -> None:
    page.goto(f"/models?compare={trained}")
    expect(page.locator("#metrics table")).to_be_visible()
    page.route("**/evaluation?*", refusing("DATASET_NOT_FOUND", "dataset"))
    page.get_by_label("Measured on").select_option(trained)
    expect(page.locator("#on-error")).to_have_text("DATASET_NOT_FOUND of dataset.")
