"""Models of thousands of users: what is told of them fits into messages, and lists do not read it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import event

from keyprint.channel import MESSAGE_BYTES
from keyprint.package import Thresholds
from keyprint.v1 import training_pb2
from services.training import messages
from services.training.compare import Row
from services.training.evaluate import evaluate
from services.training.models import Models
from services.training.tables import Sessions, open_tables
from tests.unit.training.rows import measured, model_row

USERS, MODELS = 2000, 40


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Sessions:
    tables = open_tables(f"sqlite:///{tmp_path_factory.mktemp('many') / 'catalogue.db'}")
    with tables.begin() as session:
        session.add_all(model_row("ada", version, USERS, 4 * USERS) for version in range(1, MODELS + 1))
    return tables


@pytest.fixture
def statements(tables: Sessions) -> Iterator[list[str]]:
    """What the database is asked."""
    asked: list[str] = []

    def note(connection: object, cursor: object, statement: str, *_: object) -> None:
        asked.append(statement)

    event.listen(tables.kw["bind"], "before_cursor_execute", note)
    yield asked
    event.remove(tables.kw["bind"], "before_cursor_execute", note)


def test_a_page_of_models_reads_nothing_that_grows_with_users(tables: Sessions, statements: list[str]) -> None:
    rows = Models(tables).page(None, 1000)
    assert len(rows) == MODELS
    page = training_pb2.ListModelsResponse(models=[messages.model_message(row, ()) for row in rows])
    assert statements
    assert not any("model_details" in one for one in statements)
    assert page.models[0].user_count == USERS
    assert page.models[0].evaluation.accuracy == 0.5
    # A thousand of them are a page, too.
    assert page.ByteSize() / MODELS * 1000 < MESSAGE_BYTES / 4


def test_a_model_is_told_whole_in_one_message(tables: Sessions) -> None:
    message = messages.whole_model_message(Models(tables).get("ada"), ())
    assert len(message.users) == len(message.evaluation.users) == USERS
    assert sum(message.evaluation.confusion.count) == message.evaluation.attempts == 4 * USERS
    assert message.ByteSize() < MESSAGE_BYTES / 16


def test_a_comparison_has_figures_alone(tables: Sessions, statements: list[str]) -> None:
    models = Models(tables)
    figures = measured("ada1").figures
    rows = [messages.row_message(Row(one, figures, np.zeros(0, np.bool_), 0)) for one in models.page(None, 1000)]
    assert not any("model_details" in one for one in statements)
    assert rows[0].evaluation.accuracy == 0.5
    assert not rows[0].evaluation.users
    assert not rows[0].evaluation.HasField("confusion")
    assert training_pb2.Comparison(rows=rows).ByteSize() / MODELS < 512


def test_an_evaluation_of_many_users_has_the_cells_that_are_not_empty() -> None:
    rng = np.random.default_rng(0)
    truth = np.arange(USERS)
    scores = rng.random((USERS, USERS), np.float32)
    scores[truth, truth] += 0.5
    found = evaluate(scores / scores.sum(axis=1, keepdims=True), truth, [f"user {one}" for one in truth], DECISION)
    assert found.confusion.fits(USERS, USERS)
    assert len(found.confusion.count) <= USERS
    right = sum(
        count
        for actual, predicted, count in zip(
            found.confusion.actual, found.confusion.predicted, found.confusion.count, strict=True
        )
        if actual == predicted
    )
    assert right == round(found.accuracy * USERS)
    assert messages.evaluation_message(found).ByteSize() < MESSAGE_BYTES / 16


DECISION = Thresholds(0.01, (0.01,), (0.5,))


def test_a_model_goes_with_its_details(tmp_path: Path) -> None:
    tables = open_tables(f"sqlite:///{tmp_path / 'catalogue.db'}")
    with tables.begin() as session:
        session.add_all(model_row("ada", version) for version in (1, 2, 3))
    models = Models(tables)
    models.delete("ada@2")
    models.delete("ada")
    with tables.begin() as session:
        left = session.connection().exec_driver_sql("select count(*) from model_details").scalar_one()
    assert left == 0
