"""Settings: environment variables with the prefix KEYPRINT_, read once in each `__main__`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import BeforeValidator, Field
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict


def _split_commas(value: object) -> object:
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


CommaSeparated = Annotated[list[str], NoDecode, BeforeValidator(_split_commas)]


class Settings(BaseSettings):
    """What every part needs to know."""

    model_config = SettingsConfigDict(env_prefix="KEYPRINT_", frozen=True)

    home: Path = Field(Path("var"), description="Directory that holds all state of this machine.")
    log_level: str = Field("INFO", description="DEBUG, INFO, WARNING or ERROR.")
    ingest_address: str = Field("127.0.0.1:50051", description="Where the ingest service is found.")
    training_address: str = Field("127.0.0.1:50052", description="Where the training service is found.")
    inference_address: str = Field("127.0.0.1:50053", description="Where the inference service is found.")
    grace_seconds: float = Field(10.0, ge=0, description="Seconds that calls get to end when a server stops.")


class IngestSettings(Settings):
    """The ingest service."""

    ingest_listen: str = Field("127.0.0.1:50051", description="Address that ingest listens on.")
    ingest_database: str = Field("", description="SQLAlchemy URL of the catalogue; SQLite under home if empty.")
    ingest_concurrency: int = Field(4, ge=1, le=64, description="Imports that run at once.")
    ingest_allow_nets: CommaSeparated = Field(
        default_factory=list,
        description="Networks (CIDR, comma-separated) that source URLs may reach.",
    )


class TrainingSettings(Settings):
    """The training service."""

    training_listen: str = Field("127.0.0.1:50052", description="Address that training listens on.")
    training_database: str = Field("", description="SQLAlchemy URL of jobs and models; SQLite under home if empty.")
    training_concurrency: int = Field(1, ge=1, le=64, description="Training jobs that run at once.")


class InferenceSettings(Settings):
    """The inference service."""

    inference_listen: str = Field("127.0.0.1:50053", description="Address that inference listens on.")
    inference_models_mib: int = Field(1024, ge=1, description="MiB of models kept in memory; the one in use always is.")


class GatewaySettings(Settings):
    """The gateway."""

    gateway_listen: str = Field("127.0.0.1:8080", description="Address that the gateway listens on.")
    gateway_hosts: CommaSeparated = Field(
        default_factory=list,
        description="Host names, comma-separated, by which the gateway may be called beside loopback's.",
    )
    gateway_timeout_seconds: float = Field(
        120.0, gt=0, description="Seconds that a service may take to answer; a model's first use takes longest."
    )
