"""Settings come from the environment."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic_core import PydanticUndefined

from keyprint.errors import FailedPrecondition
from keyprint.settings import GatewaySettings, InferenceSettings, IngestSettings, Settings, TrainingSettings, read, run


def test_networks_are_separated_by_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEYPRINT_INGEST_ALLOW_NETS", "127.0.0.0/8, 10.1.0.0/16,")
    assert IngestSettings().ingest_allow_nets == ["127.0.0.0/8", "10.1.0.0/16"]


def test_an_address_with_a_prefix_is_the_network_that_it_lies_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEYPRINT_INGEST_ALLOW_NETS", "127.0.0.1/8,10.1.2.3,fd00::1/8")
    assert IngestSettings().ingest_allow_nets == ["127.0.0.0/8", "10.1.2.3/32", "fd00::/8"]


WRONG = [
    (IngestSettings, "INGEST_ALLOW_NETS", "nonsense", "'nonsense'; it must be networks in CIDR form"),
    (IngestSettings, "INGEST_ALLOW_NETS", "10.0.0.0/8,10.0.0.0/99", "'10.0.0.0/99'; it must be networks in CIDR form"),
    (IngestSettings, "HOME", "", "''; it must name a directory"),
    (IngestSettings, "INGEST_LISTEN", "nowhere", "'nowhere'; it must be host:port"),
    (IngestSettings, "INGEST_RETRIES", "99", "'99'; it must be less than or equal to 10"),
    (IngestSettings, "INGEST_READ_SECONDS", "1e300", "'1e300'; it must be less than or equal to 86400"),
    (IngestSettings, "INGEST_DATABASE", "postgres://ann:secret@h/x", "wrong; it must be a SQLAlchemy URL"),
    (IngestSettings, "HOME", "/proc/none", "'/proc/none'; it must be a directory to write in"),
    (TrainingSettings, "TRAINING_CONCURRENCY", "many", "'many'; it must be a valid integer"),
    (TrainingSettings, "TRAINING_DATABASE", "catalogue", "wrong; it must be a SQLAlchemy URL"),
    (InferenceSettings, "INFERENCE_MODELS_MIB", "0", "'0'; it must be greater than or equal to 1"),
    (InferenceSettings, "INFERENCE_PRELOAD", "ada,a/b", "'a/b'; it must be models by name, name@version or name@alias"),
    (InferenceSettings, "INGEST_ADDRESS", "", "''; it must be host:port"),
    (GatewaySettings, "GRACE_SECONDS", "nan", "'nan'; it must be a finite number"),
    (GatewaySettings, "LOG_LEVEL", "loud", "'loud'; it must be one of DEBUG, INFO, WARNING, ERROR"),
]


@pytest.mark.parametrize(("part", "variable", "value", "told"), WRONG)
def test_a_wrong_setting_ends_the_start_with_one_sentence(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    part: type[Settings],
    variable: str,
    value: str,
    told: str,
) -> None:
    monkeypatch.setenv(f"KEYPRINT_{variable}", value)

    def main() -> None:
        read(part).directory("x")

    with pytest.raises(SystemExit) as ended:
        run(main)
    assert ended.value.code == 2
    (sentence,) = capsys.readouterr().err.splitlines()
    assert sentence.startswith(f"error: KEYPRINT_{variable} is {told}")
    assert "secret" not in sentence


@pytest.mark.parametrize("module", ["services.ingest", "services.training", "services.inference", "gateway"])
def test_every_part_starts_so(module: str) -> None:
    done = subprocess.run(  # noqa: S603 - our own interpreter and modules
        [sys.executable, "-m", module],
        env={**os.environ, "KEYPRINT_GRACE_SECONDS": "soon"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "error: KEYPRINT_GRACE_SECONDS is 'soon'; it must be a valid number. [SETTING_INVALID]\n"


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


def test_a_setting_may_lie_in_a_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    secret = tmp_path / "database"
    secret.write_text("postgresql+psycopg://ann:sesame@db/ingest\n")
    monkeypatch.setenv("KEYPRINT_INGEST_DATABASE_FILE", str(secret))
    assert read(IngestSettings).ingest_database == "postgresql+psycopg://ann:sesame@db/ingest"
    monkeypatch.setenv("KEYPRINT_INGEST_DATABASE", "sqlite:///other.db")
    assert read(IngestSettings).ingest_database == "sqlite:///other.db"


def test_a_file_that_cannot_be_read_is_told_by_its_variable(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("KEYPRINT_INGEST_DATABASE_FILE", str(tmp_path / "none"))
    with pytest.raises(FailedPrecondition, match=r"KEYPRINT_INGEST_DATABASE_FILE is '.*none'; it must be a file"):
        read(IngestSettings)


def test_a_secret_in_a_file_is_not_told_where_it_is_wrong(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    secret = tmp_path / "database"
    secret.write_text("postgres://ann:sesame@db/ingest")
    monkeypatch.setenv("KEYPRINT_INGEST_DATABASE_FILE", str(secret))
    with pytest.raises(FailedPrecondition, match="KEYPRINT_INGEST_DATABASE is wrong") as refused:
        read(IngestSettings)
    assert "sesame" not in refused.value.message


def test_what_a_part_keeps_is_for_its_owner_alone(tmp_path: Path) -> None:
    directory = IngestSettings(home=tmp_path).directory("ingest")
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
