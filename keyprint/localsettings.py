"""What `keyprint up` and `keyprint demo` read from the settings of the four parts."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from keyprint.addresses import Address, setting_of
from keyprint.errors import FailedPrecondition


@dataclass(frozen=True)
class Local:
    """All parts on one machine.

    Attributes:
        home: directory of all state.
        grace: seconds that calls get to end when a part stops.
        addresses: where each part listens, in the order in which they start.
    """

    home: Path
    grace: float
    addresses: dict[str, Address]


def read() -> Local:
    """Reads the environment as the parts would.

    Raises:
        FailedPrecondition: a setting is wrong; it is named.
    """
    # Only those who start services need pydantic.
    from pydantic import ValidationError

    from keyprint.settings import GatewaySettings, InferenceSettings, IngestSettings, TrainingSettings

    try:
        settings = GatewaySettings()
        listens = {
            "ingest": IngestSettings().ingest_listen,
            "training": TrainingSettings().training_listen,
            "inference": InferenceSettings().inference_listen,
            "gateway": settings.gateway_listen,
        }
    except ValidationError as error:
        first = error.errors()[0]
        setting = "KEYPRINT_" + str(first["loc"][0]).upper()
        raise FailedPrecondition("SETTING_INVALID", f"{setting}: {first['msg']}.", setting) from None
    addresses = {part: Address.parse(listen, setting_of(part)) for part, listen in listens.items()}
    return Local(settings.home, settings.grace_seconds, addresses)
