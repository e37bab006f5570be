"""Images of this checkout, built once for all tests, and all of them up together."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.containers.composed import Composed
from tests.containers.engine import Engine, missing


@pytest.fixture(scope="session")
def engine() -> Iterator[Engine]:
    """Podman, with a stand-in for the base image."""
    if why := missing():
        pytest.skip(f"no containers: {why}")
    engine = Engine()
    engine.clean()
    engine.make_base()
    yield engine
    engine.clean()


@pytest.fixture(scope="session")
def images(engine: Engine) -> Engine:
    """Podman, with the four images under its tag."""
    engine.make_images()
    return engine


@pytest.fixture(scope="module")
def composed(images: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Composed]:
    """All of deploy/compose.yaml, up."""
    images.make_postgres()
    with Composed(images, tmp_path_factory.mktemp("composed")) as composed:
        yield composed
