"""Settings: environment variables with the prefix KEYPRINT_, read once in each `__main__`.

What should not stand in an environment may lie in a file: KEYPRINT_INGEST_DATABASE_FILE names the one that holds
KEYPRINT_INGEST_DATABASE, and so for every setting.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BeforeValidator, Field, ValidationError, ValidationInfo
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, NoDecode, PydanticBaseSettingsSource, SettingsConfigDict

from keyprint.addresses import Address
from keyprint.errors import FailedPrecondition, KeyprintError
from keyprint.names import parse_reference

_DAY = 86_400.0
_LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")

_WRONG_STATUS = 2
"""Exit status of a part whose settings are wrong."""


def _split_commas(value: object) -> object:
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


def _log_level(name: str) -> str:
    if name.upper() not in _LOG_LEVELS:
        raise ValueError(f"it must be one of {', '.join(_LOG_LEVELS)}")
    return name.upper()


def _network(text: str) -> str:
    try:
        # An address with a prefix is taken for the network that it lies in.
        return str(ip_network(text, strict=False))
    except ValueError:
        raise ValueError("it must be networks in CIDR form, like 127.0.0.0/8 or 10.1.2.3") from None


def _address(text: str, info: ValidationInfo) -> str:
    Address.parse(text, _variable(str(info.field_name)))
    return text


def _reference(text: str) -> str:
    try:
        parse_reference(text)
    except KeyprintError as error:
        raise ValueError(f"it must be models by name, name@version or name@alias: {error.message[:-1]}") from None
    return text


def _database(url: str) -> str:
    if url:
        # Only the services that have a database have SQLAlchemy.
        from sqlalchemy.engine import make_url
        from sqlalchemy.exc import ArgumentError

        try:
            make_url(url).get_dialect().import_dbapi()
        except (ArgumentError, ImportError, ValueError):
            raise ValueError(
                "it must be a SQLAlchemy URL whose driver is installed, like postgresql+psycopg://user@host/keyprint"
            ) from None
    return url


def _named(directory: object) -> object:
    if directory == "":
        raise ValueError("it must name a directory")
    return directory


CommaSeparated = Annotated[list[str], NoDecode, BeforeValidator(_split_commas)]
Networks = Annotated[list[Annotated[str, AfterValidator(_network)]], NoDecode, BeforeValidator(_split_commas)]
HostAndPort = Annotated[str, AfterValidator(_address)]
References = Annotated[list[Annotated[str, AfterValidator(_reference)]], NoDecode, BeforeValidator(_split_commas)]
Database = Annotated[str, AfterValidator(_database)]
LogLevel = Annotated[str, AfterValidator(_log_level)]
Part = TypeVar("Part", bound="Settings")


class _Files(PydanticBaseSettingsSource):
    """Settings that files hold, with white space around them left out."""

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        """The value, None where no file is named; the field's name; that it is no JSON.

        Raises:
            FailedPrecondition: the file cannot be read.
        """
        variable = f"{_variable(field_name)}_FILE"
        path = os.environ.get(variable)
        if path is None:
            return None, field_name, False
        try:
            return Path(path).read_text().strip(), field_name, False
        except (OSError, UnicodeDecodeError):
            raise FailedPrecondition(
                "SETTING_INVALID", f"{variable} is {path!r}; it must be a file of text that can be read.", variable
            ) from None

    def __call__(self) -> dict[str, Any]:
        found = {name: self.get_field_value(field, name)[0] for name, field in self.settings_cls.model_fields.items()}
        return {name: value for name, value in found.items() if value is not None}


class Settings(BaseSettings):
    """What every part needs to know."""

    model_config = SettingsConfigDict(env_prefix="KEYPRINT_", frozen=True, allow_inf_nan=False)

    home: Annotated[Path, BeforeValidator(_named)] = Field(
        Path("var"), description="Directory that holds all state of this machine."
    )
    log_level: LogLevel = Field("INFO", description="DEBUG, INFO, WARNING or ERROR.")
    ingest_address: HostAndPort = Field("127.0.0.1:50051", description="Where the ingest service is found.")
    training_address: HostAndPort = Field("127.0.0.1:50052", description="Where the training service is found.")
    inference_address: HostAndPort = Field("127.0.0.1:50053", description="Where the inference service is found.")
    waiting_calls: int = Field(
        500,
        ge=0,
        le=100_000,
        description="Calls that may wait in a service while it answers as many as it can; one more is refused, with "
        "when to try again.",
    )
    grace_seconds: float = Field(
        10.0, ge=0, le=_DAY, description="Seconds that calls let in get to end when a server stops."
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Arguments, the environment, then files that it names."""
        return init_settings, env_settings, _Files(settings_cls)

    def directory(self, part: str) -> Path:
        """A part's own directory below `home`, made for the eyes of its owner alone if it is not there.

        Raises:
            FailedPrecondition: it cannot be made.
        """
        directory = (self.home / part).resolve()
        try:
            directory.mkdir(0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise _invalid("home", str(self.home), f"it must be a directory to write in ({error.strerror})") from None
        return directory


class StateSettings(Settings):
    """What every service that keeps state needs to know beside that."""

    database_seconds: float = Field(
        60.0, ge=0, le=_DAY, description="Longest wait at a start for the database's server to answer, in seconds."
    )
    executor: str = Field(
        "",
        max_length=256,
        description="Name of this process among those of its service, the same at each of its starts: it takes up the "
        "work that one of this name left. The service's name if empty.",
    )


class IngestSettings(StateSettings):
    """The ingest service."""

    ingest_listen: HostAndPort = Field("127.0.0.1:50051", description="Address that ingest listens on.")
    ingest_database: Database = Field(
        "",
        description="SQLAlchemy URL of catalogue and queue, like postgresql+psycopg://user@host/ingest; "
        "SQLite if empty.",
    )
    ingest_concurrency: int = Field(16, ge=1, le=64, description="Imports that run at once; most wait for servers.")
    ingest_host_concurrency: int = Field(
        4, ge=1, le=64, description="Imports from one host that run at once, KEYPRINT_INGEST_CONCURRENCY at most."
    )
    ingest_readers: int = Field(
        2, ge=1, le=64, description="Processes that read documents, of all imports and uploads together."
    )
    ingest_reader_seconds: float = Field(
        120.0, gt=0, le=_DAY, description="Longest time that a document takes to be read, once it is here, in seconds."
    )
    ingest_ahead_mib: int = Field(
        512,
        ge=0,
        description="MiB of documents that all imports together fetch before they turn to them; each has one more.",
    )
    ingest_allow_nets: Networks = Field(
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
    ingest_seconds: float = Field(6 * 3600.0, gt=0, le=30 * _DAY, description="Longest import or upload, in seconds.")
    ingest_document_seconds: float = Field(
        120.0, gt=0, le=_DAY, description="Longest download of a document, in seconds."
    )
    ingest_connect_seconds: float = Field(10.0, gt=0, le=_DAY, description="Longest wait for a connection, in seconds.")
    ingest_read_seconds: float = Field(
        30.0, gt=0, le=_DAY, description="Longest wait for the next bytes of a document or an upload, in seconds."
    )
    ingest_upload_kib_second: float = Field(
        16.0,
        gt=0,
        le=2**20,
        description="Least KiB a second of an upload; it may fall behind by KEYPRINT_INGEST_READ_SECONDS of waiting.",
    )
    ingest_redirects: int = Field(5, ge=0, description="Redirects followed on the way to a document.")
    ingest_retries: int = Field(3, ge=0, le=10, description="Tries after the first where the network or a 5xx fails.")


class TrainingSettings(StateSettings):
    """The training service."""

    training_listen: HostAndPort = Field("127.0.0.1:50052", description="Address that training listens on.")
    training_database: Database = Field(
        "",
        description="SQLAlchemy URL of jobs, models and queue, like postgresql+psycopg://user@host/training; "
        "SQLite if empty.",
    )
    training_concurrency: int = Field(1, ge=1, le=64, description="Training jobs that run at once.")
    training_ingest_seconds: float = Field(
        300.0, ge=0, le=_DAY, description="Longest wait of a job for ingest to answer, in seconds."
    )
    training_import_mib: int = Field(
        2048, ge=1, le=2048, description="Largest file of a model that is imported, and largest package in it, in MiB."
    )
    training_upload_seconds: float = Field(
        6 * 3600.0, gt=0, le=30 * _DAY, description="Longest upload of a model that is imported, in seconds."
    )
    training_read_seconds: float = Field(
        30.0, gt=0, le=_DAY, description="Longest wait for the next bytes of such an upload, in seconds."
    )
    training_upload_kib_second: float = Field(
        16.0,
        gt=0,
        le=2**20,
        description="Least KiB a second of such an upload; it may fall behind by KEYPRINT_TRAINING_READ_SECONDS of "
        "waiting.",
    )
    training_import_memory_mib: int = Field(
        4096, ge=16, le=2**20, description="MiB of memory that an imported model's graph may take when it is run."
    )


class InferenceSettings(Settings):
    """The inference service."""

    inference_listen: HostAndPort = Field("127.0.0.1:50053", description="Address that inference listens on.")
    inference_models_mib: int = Field(
        1024, ge=1, description="MiB of memory, about, that models may take; the one in use always has room."
    )
    inference_preload: References = Field(
        default_factory=list,
        description="Models, comma-separated, each a name, name@version or name@alias, that are loaded before the "
        "service is ready; it waits for training, and for a model that is not there yet.",
    )


class GatewaySettings(Settings):
    """The gateway."""

    gateway_listen: HostAndPort = Field("127.0.0.1:8080", description="Address that the gateway listens on.")
    gateway_hosts: CommaSeparated = Field(
        default_factory=list,
        description="Host names, comma-separated, by which the gateway may be called beside loopback's.",
    )
    gateway_timeout_seconds: float = Field(
        120.0,
        gt=0,
        le=_DAY,
        description="Seconds that a service may take to answer; a model's first use takes longest.",
    )
    gateway_body_mib: int = Field(
        16, ge=1, le=1024, description="Largest body of a request that uploads no files, in MiB."
    )
    gateway_uploads: int = Field(32, ge=1, le=1000, description="Uploads of files that are received at once.")
    gateway_read_seconds: float = Field(
        30.0, gt=0, le=_DAY, description="Longest wait for the next bytes of a request, in seconds."
    )
    gateway_body_kib_second: float = Field(
        16.0,
        gt=0,
        le=2**20,
        description="Least KiB a second of a request's body; it may fall behind by KEYPRINT_GATEWAY_READ_SECONDS of "
        "waiting.",
    )


def read(kind: type[Part]) -> Part:
    """The settings of a part, from the environment.

    Raises:
        FailedPrecondition: one is wrong; the sentence names it, its value and what would be right.
    """
    try:
        return kind()
    except ValidationError as error:
        first = error.errors()[0]
        raise _invalid(str(first["loc"][0]), first["input"], _expected(first)) from None


def run(main: Callable[[], None]) -> None:
    """Runs a part; ends the process with one sentence and status 2 where it cannot be started as it is set up."""
    if os.getpid() == 1:
        # The first process of a container is not ended by a signal that it does not handle, and parts handle theirs
        # from when they serve.
        signal.signal(signal.SIGTERM, lambda *_: os._exit(128 + signal.SIGTERM))
    try:
        main()
    except KeyprintError as error:
        sys.stderr.write(f"error: {error.message} [{error.reason}]\n")
        sys.exit(_WRONG_STATUS)


def _variable(name: str) -> str:
    return f"KEYPRINT_{name.upper()}"


def _invalid(name: str, value: object, expected: str) -> FailedPrecondition:
    variable = _variable(name)
    # A database's URL may hold a password.
    shown = "wrong" if name.endswith("_database") else repr(value)
    return FailedPrecondition("SETTING_INVALID", f"{variable} is {shown}; {expected}.", variable)


def _expected(error: Any) -> str:
    """What pydantic, or a check of ours, says would be right."""
    told: object = error.get("ctx", {}).get("error")
    if isinstance(told, ValueError):
        return str(told)
    # "Input should be greater than 0", "Input should be a valid integer, unable to parse string as an integer".
    return str(error["msg"]).split(", unable")[0].replace("Input should be", "it must be")
