"""Documents that callers send become datasets, or leave nothing."""

from __future__ import annotations

import gzip
import json
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from keyprint.errors import FailedPrecondition, InvalidArgument, KeyprintError
from services.ingest.catalogue import Catalogue
from services.ingest.importer import Importer, ImportLimits
from services.ingest.reading import Reading, Rules, read_document
from services.ingest.store import Store
from services.ingest.tables import IMPORTING, Dataset
from services.ingest.upload import Uploads

MOST = 5_000
Upload = Callable[..., Dataset]


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "state"


@pytest.fixture
def upload(catalogue: Catalogue, state: Path) -> Upload:
    store = Store(state)
    limits = ImportLimits(documents=3)

    def nowhere() -> Any:
        pytest.fail("an upload fetches nothing")

    def send(
        *documents: bytes | tuple[str, bytes], base: Dataset | None = None, phrase: str = "hi", broken_at: str = ""
    ) -> Dataset:
        named = [one if isinstance(one, tuple) else (f"{number}.json", one) for number, one in enumerate(documents)]
        uploads = Uploads(catalogue, store, MOST, limits)
        dataset = uploads.receive(named, phrase, 1, base, [broken_at] if broken_at else [])
        if dataset.state == IMPORTING:
            Importer(catalogue, store, nowhere, limits).run(dataset.id)
        return catalogue.get(dataset.id)

    return send


def document(user: str | None, *steps: int, following: str | None = None) -> bytes:
    typed = [
        [{"typed_at": f"2024-01-01T00:00:00.{number * step:06d}", "character": one} for number, one in enumerate("hi")]
        for step in steps
    ]
    content: dict[str, Any] = {"attempts": typed} if user is None else {"user_label": user, "user_data": typed}
    return json.dumps(content | {"next": following}).encode()


def test_documents_are_read_in_the_order_in_which_they_were_sent(upload: Upload) -> None:
    dataset = upload(document("bob", 10, 20, following="elsewhere.json"), gzip.compress(document("ada", 30)))
    assert (dataset.state, dataset.error_message) == ("READY", "")
    assert [(row.user, row.attempts) for row in dataset.documents] == [("bob", 2), ("ada", 1)]
    assert dataset.source_url.startswith("upload:")


@pytest.mark.parametrize(
    ("names", "shown"),
    [
        (["ann.json"], "upload:ann.json"),
        (["/home/ann/typing/ann.json", "bob.json"], "upload:ann.json and 1 more file"),
        (["C:\\typing\\ann.json", "b", "c"], "upload:ann.json and 2 more files"),
        (["a\nn.json"], "upload:a?n.json"),
        ([""], "upload:document 1"),
        (["folder/"], "upload:folder/"),
    ],
)
def test_an_upload_is_shown_by_the_names_of_its_files(upload: Upload, names: list[str], shown: str) -> None:
    documents = [(name, document(f"user{number}", 10 + number)) for number, name in enumerate(names)]
    dataset = upload(*documents)
    assert (dataset.state, dataset.source_url) == ("READY", shown)
    # What is sent again is the same, whatever it is called now.
    assert upload(*((f"{number}.json", content) for number, (_, content) in enumerate(documents))).id == dataset.id


@pytest.mark.parametrize(
    ("broken_at", "reason", "told"),
    [
        ("c.json", "DOCUMENT_NOT_FOUND", "'c.json': It was not among the documents that were sent; send it with them."),
        ("a.json", "CHAIN_LOOP", "The chain comes back to 'a.json'."),
        ("b.json", "CHAIN_LOOP", "The chain comes back to 'b.json'."),
    ],
)
@pytest.mark.parametrize("based", [False, True])
def test_a_chain_that_breaks_off_among_files_keeps_what_was_sent_and_names_what_it_breaks_off_at(
    upload: Upload, broken_at: str, reason: str, told: str, based: bool
) -> None:
    base = upload(("joe.json", document("joe", 70))) if based else None
    files = [("a.json", document("ada", 10)), ("b.json", document("bob", 20))]
    broken = upload(*files, base=base, broken_at=broken_at)
    assert (broken.state, broken.error_reason, broken.error_field) == ("INCOMPLETE", reason, "files")
    assert broken.error_message == told
    before = ["joe"] if based else []
    assert [row.user for row in broken.documents] == [*before, "ada", "bob"]
    # The same once more changes nothing, and what is whole is another.
    again = upload(*files, base=base, broken_at=broken_at)
    assert (again.id, again.state, again.fingerprint) == (broken.id, "INCOMPLETE", broken.fingerprint)
    whole = upload(*files, base=base)
    assert (whole.state, [row.user for row in whole.documents]) == ("READY", [*before, "ada", "bob"])
    assert whole.id != broken.id


def test_a_document_may_come_in_pieces(upload: Upload) -> None:
    whole = document("ada", 10, 20)
    pieces = [("a.json", whole[begin : begin + 50]) for begin in range(0, len(whole), 50)]
    assert (
        upload(*pieces, ("b.json", document("bob", 30))).fingerprint == upload(whole, document("bob", 30)).fingerprint
    )


def test_the_same_documents_are_the_same_dataset(upload: Upload) -> None:
    ada, bob = document("ada", 10), document("bob", 20)
    first = upload(ada, bob)
    assert upload(ada, bob).id == first.id
    assert upload(bob, ada).id != first.id
    assert upload(ada).id != first.id


def test_documents_may_be_added_to_a_dataset(upload: Upload) -> None:
    base = upload(document("ada", 10, 20))
    more = upload(document("bob", 30), base=base)
    assert [(row.user, row.attempts) for row in more.documents] == [("ada", 2), ("bob", 1)]
    assert more.fingerprint == upload(document("ada", 10, 20), document("bob", 30)).fingerprint
    assert len(base.documents) == 1


def test_a_second_document_of_a_user_is_told(upload: Upload) -> None:
    base = upload(document("ada", 10, 20))
    more = upload(document("ada", 30), base=base)
    assert (more.state, more.error_reason) == ("INCOMPLETE", "DUPLICATE_USER")


@pytest.mark.parametrize("name", ["b.json", ""])
def test_a_wrong_document_is_named_as_it_was_sent(upload: Upload, name: str) -> None:
    ada = document("ada", 10, 20)
    twice = upload(("a.json", ada), (name, ada))
    assert (twice.state, twice.error_reason, twice.error_field) == ("INCOMPLETE", "DUPLICATE_USER", "files")
    assert twice.error_message == f"{name or 'document 2'!r} is a second document of user 'ada'."
    mixed = upload(("a.json", ada), (name, document(None, 30)))
    assert (mixed.error_reason, mixed.error_field) == ("NOT_A_DOCUMENT", "files")
    assert repr(name or "document 2") in mixed.error_message


def test_the_same_attempts_sent_twice_are_copies(upload: Upload) -> None:
    dataset = upload(document(None, 10, 20), document(None, 10, 20))
    assert (dataset.state, [row.duplicate_attempts for row in dataset.documents]) == ("READY", [0, 2])


@pytest.mark.parametrize("at_once", [1, 3])
def test_few_documents_of_all_uploads_are_read_at_once(catalogue: Catalogue, state: Path, at_once: int) -> None:
    changed, reading, most = threading.Condition(), 0, 0

    def read(content: bytes, rules: Rules) -> Reading:
        nonlocal reading, most
        with changed:
            reading += 1
            most = max(most, reading)
            changed.notify_all()
            # One too many would come while this one waits.
            changed.wait_for(lambda: reading > at_once, 0.2)
        with changed:
            reading -= 1
        return read_document(content, rules)

    uploads = Uploads(catalogue, Store(state), MOST, ImportLimits(), read=read, at_once=at_once)
    with ThreadPoolExecutor(2 * at_once) as callers:
        sent = [
            callers.submit(uploads.receive, [("a.json", document("ada", step))], "hi", 1, None)
            for step in range(2 * at_once)
        ]
    assert len({one.result().id for one in sent}) == 2 * at_once
    assert most == at_once


def test_a_large_document_waits_in_a_file_until_it_is_whole(catalogue: Catalogue, state: Path) -> None:
    content = document("ada", 10)[:-1] + b" " * 3_000_000 + b"}"
    pieces = [("a.json", content[begin : begin + 2**20]) for begin in range(0, len(content), 2**20)]
    store = Store(state)
    dataset = Uploads(catalogue, store, 2**22, ImportLimits()).receive(pieces, "hi", 1, None)
    assert store.inbox.read(f"{dataset.url}/0") == content


def test_what_was_sent_counts_as_received_and_what_its_base_has_does_not(upload: Upload) -> None:
    ada, bob = document("ada", 10, 20), document("bob", 30)
    base = upload(ada)
    assert [row.downloaded_bytes for row in base.documents] == [len(ada)]
    more = upload(bob, base=base)
    assert [(row.size, row.downloaded_bytes) for row in more.documents] == [(len(ada), 0), (len(bob), len(bob))]


def test_what_another_upload_waits_for_outlives_errors_deletions_and_endings(catalogue: Catalogue, state: Path) -> None:
    store = Store(state)
    uploads = Uploads(catalogue, store, MOST, ImportLimits())
    importer = Importer(catalogue, store, lambda: pytest.fail("an upload fetches nothing"))
    ada = document("ada", 10, 20)
    wrong = uploads.receive([("a.json", ada), ("b.json", ada)], "hi", 1, None)
    waiting = uploads.receive([("a.json", ada)], "hi", 1, None)
    other = uploads.receive([("a.json", ada)], "hi", 2, None)
    importer.run(wrong.id)
    assert catalogue.get(wrong.id).error_reason == "DUPLICATE_USER"
    catalogue.delete(wrong.id)

    def pieces() -> Iterator[tuple[str, bytes]]:
        yield "a.json", ada
        importer.run(waiting.id)
        catalogue.delete(waiting.id)
        yield "b.json", document("bob", 30)

    late = uploads.receive(pieces(), "hi", 1, None)
    for dataset in (other, late):
        importer.run(dataset.id)
        assert catalogue.get(dataset.id).state == "READY"
    # Nobody needs them any more.
    assert list((state / "uploads").iterdir()) == []


def test_a_restart_keeps_what_was_sent_for_imports_that_are_under_way(catalogue: Catalogue, state: Path) -> None:
    store = Store(state)
    dataset = Uploads(catalogue, store, MOST, ImportLimits()).receive(
        [("a.json", document("ada", 10, 20))], "hi", 1, None
    )
    for name in ("0" * 64, ".sending"):
        (state / "uploads" / name).mkdir()
        (state / "uploads" / name / "0").write_bytes(b"{}")
    (state / "datasets" / "ds_gone").mkdir()
    again = Store(state)
    again.sweep(catalogue.in_use())
    Importer(catalogue, again, lambda: pytest.fail("an upload fetches nothing")).run(dataset.id)
    assert catalogue.get(dataset.id).state == "READY"
    assert list((state / "uploads").iterdir()) == []
    assert [path.name for path in (state / "datasets").iterdir()] == [dataset.id]


def test_what_is_added_must_have_the_phrase_of_the_base(upload: Upload) -> None:
    base = upload(document("ada", 10, 20))
    with pytest.raises(FailedPrecondition) as caught:
        upload(document("bob", 30), base=base, phrase="ho")
    assert caught.value.reason == "OTHER_PHRASE"


def test_an_unlabelled_document_is_a_dataset_to_predict(upload: Upload) -> None:
    dataset = upload(document(None, 10, 20))
    assert (dataset.state, dataset.documents[0].user) == ("READY", None)


@pytest.mark.parametrize(
    ("documents", "reason", "says"),
    [
        ([], "FILES_MISSING", "at least one"),
        ([b""], "NOT_JSON", "'0.json'"),
        ([b"<html>"], "NOT_JSON", "'0.json'"),
        ([document("ada", 10), b"{}"], "NOT_A_DOCUMENT", "'1.json'"),
        ([b'["a.json", "b.json"]'], "NOT_A_DOCUMENT", "'0.json': It is no typing document but a list"),
        ([b'"a.json"\n"b.json"\n'], "NOT_JSON", "a list works by its URL only"),
        ([document("ada", 10), gzip.compress(document("bob", 10))[:-6]], "NOT_JSON", "'1.json'"),
        ([bytes(MOST + 1)], "LIMIT_EXCEEDED", "'0.json'"),
        ([gzip.compress(bytes(1_000_000))], "LIMIT_EXCEEDED", "'0.json'"),
        ([document(name, 10) for name in "abcd"], "LIMIT_EXCEEDED", "at most 3 documents"),
    ],
)
def test_what_is_no_document_is_refused_by_name_and_leaves_nothing(
    upload: Upload, catalogue: Catalogue, state: Path, documents: list[bytes], reason: str, says: str
) -> None:
    with pytest.raises(InvalidArgument, match=says) as caught:
        upload(*documents)
    assert (caught.value.reason, caught.value.field) == (reason, "files")
    assert catalogue.page(None, 10) == []
    assert [path for path in state.rglob("*") if path.is_file()] == []


def test_a_caller_who_goes_away_leaves_nothing(catalogue: Catalogue, state: Path) -> None:
    def pieces() -> Iterator[tuple[str, bytes]]:
        yield "a.json", document("ada", 10)
        yield "b.json", b"{"
        raise KeyprintError("CANCELLED", "The caller went away.")

    with pytest.raises(KeyprintError):
        Uploads(catalogue, Store(state), MOST, ImportLimits()).receive(pieces(), "hi", 1, None)
    assert catalogue.page(None, 10) == []
    assert [path for path in state.rglob("*") if path.is_file()] == []
