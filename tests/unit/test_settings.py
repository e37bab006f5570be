"""Settings come from the environment."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic_core import PydanticUndefined

from keyprint.settings import GatewaySettings, InferenceSettings, IngestSettings, Settings, TrainingSettings


def test_networks_are_separated_by_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEYPRINT_INGEST_ALLOW_NETS", "127.0.0.0/8, 10.1.0.0/16,")
    assert IngestSettings().ingest_allow_nets == ["127.0.0.0/8", "10.1.0.0/16"]


def test_servers_listen_on_loopback_unless_told_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    assert IngestSettings().ingest_listen == "127.0.0.1:50051"
    monkeypatch.setenv("KEYPRINT_INGEST_LISTEN", "0.0.0.0:7000")
    assert IngestSettings().ingest_listen == "0.0.0.0:7000"


@pytest.mark.parametrize("part", [IngestSettings, TrainingSettings, InferenceSettings, GatewaySettings])
def test_every_setting_is_documented_with_its_default(part: type[Settings]) -> None:
    page = Path(__file__).parents[2] / "docs" / "settings.md"
    rows = [line for line in page.read_text().splitlines() if line.startswith("| `KEYPRINT_")]
    for name, field in part.model_fields.items():
        default = f"`{field.default}`" if field.default not in ("", PydanticUndefined) else ""
        row = f"| `KEYPRINT_{name.upper()}` | {default} | {field.description} |"
        assert row in rows
