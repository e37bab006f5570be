"""How a page looks and reads: pictures of it, var/screenshots/<name>-<scheme>-<width>.png, and what axe finds."""

from __future__ import annotations

from itertools import product
from typing import Literal

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

from keyprint.processes import checkout

SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
WIDTHS = (360, 768, 1280)
HEIGHT = 900
GRAVE = ("serious", "critical")


def shoot(page: Page, name: str) -> None:
    """Takes the whole page in light and dark at three widths; none may overflow, and axe finds nothing serious."""
    folder = checkout() / "var" / "screenshots"
    before = page.viewport_size
    for scheme, width in product(SCHEMES, WIDTHS):
        page.emulate_media(color_scheme=scheme)
        page.set_viewport_size({"width": width, "height": HEIGHT})
        page.evaluate("window.scrollTo(0, 0)")
        # Charts are drawn anew for a width.
        page.wait_for_timeout(300)
        page.screenshot(path=folder / f"{name}-{scheme}-{width}.png", full_page=True)
        over = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert over <= 0, f"{name} is {over} px too wide at {width}"
        if width != WIDTHS[1]:
            assert grave(page) == [], f"{name}, {scheme}, {width}"
    page.emulate_media(color_scheme="light")
    if before:
        page.set_viewport_size(before)


def grave(page: Page) -> list[str]:
    """What axe-core finds serious or worse, a line each."""
    found = Axe().run(page).response["violations"]
    return [
        f"{one['id']}: {one['help']}: {node['html'][:200]} {node.get('failureSummary', '')[:300]}"
        for one in found
        if one["impact"] in GRAVE
        for node in one["nodes"]
    ]
