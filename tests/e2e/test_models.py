"""The Models page, with the four real services behind it."""

from __future__ import annotations

import re
import tarfile
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.conftest import Stack
from tests.e2e.browser import BROWSER, PATIENCE_MS
from tests.e2e.screenshots import shoot
from tests.e2e.steps import api

pytestmark = BROWSER

CHARTS = ("accuracy", "det", "calibration", "users", "confusion")


@pytest.fixture(scope="module")
def other(browser: Browser, keyprint_stack: Stack, imported: str) -> str:
    """Another model, of another learner, held out at random."""
    context = browser.new_context(base_url=keyprint_stack.gateway_url)
    page = context.new_page()
    page.goto(f"/train?dataset={imported}")
    page.get_by_label("Model name").fill("pages-other")
    page.get_by_label("Learner", exact=True).select_option("extratrees")
    page.get_by_label("Held out are").select_option("random")
    page.get_by_role("button", name="Train", exact=True).click()
    expect(page.locator("#comparison table")).to_be_visible(timeout=PATIENCE_MS)
    context.close()
    return "pages-other@1"


def test_models_are_compared_in_figures_and_pictures(
    page: Page, keyprint_stack: Stack, trained: str, other: str
) -> None:
    page.goto("/models")
    for name in (trained, other):
        page.get_by_label(f"Compare {name}").check()
    expect(page.locator("#ticked")).to_have_text("2 versions are ticked.")
    page.get_by_role("button", name="Compare").click()
    rows = page.locator("#metrics tbody tr")
    expect(rows).to_have_count(2)
    for name in (trained, other):
        measured = api(keyprint_stack, f"/v1/models/{name}")["evaluation"]
        expect(rows.filter(has_text=name)).to_contain_text(f"{100 * measured['accuracy']:.1f} %")
        expect(rows.filter(has_text=name)).to_contain_text(f"{100 * measured['equal_error_rate']:.1f} %")
    for chart in CHARTS:
        expect(page.locator(f"#{chart} .main-svg").first).to_be_visible()
        expect(page.locator(f"#{chart}")).to_have_attribute("aria-label", re.compile(r"\S"))
    # Two hold-outs: the figures do not belong side by side until one is chosen for both.
    expect(page.locator("#unfair")).to_be_visible()
    page.get_by_label("Measured on").select_option(trained)
    expect(page.locator("#unfair")).to_be_hidden()
    expect(rows.filter(has_text=other)).to_contain_text("LEAK")
    expect(rows.filter(has_text=trained)).not_to_contain_text("LEAK")
    shoot(page, "models-compared")
    page.reload()
    expect(rows.filter(has_text=other)).to_contain_text("LEAK")
    expect(page.get_by_label("Measured on")).to_have_value(trained)


def test_a_model_is_told_in_full_given_an_alias_and_exported(
    page: Page, keyprint_stack: Stack, trained: str, tmp_path: Path
) -> None:
    page.goto("/models")
    page.get_by_role("link", name=trained).click()
    expect(page.locator("#one-title")).to_have_text(trained)
    model = api(keyprint_stack, f"/v1/models/{trained}")
    for told in (model["digest"], "model.onnx", *model["users"]):
        expect(page.locator("#about-model")).to_contain_text(told)

    page.get_by_label("Point an alias here").fill("7")
    page.get_by_role("button", name="Point").click()
    expect(page.locator("#alias-error")).not_to_be_empty()
    page.get_by_label("Point an alias here").fill("champion")
    page.get_by_role("button", name="Point").click()
    expect(page.locator("#moves tbody tr")).to_contain_text(["pages-ada@champion"])
    expect(page.locator("#models tr", has_text=trained)).to_contain_text("champion")
    expect(page.locator("#alias-error")).to_be_hidden()
    shoot(page, "models-one")

    with page.expect_download() as downloading:
        page.get_by_role("link", name="Export").click()
    assert downloading.value.suggested_filename == "pages-ada-1.keyprint"
    file = tmp_path / "exported"
    downloading.value.save_as(file)
    with tarfile.open(file) as package:
        assert any(name.endswith("model.onnx") for name in package.getnames())


def test_a_version_is_deleted_only_when_that_is_confirmed(page: Page, keyprint_stack: Stack, other: str) -> None:
    page.goto(f"/models?model={other}")
    dialog = page.get_by_role("dialog")
    page.get_by_role("button", name="Delete this version").click()
    expect(dialog).to_contain_text(f"Delete {other}?")
    dialog.get_by_role("button", name="Keep").click()
    expect(dialog).to_be_hidden()
    assert api(keyprint_stack, f"/v1/models/{other}")["version"] == 1
    page.get_by_role("button", name="Delete this version").click()
    dialog.get_by_role("button", name="Delete").click()
    expect(page.locator("#models tr", has_text=other)).to_have_count(0)
    expect(page.locator("#one")).to_be_hidden()
    assert all(one["name"] != "pages-other" for one in api(keyprint_stack, "/v1/models")["models"])


def test_a_model_that_is_not_there_is_told(page: Page) -> None:
    page.goto("/models?model=nobody@1")
    expect(page.locator("#problem")).to_contain_text("nobody")
