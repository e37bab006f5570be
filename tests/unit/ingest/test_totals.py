"""What the documents of a dataset come to is on its row, and stays right."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import grpc
import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import create_engine, text

from keyprint.rpc import Watches
from keyprint.v1 import ingest_pb2
from services.ingest import tables
from services.ingest.catalogue import Catalogue
from services.ingest.datasets import Datasets
from services.ingest.servicer import IngestServicer
from services.ingest.store import Store
from services.ingest.tables import Dataset
from services.ingest.upload import Uploads
from tests.unit.ingest.sources import attempt, document, statements, totals_of, totals_of_documents

CONTEXT = cast(grpc.ServicerContext, None)


def test_they_are_the_sums_over_the_documents(web: tuple[Path, str], run: Callable[..., Dataset]) -> None:
    folder, url = web
    document(folder, "ada", "bob.json", 10, 20, 20)
    document(folder, "bob", "cat.json", 30, 40, 50, 60)
    document(folder, "cat", "nowhere.json", 70, text="ho")
    dataset = run(url + "ada.json")
    found = totals_of(dataset)
    size = sum(path.stat().st_size for path in folder.iterdir())
    assert found == {
        "document_count": 3,
        "attempts": 8,
        "keystrokes": 16,
        "valid_attempts": 7,
        "released_attempts": 0,
        "duplicate_attempts": 1,
        "downloaded_bytes": size,
        "invalid": {"PHRASE_MISMATCH": 1},
        "warnings": {},
        "labelled": True,
        "enrolled_users": 2,
        "fewest_trainable": 2,
        "most_trainable": 4,
    }
    assert found == totals_of_documents(dataset)


def test_a_dataset_of_which_nothing_is_kept_has_none(web: tuple[Path, str], run: Callable[..., Dataset]) -> None:
    folder, url = web
    document(folder, "ada", None, 10, 20, text="ho")
    failed = run(url + "ada.json")
    assert (failed.state, totals_of(failed)) == ("FAILED", totals_of_documents(failed))
    assert failed.attempts == 0


def test_no_document_is_read_to_show_a_dataset(
    web: tuple[Path, str], run: Callable[..., Dataset], catalogue: Catalogue, store: Store
) -> None:
    folder, url = web
    document(folder, "ada", None, 10, 20)
    dataset = run(url + "ada.json")
    datasets = Datasets(catalogue, store, cast(Uploads, None), cast(Any, None))
    servicer = IngestServicer(catalogue, store, datasets, cast(Watches, None))
    with statements(catalogue) as asked:
        shown = servicer.GetDataset(ingest_pb2.GetDatasetRequest(dataset=dataset.id), CONTEXT)
        listed = servicer.ListDatasets(ingest_pb2.ListDatasetsRequest(), CONTEXT)
        created = servicer.CreateDataset(
            ingest_pb2.CreateDatasetRequest(url=url + "ada.json", phrase="hi", min_attempts=2), CONTEXT
        )
        cancelled = servicer.CancelDataset(ingest_pb2.CancelDatasetRequest(dataset=dataset.id), CONTEXT)
        assert servicer._look(dataset.id) == shown == created == cancelled == listed.datasets[0]
    assert (shown.documents, shown.attempts, shown.enrolled_users) == (1, 2, 1)
    assert any("FROM datasets" in one for one in asked)
    assert not [one for one in asked if "FROM documents" in one]


@pytest.mark.parametrize("labelled", [True, False])
def test_datasets_of_an_older_keyprint_have_them_too(
    web: tuple[Path, str], run: Callable[..., Dataset], catalogue: Catalogue, tmp_path: Path, labelled: bool
) -> None:
    folder, url = web
    document(folder, "ada", "bob.json", 10, 20, 20)
    document(folder, "bob", None, 30, 40, 50, 60)
    (folder / "test.json").write_text(json.dumps({"attempts": [attempt("hi", 10), attempt("ho", 20)]}))
    expected = run(url + ("ada.json" if labelled else "test.json"))
    engine = create_engine(f"sqlite:///{tmp_path / 'catalogue.db'}")
    config = Config()
    config.set_main_option("script_location", str(Path(tables.__file__).parent / "migrations"))
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.downgrade(config, "0002")
        assert "valid_attempts" not in connection.execute(text("select * from datasets")).keys()  # noqa: SIM118 - no dict
        command.upgrade(config, "head")
    engine.dispose()
    found = catalogue.get(expected.id)
    assert totals_of(found) == totals_of(expected) == totals_of_documents(found)
