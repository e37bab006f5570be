"""Settings come from the environment."""

from __future__ import annotations

import pytest

from keyprint.settings import IngestSettings


def test_networks_are_separated_by_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEYPRINT_INGEST_ALLOW_NETS", "127.0.0.0/8, 10.1.0.0/16,")
    assert IngestSettings().ingest_allow_nets == ["127.0.0.0/8", "10.1.0.0/16"]


def test_servers_listen_on_loopback_unless_told_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    assert IngestSettings().ingest_listen == "127.0.0.1:50051"
    monkeypatch.setenv("KEYPRINT_INGEST_LISTEN", "0.0.0.0:7000")
    assert IngestSettings().ingest_listen == "0.0.0.0:7000"
