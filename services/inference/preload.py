"""Models that are in memory before a service says that it is ready."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable

from keyprint.errors import KeyprintError
from services.inference.engine import Engines

log = logging.getLogger(__name__)

PAUSE_SECONDS = 1.0


def preload(models: Engines, references: Iterable[str], pause: Callable[[float], None] = time.sleep) -> None:
    """Loads them, warm; tries again for as long as it takes, and logs what is in the way.

    Training may start later than inference, and a model may be trained after that: whoever asks for a model to be there
    is better served by a service that is not ready than by one that is and does not have it.
    """
    for reference in references:
        told = ""
        while (trouble := _trouble(models, reference)) is not None:
            if trouble != told:
                log.warning("not ready until %s is loaded: %s", reference, trouble)
                told = trouble
            pause(PAUSE_SECONDS)
        log.info("%s is loaded", reference)


def _trouble(models: Engines, reference: str) -> str | None:
    try:
        models.get(reference)
    except KeyprintError as error:
        return error.message
    except OSError as error:
        # Such as a disk that is full for the moment.
        return str(error)
    return None
