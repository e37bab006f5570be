"""Every limit is a setting that arrives where it counts."""

from __future__ import annotations

from dataclasses import asdict

import pytest

from keyprint.attempts import MAX_KEYSTROKES
from keyprint.settings import IngestSettings
from services.ingest.__main__ import _limits
from services.ingest.fetch import FetchLimits
from services.ingest.importer import ImportLimits

SETTINGS = {
    "DOCUMENT_MIB": "document_bytes",
    "DOCUMENT_SECONDS": "document_seconds",
    "CONNECT_SECONDS": "connect_seconds",
    "READ_SECONDS": "read_seconds",
    "RETRIES": "retries",
    "REDIRECTS": "redirects",
    "DOCUMENTS": "documents",
    "DATASET_MIB": "dataset_bytes",
    "DOCUMENT_ATTEMPTS": "document_attempts",
    "ATTEMPT_KEYSTROKES": "attempt_keystrokes",
    "SECONDS": "seconds",
    "UPLOAD_KIB_SECOND": "upload_bytes_second",
}


@pytest.mark.parametrize("setting", SETTINGS)
def test_a_limit_is_what_its_setting_says(setting: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(f"KEYPRINT_INGEST_{setting}", "3")
    of_documents, of_imports = _limits(IngestSettings())
    found = asdict(of_documents) | asdict(of_imports)
    assert found[SETTINGS[setting]] == 3 * (2**20 if "_MIB" in setting else 2**10 if "_KIB" in setting else 1)


def test_limits_that_nobody_sets_are_those_of_the_settings() -> None:
    assert _limits(IngestSettings()) == (FetchLimits(), ImportLimits())


def test_an_attempt_may_be_as_long_as_attempts_can_be_and_no_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    assert IngestSettings().ingest_attempt_keystrokes == MAX_KEYSTROKES
    monkeypatch.setenv("KEYPRINT_INGEST_ATTEMPT_KEYSTROKES", str(MAX_KEYSTROKES + 1))
    with pytest.raises(ValueError, match="ingest_attempt_keystrokes"):
        IngestSettings()
