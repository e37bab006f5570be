"""What people do on the pages, again and again."""

from __future__ import annotations

import json
import urllib.request
from typing import Any

from playwright.sync_api import Page, expect

MODEL = "pages-ada"
"""Name of the model that the fixture `trained` makes."""


def submit_source(page: Page, url: str, phrase: str | None = None) -> None:
    page.get_by_role("radio", name="A URL").check(force=True)
    page.get_by_label("URL", exact=True).fill(url)
    if phrase is not None:
        page.get_by_label("Phrase").fill(phrase)
    page.locator("button[type=submit]").click()


def start_training(page: Page, dataset: str, model: str) -> None:
    page.goto(f"/train?dataset={dataset}")
    expect(page.get_by_label("Dataset", exact=True)).to_have_value(dataset)
    page.get_by_label("Model name").fill(model)
    page.get_by_label("Learner", exact=True).select_option("adaboost")
    page.get_by_role("button", name="Train", exact=True).click()


def api(stack: Any, path: str) -> Any:
    with urllib.request.urlopen(f"{stack.gateway_url}{path}") as answer:  # noqa: S310 (our own gateway)
        return json.load(answer)
