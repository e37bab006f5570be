"""The main job with all parts as processes of one machine, as `keyprint up` has them."""

from __future__ import annotations

import pytest

from tests.conftest import Stack
from tests.e2e.main_job import main_job


@pytest.mark.timeout(900)
def test_the_main_job_goes_from_urls_to_a_csv_over_http(keyprint_stack: Stack) -> None:
    main_job(keyprint_stack, "main")
