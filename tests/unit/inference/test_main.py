"""What runs beside the calls."""

from __future__ import annotations

import errno
import os
from typing import Any, cast

import pytest

from services.inference import __main__ as main


class Over(BaseException):
    """Ends what has no end."""


class Models:
    """Cannot be swept, and then can."""

    def __init__(self) -> None:
        self.swept = 0

    def sweep(self) -> None:
        self.swept += 1
        if self.swept == 1:
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))


def test_models_are_swept_again_after_it_could_not_be_done(caplog: pytest.LogCaptureFixture) -> None:
    models = Models()

    def pause(_: float) -> None:
        if models.swept == 2:
            raise Over

    with pytest.raises(Over):
        main._sweep(cast(Any, models), pause)
    assert "Too many open files" in caplog.text
