"""What an older Keyprint wrote is read by this one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import Engine, MetaData, Table, create_engine, insert, select

from services.training import tables

CLAIMS = {"default_far": 0.01, "far": [0.01], "threshold": [0.4]}
STRANGERS = {"default_far": 0.01, "far": [0.01], "threshold": [0.9]}


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    return create_engine(f"sqlite:///{tmp_path / 'catalogue.db'}")


def migrate(engine: Engine, run: Callable[[Config, str], None], revision: str) -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(tables.__file__).parent / "migrations"))
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        run(config, revision)


def table_of_models(engine: Engine) -> Table:
    return Table("models", MetaData(), autoload_with=engine)


def test_of_two_kinds_of_thresholds_that_for_claims_stays(engine: Engine) -> None:
    migrate(engine, command.upgrade, "0004")
    models = table_of_models(engine)
    usual = {"VARCHAR": "", "JSON": {}, "INTEGER": 1, "FLOAT": 0.5, "BOOLEAN": True, "DATETIME": tables.now()}
    row = {one.name: usual[str(one.type).partition("(")[0]] for one in models.columns}
    row |= {"thresholds": {"verification": CLAIMS, "identification": STRANGERS}}
    row |= {"evaluation": {"accuracy": 0.5, "open_set": {"false_accept_rate": 0.1}}}
    with engine.begin() as connection:
        connection.execute(insert(models).values(row))

    def found(column: str) -> object:
        with engine.begin() as connection:
            return connection.scalars(select(models.c[column])).one()

    migrate(engine, command.upgrade, "0005")
    assert found("thresholds") == CLAIMS
    assert found("evaluation") == {"accuracy": 0.5, "open_set": None}
    migrate(engine, command.downgrade, "0004")
    assert found("thresholds") == {"verification": CLAIMS, "identification": CLAIMS}
    migrate(engine, command.upgrade, "head")
    assert found("thresholds") == CLAIMS
