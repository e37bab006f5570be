"""Pages in a browser, before the four real services."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, Playwright, Request, expect, sync_playwright

from tests.conftest import Stack
from tests.e2e.browser import ARGUMENTS, CHROMIUM, PATIENCE_MS
from tests.e2e.steps import MODEL, start_training, submit_source

# Machines are shared, and a chart's library alone is five megabytes.
expect.set_options(timeout=20_000)


@pytest.fixture(scope="session")
def playwright() -> Iterator[Playwright]:
    with sync_playwright() as running:
        yield running


@pytest.fixture(scope="session")
def browser(playwright: Playwright) -> Iterator[Browser]:
    browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
    yield browser
    browser.close()


@pytest.fixture
def page(browser: Browser, keyprint_stack: Stack) -> Iterator[Page]:
    """A page that fails its test when a script does, or when anything comes from elsewhere."""
    context = browser.new_context(base_url=keyprint_stack.gateway_url, viewport={"width": 1280, "height": 900})
    page = context.new_page()
    page.set_default_timeout(20_000)
    wrong: list[str] = []

    def heard(message: ConsoleMessage) -> None:
        # The browser logs refused calls itself; the pages show those to people.
        if message.type == "error" and "Failed to load resource" not in message.text:
            wrong.append(message.text)

    def requested(request: Request) -> None:
        if not request.url.startswith((keyprint_stack.gateway_url, "data:")):
            wrong.append(f"asked {request.url}")

    page.on("console", heard)
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("request", requested)
    yield page
    context.close()
    assert wrong == []


@pytest.fixture(scope="session")
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


@pytest.fixture(scope="session")
def trained(browser: Browser, keyprint_stack: Stack, imported: str) -> str:
    """The model that the Train page made of that dataset."""
    context = browser.new_context(base_url=keyprint_stack.gateway_url)
    page = context.new_page()
    start_training(page, imported, MODEL)
    expect(page.locator("#comparison table")).to_be_visible(timeout=PATIENCE_MS)
    context.close()
    return f"{MODEL}@1"
