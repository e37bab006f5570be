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
    ingest_database: str = Field(
        "",
        description="SQLAlchemy URL of catalogue and queue, like postgresql+psycopg://user@host/ingest; "
        "SQLite if empty.",
    )
    ingest_concurrency: int = Field(4, ge=1, le=64, description="Imports that run at once.")
    ingest_allow_nets: CommaSeparated = Field(
        default_factory=list,
        description="Networks (CIDR, comma-separated) that source URLs may reach.",
    )
    ingest_cache_mib: int = Field(
        4096, ge=0, description="MiB of downloaded documents kept; the least recently used go first."
    )
    ingest_document_mib: int = Field(
        64,
        ge=1,
        description="Largest document, in MiB, decompressed; beyond a million commas it has one to 16 bytes at most.",
    )
    ingest_dataset_mib: int = Field(16 * 1024, ge=1, description="Largest dataset, in MiB of documents, decompressed.")
    ingest_documents: int = Field(100_000, ge=1, description="Most documents of a dataset.")
    ingest_document_attempts: int = Field(100_000, ge=1, description="Most attempts of a document, that is of a user.")
    ingest_attempt_keystrokes: int = Field(
        1024, ge=2, le=1024, description="Keystrokes beyond which an attempt is TOO_LONG."
    )
    ingest_seconds: float = Field(6 * 3600.0, gt=0, description="Longest import or upload, in seconds.")
    ingest_document_seconds: float = Field(120.0, gt=0, description="Longest download of a document, in seconds.")
    ingest_connect_seconds: float = Field(10.0, gt=0, description="Longest wait for a connection, in seconds.")
    ingest_read_seconds: float = Field(
        30.0, gt=0, description="Longest wait for the next bytes of a document or an upload, in seconds."
    )
    ingest_redirects: int = Field(5, ge=0, description="Redirects followed on the way to a document.")
    ingest_retries: int = Field(3, ge=0, le=10, description="Tries after the first where the network or a 5xx fails.")


class TrainingSettings(Settings):
    """The training service."""

    training_listen: str = Field("127.0.0.1:50052", description="Address that training listens on.")
    training_database: str = Field(
        "",
        description="SQLAlchemy URL of jobs, models and queue, like postgresql+psycopg://user@host/training; "
        "SQLite if empty.",
    )
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
