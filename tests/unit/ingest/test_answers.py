"""No answer is larger than a message may be, however many typed and whatever they are called."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, cast

import numpy as np
import pyarrow as pa
import pytest

from keyprint import attempts, rpc
from keyprint.channel import MESSAGE_BYTES
from keyprint.channel import channel as open_channel
from keyprint.client import IngestClient
from keyprint.errors import InvalidArgument
from keyprint.v1 import ingest_pb2, ingest_pb2_grpc
from services.ingest.catalogue import Catalogue
from services.ingest.datasets import Datasets
from services.ingest.decode import LABEL_LENGTH
from services.ingest.messages import PAGE_BYTES
from services.ingest.parse import parse_document, to_batch
from services.ingest.servicer import IngestServicer
from services.ingest.store import Store
from services.ingest.summary import MOST_TIMELINES
from services.ingest.tables import INCOMPLETE, READY, Dataset, DocumentRow
from services.ingest.upload import Uploads

USERS = 20_000
KEY = "🔑"


@pytest.fixture
def address(catalogue: Catalogue, store: Store) -> Iterator[str]:
    """An ingest service that imports nothing."""
    # Neither an upload nor the queue is asked for anything.
    datasets = Datasets(catalogue, store, cast(Uploads, None), cast(Any, None))
    server = rpc.Server("127.0.0.1:0", ingest_pb2.DESCRIPTOR)
    ingest_pb2_grpc.add_IngestServiceServicer_to_server(
        IngestServicer(catalogue, store, datasets, server.watches), server.grpc_server
    )
    server.start()
    yield f"127.0.0.1:{server.port}"
    server.stop(0)


def label(number: int) -> str:
    """As long as one may be."""
    return f"{number:0{LABEL_LENGTH}}".replace("0", KEY)


def row(dataset: Dataset, number: int, **fields: Any) -> DocumentRow:
    """The document of one user."""
    usual: dict[str, Any] = {
        "user": label(number),
        "part": 0,
        "attempts": 30,
        "keystrokes": 60,
        "valid_attempts": 26,
        "invalid": {"EMPTY": 1, "MALFORMED": 1, "PHRASE_MISMATCH": 2},
        "warnings": {"LONG_PAUSE": 5},
        "duplicate_attempts": 3,
        "enrolled": True,
    }
    return DocumentRow(
        dataset_number=dataset.number,
        number=number,
        url="http://127.0.0.1/a",
        final_url="http://127.0.0.1/a",
        next=None,
        digest="0" * 64,
        size=1,
        downloaded_bytes=0,
        released_attempts=0,
        **usual | fields,
    )


def test_thousands_of_users_with_the_longest_labels_are_told_page_by_page(catalogue: Catalogue, address: str) -> None:
    made = catalogue.open_import("http://127.0.0.1/a", "http://127.0.0.1/a", "hi", 20)
    rows = [row(made, number) for number in range(USERS)]
    rows[7].valid_attempts, rows[8].valid_attempts = 24, 30
    rows[9].valid_attempts, rows[9].enrolled = 1, False
    catalogue.add_documents(rows)
    catalogue.end(made.id, READY, "5f" * 32)
    with IngestClient(address) as client:
        dataset = client.get_dataset(made.id)
        users = list(client.list_users(made.id))
        assert list(client.list_datasets()) == [dataset]
    # All of them would not fit.
    assert sum(one.ByteSize() for one in users) > MESSAGE_BYTES
    assert dataset.ByteSize() < 1000
    assert (dataset.users, dataset.enrolled_users) == (USERS, USERS - 1)
    assert (dataset.fewest_trainable_attempts, dataset.most_trainable_attempts) == (21, 27)
    assert [one.user for one in users] == [label(number) for number in range(USERS)]
    assert dict(users[-1].invalid) == {"EMPTY": 1, "MALFORMED": 1, "PHRASE_MISMATCH": 2}
    assert [one.enrolled for one in users[8:11]] == [True, False, True]


def test_a_page_of_users_is_as_large_as_it_was_asked_for(catalogue: Catalogue, address: str) -> None:
    made = catalogue.open_import("http://127.0.0.1/a", "http://127.0.0.1/a", "hi", 20)
    catalogue.add_documents([row(made, number) for number in range(5)])
    request = ingest_pb2.ListUsersRequest(dataset=made.id, page_size=2)
    numbers = []
    with open_channel(address) as channel:
        while True:
            page = ingest_pb2_grpc.IngestServiceStub(channel).ListUsers(request)
            numbers.append([one.user for one in page.users])
            request.page_token = page.next_page_token
            if not page.next_page_token:
                break
    assert numbers == [[label(0), label(1)], [label(2), label(3)], [label(4)]]


def test_nobody_is_listed_of_a_dataset_that_does_not_say_who_typed(catalogue: Catalogue, address: str) -> None:
    made = catalogue.open_import("http://127.0.0.1/a", "http://127.0.0.1/a", "hi", 20)
    catalogue.add_documents([row(made, 0, user=None)])
    with IngestClient(address) as client:
        assert list(client.list_users(made.id)) == []


def test_a_thousand_datasets_of_the_longest_urls_are_told_page_by_page(catalogue: Catalogue, address: str) -> None:
    url = "http://127.0.0.1/" + KEY * 2000
    error = InvalidArgument("NOT_A_DOCUMENT", f"{url} names {KEY * 200!r}, which cannot be fetched.", "url")
    made = []
    for least in range(1, 1001):
        made.append(catalogue.open_import(url, url, KEY * 256, least).id)
        catalogue.end(made[-1], INCOMPLETE, error=error)
    request, found, pages = ingest_pb2.ListDatasetsRequest(page_size=1000), [], 0
    with open_channel(address) as channel:
        while pages == 0 or request.page_token:
            page = ingest_pb2_grpc.IngestServiceStub(channel).ListDatasets(request)
            found += [one.id for one in page.datasets]
            request.page_token = page.next_page_token
            pages += 1
            assert 0 < page.ByteSize() < PAGE_BYTES * 1.01
    assert found == made[::-1]
    assert pages > 1


def test_a_summary_is_bounded_for_any_number_of_users_and_days(
    catalogue: Catalogue, store: Store, address: str
) -> None:
    phrase, users = "key" * 85 + "s", 1500
    typed = []
    for day in range(users):
        noon = np.datetime64("2000-01-01T12:00:00.000000", "us") + np.timedelta64(day, "D")
        typed.append(
            [
                {"typed_at": str(noon + 1000 * at), "released_at": str(noon + 1000 * at + 500), "character": one}
                for at, one in enumerate(phrase)
            ]
        )
    document = parse_document(json.dumps({"user_label": "all", "user_data": typed}).encode())
    made = catalogue.open_import("http://127.0.0.1/a", "http://127.0.0.1/a", phrase, 1)
    rows = to_batch(document, attempts.judge(document.keystrokes, phrase), 0)
    store.write_part(made.id, 0, pa.Table.from_batches([rows]))
    catalogue.add_documents([row(made, number, attempts=1, valid_attempts=1) for number in range(users)])
    catalogue.end(made.id, READY, "5f" * 32)
    with IngestClient(address) as client:
        summary = client.summarize_dataset(made.id, label(8))
    assert len(summary.timelines) == MOST_TIMELINES < users
    timelines = sum(one.ByteSize() for one in summary.timelines)
    assert timelines < MESSAGE_BYTES / 8
    assert summary.ByteSize() - timelines < 64 * 1024
    assert len(summary.keys) == len(summary.everyone.hold_ms.median) == len(summary.user.profile.hold_ms.median) == 256
    assert (summary.everyone.attempts, summary.user.profile.attempts) == (users, 1)
    assert len(summary.periods) == 100
    assert [(one.first_day, one.last_day, one.attempts) for one in summary.user.periods] == [
        ("2000-01-01", "2000-01-15", 1)
    ]
