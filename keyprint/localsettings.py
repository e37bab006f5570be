"""What `keyprint up` and `keyprint demo` read from the settings of the four parts."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from keyprint.addresses import Address, setting_of


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
    from keyprint import settings as of
    from keyprint.settings import GatewaySettings, InferenceSettings, IngestSettings, TrainingSettings

    settings = of.read(GatewaySettings)
    listens = {
        "ingest": of.read(IngestSettings).ingest_listen,
        "training": of.read(TrainingSettings).training_listen,
        "inference": of.read(InferenceSettings).inference_listen,
        "gateway": settings.gateway_listen,
    }
    addresses = {part: Address.parse(listen, setting_of(part)) for part, listen in listens.items()}
    return Local(settings.home, settings.grace_seconds, addresses)
