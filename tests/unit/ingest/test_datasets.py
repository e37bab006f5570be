"""What callers may do to datasets, and what becomes of them when something gets in between."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, suppress
from functools import partial
from pathlib import Path
from typing import cast

import grpc
import pyarrow as pa
import pytest

from keyprint.errors import Cancelled, FailedPrecondition, InvalidArgument, NotFound, TooSlow
from keyprint.rpc import Watches
from keyprint.v1 import ingest_pb2
from services.ingest.catalogue import Catalogue
from services.ingest.datasets import Datasets
from services.ingest.importer import ImportLimits
from services.ingest.messages import dataset_message
from services.ingest.sent import Break, End, Header, Piece
from services.ingest.servicer import IngestServicer
from services.ingest.store import Store
from services.ingest.tables import CANCELLED, CANCELLING, IMPORTING, INCOMPLETE, Dataset
from services.ingest.upload import Uploads
from tests.unit.ingest.sources import Web, document, importer_of


class Line:
    """A queue that remembers what came, and works on it when it is told to."""

    def __init__(self, work: Callable[[str], None]) -> None:
        self.put_in: list[tuple[str, int]] = []
        self.broken = False
        self._work = work

    def put(self, thing: str, run: int = 1, lane: str | None = None) -> None:
        if self.broken:
            raise OSError("The queue is gone.")
        self.put_in.append((thing, run))

    def work(self) -> None:
        """Does the newest."""
        self._work(self.put_in[-1][0])


@pytest.fixture
def line(catalogue: Catalogue, store: Store) -> Line:
    return Line(importer_of(catalogue, store).run)


@pytest.fixture
def datasets(catalogue: Catalogue, store: Store, line: Line) -> Datasets:
    return Datasets(catalogue, store, Uploads(catalogue, store, 10_000, ImportLimits(), 0.1), line)


def files(tmp_path: Path) -> list[Path]:
    """Every file of the store."""
    return [path for path in (tmp_path / "state").rglob("*") if path.is_file()]


def test_callers_at_once_share_one_import(datasets: Datasets, line: Line) -> None:
    first, second = (datasets.create("http://127.0.0.1/a", "hi", 2, False) for _ in range(2))
    assert first.id == second.id
    # The queue takes the same run once.
    assert set(line.put_in) == {(first.id, 1)}


def test_a_dataset_that_is_deleted_while_it_is_read_is_not_found(
    datasets: Datasets,
    catalogue: Catalogue,
    store: Store,
    run: Callable[..., Dataset],
    web: tuple[Path, str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("services.ingest.part.MOST_KEYSTROKES", 1)
    folder, url = web
    document(folder, "ada", "bob.json", 10, 20)
    document(folder, "bob", None, 30, 40)
    read_part = store.read_part
    servicer = IngestServicer(catalogue, store, datasets, cast(Watches, None))
    context = cast(grpc.ServicerContext, None)

    def deleted(dataset: str, part: int, columns: list[str] | None = None) -> pa.Table:
        if part:
            datasets.delete(dataset)
        return read_part(dataset, part, columns)

    reads: list[Callable[[str], object]] = [
        lambda dataset: list(servicer.ReadAttempts(ingest_pb2.ReadAttemptsRequest(dataset=dataset), context)),
        lambda dataset: servicer.SummarizeDataset(ingest_pb2.SummarizeDatasetRequest(dataset=dataset), context),
        lambda dataset: servicer.ListRecords(ingest_pb2.ListRecordsRequest(dataset=dataset), context),
    ]
    for read in reads:
        dataset = run(url + "ada.json")
        assert len({row.part for row in dataset.documents}) == 2
        with monkeypatch.context() as patched:
            patched.setattr(store, "read_part", deleted)
            with pytest.raises(NotFound, match="was deleted while it was read") as caught:
                read(dataset.id)
        assert (caught.value.reason, caught.value.field) == ("DATASET_NOT_FOUND", "dataset")


def test_a_part_that_is_missing_from_a_dataset_that_is_there_is_our_fault(
    datasets: Datasets, store: Store, run: Callable[..., Dataset], web: tuple[Path, str]
) -> None:
    folder, url = web
    document(folder, "ada", None, 10, 20)
    dataset = run(url + "ada.json")
    store.delete(dataset.id)
    with pytest.raises(FileNotFoundError), datasets.unless_deleted(dataset):
        store.read_part(dataset.id, 0)


def test_an_import_that_did_not_reach_the_queue_gets_there_when_it_is_asked_for_again(
    datasets: Datasets, line: Line, web: tuple[Path, str], catalogue: Catalogue
) -> None:
    folder, url = web
    document(folder, "ada", None, 10, 20)
    line.broken = True
    with pytest.raises(OSError, match="queue"):
        datasets.create(url + "ada.json", "hi", 2, False)
    line.broken = False
    dataset = datasets.create(url + "ada.json", "hi", 2, False)
    assert dataset.state == IMPORTING
    line.work()
    assert catalogue.get(dataset.id).state == "READY"
    assert datasets.create(url + "ada.json", "hi", 2, False).state == "READY"
    assert len(line.put_in) == 1


@pytest.mark.parametrize("end", ["whole", "dead link", "no document", "other phrase", "cancelled"])
def test_a_deleted_dataset_leaves_nothing_however_it_ended(
    datasets: Datasets, line: Line, web: tuple[Path, str], catalogue: Catalogue, tmp_path: Path, end: str
) -> None:
    folder, url = web
    following = {"whole": None, "dead link": "gone.json"}.get(end, "bob.json")
    document(folder, "ada", following, 10, 20)
    (folder / "bob.json").write_text("[")
    dataset = datasets.create(url + "ada.json", "ho" if end == "other phrase" else "hi", 2, False)
    if end == "cancelled":
        datasets.cancel(dataset.id)
    line.work()
    assert catalogue.get(dataset.id).state not in (IMPORTING, CANCELLING)
    datasets.delete(dataset.id)
    assert files(tmp_path) == []
    with pytest.raises(NotFound):
        datasets.delete(dataset.id)


def test_a_document_that_was_fetched_ahead_of_an_end_goes_with_its_dataset(
    datasets: Datasets,
    line: Line,
    catalogue: Catalogue,
    tmp_path: Path,
    serve: Callable[..., AbstractContextManager[str]],
) -> None:
    folder = tmp_path / "slow"
    folder.mkdir()
    document(folder, "ada", "bob.json", 10, 20)
    document(folder, "bob", None, 30, 40)
    asked, answer, answered = threading.Event(), threading.Event(), threading.Event()

    class Slow(Web):
        def do_GET(self) -> None:  # noqa: N802 - http.server's name
            if self.path == "/bob.json":
                asked.set()
                answer.wait(20)
            # Who was cancelled has hung up.
            with suppress(OSError):
                super().do_GET()
            if self.path == "/bob.json":
                answered.set()

    with serve(partial(Slow, directory=str(folder))) as url:
        dataset = datasets.create(url + "/ada.json", "hi", 2, False)
        working = threading.Thread(target=line.work)
        working.start()
        assert asked.wait(20)
        datasets.cancel(dataset.id)
        working.join(20)
        assert catalogue.get(dataset.id).state == CANCELLED
        datasets.delete(dataset.id)
        answer.set()
        assert answered.wait(20)
    for thread in threading.enumerate():
        if thread.name.startswith("fetch"):
            thread.join(20)
    assert files(tmp_path) == []


def test_a_deletion_leaves_what_another_dataset_of_the_source_was_read_from(
    datasets: Datasets, line: Line, web: tuple[Path, str]
) -> None:
    folder, url = web
    document(folder, "ada", None, 10, 20)
    made = []
    for least in (1, 2):
        made.append(datasets.create(url + "ada.json", "hi", least, False))
        line.work()
    datasets.delete(made[0].id)
    datasets.create(url + "ada.json", "hi", 3, False)
    line.work()
    assert Web.asked == ["/ada.json"]


@pytest.mark.parametrize("cancelled", [False, True])
def test_what_is_being_imported_is_not_deleted(
    datasets: Datasets, catalogue: Catalogue, cancelled: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = datasets.create("http://127.0.0.1/a", "hi", 2, False)
    if cancelled:
        datasets.cancel(dataset.id)
    with pytest.raises(FailedPrecondition) as caught:
        datasets.delete(dataset.id)
    assert (caught.value.reason, catalogue.get(dataset.id).id) == ("DATASET_NOT_READY", dataset.id)


def test_an_import_that_is_started_during_a_deletion_goes_on(
    datasets: Datasets, line: Line, web: tuple[Path, str], catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, url = web
    document(folder, "ada", "bob.json", 10, 20)
    dataset = datasets.create(url + "ada.json", "hi", 2, False)
    line.work()
    look = catalogue.look

    def look_and_restart(wanted: str) -> object:
        found = look(wanted)
        if found.state == INCOMPLETE:
            datasets.create(url + "ada.json", "hi", 2, False)
        return found

    monkeypatch.setattr(catalogue, "look", look_and_restart)
    with pytest.raises(FailedPrecondition):
        datasets.delete(dataset.id)
    assert look(dataset.id).state == IMPORTING


def test_the_document_that_is_read_is_told_while_it_is(datasets: Datasets, catalogue: Catalogue) -> None:
    dataset = datasets.create("http://ann:sesame@127.0.0.1/a?b", "hi", 2, False)
    catalogue.turn_to(dataset.id, "http://127.0.0.1/a")
    assert dataset_message(catalogue.get(dataset.id)).current_document == "http://127.0.0.1/a"
    catalogue.end(dataset.id, "READY")
    assert dataset_message(catalogue.get(dataset.id)).current_document == ""


@pytest.mark.parametrize("sent", [[], [Piece("a", b"{}")], [Header("hi", 1, ""), Header("hi", 1, "")]])
def test_an_upload_is_one_header_and_then_pieces(datasets: Datasets, sent: list[Header | Piece]) -> None:
    with pytest.raises(InvalidArgument) as caught:
        datasets.upload(iter(sent))
    assert (caught.value.reason, caught.value.field) == ("HEADER_MISSING", "header")


def test_nothing_comes_after_where_the_chain_of_an_upload_breaks_off(
    datasets: Datasets, catalogue: Catalogue, tmp_path: Path
) -> None:
    good = Piece("a.json", b'{"attempts": []}')
    for after in (good, Break("b.json")):
        with pytest.raises(InvalidArgument) as caught:
            datasets.upload(iter([Header("hi", 1, ""), good, Break("b.json"), after, End()]))
        assert (caught.value.reason, caught.value.field) == ("HEADER_MISSING", "broken_at")
    assert (catalogue.page(None, 10), files(tmp_path)) == ([], [])


def test_an_upload_that_ends_without_saying_so_broke_off_and_leaves_nothing(
    datasets: Datasets, catalogue: Catalogue, tmp_path: Path
) -> None:
    with pytest.raises(Cancelled, match="broke off"):
        datasets.upload(iter([Header("hi", 1, ""), Piece("a.json", b'{"attempts": []}')]))
    assert catalogue.page(None, 10) == []
    assert files(tmp_path) == []


@pytest.mark.parametrize("after", [0, 1, 2])
def test_an_upload_that_stops_coming_is_given_up_and_leaves_nothing(
    datasets: Datasets, catalogue: Catalogue, tmp_path: Path, after: int
) -> None:
    over = threading.Event()

    def sent() -> Iterator[Header | Piece]:
        whole: list[Header | Piece] = [Header("hi", 1, ""), Piece("a.json", b"{")]
        yield from whole[:after]
        over.wait(20)

    with pytest.raises(TooSlow) as caught:
        datasets.upload(sent())
    over.set()
    assert (caught.value.reason, caught.value.field) == ("LIMIT_EXCEEDED", "files")
    assert "waits for 0.1 seconds at most" in caught.value.message
    assert catalogue.page(None, 10) == []
    assert files(tmp_path) == []


def test_an_upload_that_drips_is_given_up_at_the_limit_of_an_import(catalogue: Catalogue, store: Store) -> None:
    over = threading.Event()

    def sent() -> Iterator[Header | Piece]:
        yield Header("hi", 1, "")
        while not over.wait(0.01):
            yield Piece("a.json", b" ")

    limits = ImportLimits(seconds=0.2)
    datasets = Datasets(catalogue, store, Uploads(catalogue, store, 10_000, limits, 20.0), Line(print))
    with pytest.raises(TooSlow, match=r"takes longer than 0\.2 seconds"):
        datasets.upload(sent())
    over.set()


def slow(catalogue: Catalogue, store: Store) -> Datasets:
    """Uploads of a KiB a second at least, that may be two seconds behind."""
    limits = ImportLimits(seconds=60, upload_bytes_second=1024)
    return Datasets(catalogue, store, Uploads(catalogue, store, 20_000, limits, 2.0), Line(print))


@pytest.mark.parametrize("at_once", [0, 9000])
def test_an_upload_that_drips_is_given_up_however_fast_it_was_before(
    catalogue: Catalogue, store: Store, at_once: int
) -> None:
    over = threading.Event()

    def sent() -> Iterator[Header | Piece]:
        yield Header("hi", 1, "")
        yield Piece("a.json", b" " * at_once)
        while not over.wait(0.05):
            yield Piece("a.json", b" ")

    with pytest.raises(TooSlow, match=r"sends less than 1 KiB a second, and .* waits for 2 seconds at most"):
        slow(catalogue, store).upload(sent())
    over.set()
    assert catalogue.page(None, 10) == []


def test_an_upload_that_is_slow_and_keeps_its_pace_is_taken(catalogue: Catalogue, store: Store) -> None:
    content = json.dumps({"attempts": []}).encode()
    pieces = [b" " * 200] * 45 + [content]

    def sent() -> Iterator[Header | Piece | End]:
        yield Header("hi", 1, "")
        for piece in pieces:
            threading.Event().wait(0.05)
            yield Piece("a.json", piece)
        yield End()

    assert slow(catalogue, store).upload(sent()).state == IMPORTING
