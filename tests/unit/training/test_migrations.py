"""What an older Keyprint wrote is read by this one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import Engine, MetaData, Table, create_engine, insert, select
from sqlalchemy.orm import joinedload, sessionmaker

from keyprint.package import Point
from services.training import tables
from tests.unit.training.rows import evaluation

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


def usual_row(table: Table) -> dict[str, Any]:
    usual = {"VARCHAR": "", "JSON": {}, "INTEGER": 1, "FLOAT": 0.5, "BOOLEAN": True, "DATETIME": tables.now()}
    return {one.name: usual[str(one.type).partition("(")[0]] for one in table.columns}


def test_of_two_kinds_of_thresholds_that_for_claims_stays(engine: Engine) -> None:
    migrate(engine, command.upgrade, "0004")
    models = table_of_models(engine)
    row = usual_row(models)
    row |= {"thresholds": {"verification": CLAIMS, "identification": STRANGERS}}
    row |= {"evaluation": {"accuracy": 0.5, "open_set": {"false_accept_rate": 0.1}}, "users": []}
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


def test_what_a_model_says_of_its_users_moves_into_a_table_of_its_own(engine: Engine) -> None:
    migrate(engine, command.upgrade, "0005")
    models = table_of_models(engine)
    now, dense = evaluation(users=2, attempts=3), [2, 0, 0, 1]
    whole = asdict(now) | {"confusion": dense}
    row = usual_row(models) | {"name": "ada", "version": 1, "params": {}, "thresholds": CLAIMS, "files": []}
    row |= {"users": ["user 0", "user 1"], "evaluation": whole, "curve": [{"step": 1, "loss": None, "accuracy": 0.5}]}
    with engine.begin() as connection:
        connection.execute(insert(models).values(row))
    migrate(engine, command.upgrade, "head")
    with sessionmaker(engine).begin() as session:
        (found,) = session.scalars(select(tables.Model).options(joinedload(tables.Model.details)))
        assert found.figures == now.figures
        assert found.user_count == 2
        assert found.details.users == ("user 0", "user 1")
        assert found.details.evaluation == now
        assert found.details.curve == (Point(1, None, 0.5),)
    migrate(engine, command.downgrade, "0005")
    with engine.begin() as connection:
        old = connection.execute(select(models)).mappings().one()
    assert (old["users"], old["evaluation"]["confusion"]) == (["user 0", "user 1"], dense)
