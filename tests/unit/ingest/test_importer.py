"""Whole imports over HTTP, into a real catalogue and real Parquet."""

from __future__ import annotations

import errno
import gzip
import json
import os
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import timedelta
from functools import partial
from http.server import SimpleHTTPRequestHandler
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from services.ingest import importer, part
from services.ingest.ahead import Ahead
from services.ingest.cache import Cache
from services.ingest.catalogue import Catalogue
from services.ingest.fetch import Fetcher, FetchLimits
from services.ingest.guard import Guard
from services.ingest.importer import Importer, ImportLimits
from services.ingest.messages import dataset_message
from services.ingest.reading import Reading, Rules, read_document
from services.ingest.records import read_records
from services.ingest.store import Store, parts_of
from services.ingest.tables import Dataset, Link, now
from tests.unit.ingest.sources import Web, attempt, document, importer_of, statements


def test_a_chain_is_followed_to_its_end(web: tuple[Path, str], run: Callable[..., Dataset], store: Store) -> None:
    folder, url = web
    document(folder, "ada", "bob.json", 10, 20, 30)
    document(folder, "bob", None, 40)
    dataset = run(url + "ada.json")
    assert (dataset.state, dataset.error_reason) == ("READY", "")
    assert [(row.user, row.attempts, row.enrolled) for row in dataset.documents] == [
        ("ada", 3, True),
        ("bob", 1, False),
    ]
    parts = parts_of(dataset.documents)
    rows = [row for batch in store.read(dataset.id, parts, trainable=False) for row in batch.to_pylist()]
    assert [row["attempt"] for row in rows] == [0, 1, 2, 3]
    trainable = [row for batch in store.read(dataset.id, parts, trainable=True) for row in batch.to_pylist()]
    assert {row["user"] for row in trainable} == {"ada"}


def test_the_next_document_is_on_its_way_before_this_one_is_read(
    web: tuple[Path, str], catalogue: Catalogue, store: Store
) -> None:
    folder, url = web
    document(folder, "ada", "bob.json", 10, 20)
    document(folder, "bob", None, 30)

    def when_asked(content: bytes, rules: Rules) -> Reading:
        deadline = time.monotonic() + 10
        while "/bob.json" not in Web.asked and time.monotonic() < deadline:
            time.sleep(0.01)
        assert "/bob.json" in Web.asked
        return read_document(content, rules)

    dataset = catalogue.open_import(url + "ada.json", url, "hi", 2)
    importer_of(catalogue, store, read=when_asked).run(dataset.id)
    assert catalogue.get(dataset.id).state == "READY"
    assert Web.asked == ["/ada.json", "/bob.json"]


def test_a_chain_comes_over_one_connection(
    tmp_path: Path, run: Callable[..., Dataset], serve: Callable[..., AbstractContextManager[str]]
) -> None:
    users = [f"user{number}" for number in range(8)]
    for number, (user, following) in enumerate(pairwise([*users, None])):
        document(tmp_path, str(user), f"{following}.json" if following else None, 10 + number, 20 + number)
    lines = set[object]()

    class Patient(Web):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:  # noqa: N802 - http.server's name
            lines.add(self.client_address)
            super().do_GET()

    with serve(partial(Patient, directory=str(tmp_path))) as url:
        assert run(f"{url}/{users[0]}.json").document_count == len(users)
    assert len(lines) == 1


@pytest.mark.parametrize("form", ["chain", "list"])
def test_where_there_is_no_room_ahead_each_document_is_fetched_in_its_turn(
    web: tuple[Path, str], catalogue: Catalogue, store: Store, form: str
) -> None:
    folder, url = web
    document(folder, "ada", "bob.json", 10, 20)
    document(folder, "bob", "eve.json", 30)
    document(folder, "eve", None, 40)
    (folder / "list").write_text('["ada.json", "bob.json", "eve.json"]')
    asked = list[list[str]]()

    def when_asked(content: bytes, rules: Rules) -> Reading:
        asked.append([path for path in Web.asked if path != "/list"])
        return read_document(content, rules)

    dataset = catalogue.open_import(url + ("list" if form == "list" else "ada.json"), url, "hi", 2)
    importer_of(catalogue, store, read=when_asked, ahead=Ahead(1, 0)).run(dataset.id)
    assert asked == [["/ada.json"], ["/ada.json", "/bob.json"], ["/ada.json", "/bob.json", "/eve.json"]]
    assert catalogue.get(dataset.id).state == "READY"


@pytest.mark.parametrize("end", ["eve.json", "nowhere.json", "ada.json"])
@pytest.mark.parametrize("form", ["chain", "list"])
def test_room_that_was_taken_ahead_is_free_when_an_import_ends_however_it_ends(
    web: tuple[Path, str], catalogue: Catalogue, store: Store, form: str, end: str
) -> None:
    folder, url = web
    document(folder, "ada", "bob.json", 10, 20)
    document(folder, "bob", end, 30)
    document(folder, "eve", None, 40)
    (folder / "list").write_text(f'["ada.json", "bob.json", "{end}?again", "eve.json?last"]')
    ahead = Ahead(10_000, 20_000)
    dataset = catalogue.open_import(url + ("list" if form == "list" else "ada.json"), url, "hi", 2)
    importer_of(catalogue, store, ahead=ahead).run(dataset.id)
    assert catalogue.get(dataset.id).state in ("READY", "INCOMPLETE")
    assert [ahead.room() is None for _ in range(3)] == [False, False, True]


def test_a_next_that_does_not_come_last_is_followed_too(web: tuple[Path, str], run: Callable[..., Dataset]) -> None:
    folder, url = web
    document(folder, "ada", None, 10, 20)
    document(folder, "bob", None, 30)
    said = json.loads((folder / "ada.json").read_bytes())
    (folder / "ada.json").write_text(
        json.dumps({"next": "bob.json", "user_label": "ada", "user_data": said["user_data"]})
    )
    assert [row.user for row in run(url + "ada.json").documents] == ["ada", "bob"]


def test_a_cache_that_cannot_be_written_costs_nothing_but_a_second_download(
    web: tuple[Path, str], run: Callable[..., Dataset], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, url = web
    document(folder, "ada", None, 10, 20)

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Cache, "put", full)
    assert run(url + "ada.json").state == "READY"
    run(url + "ada.json", "ho")
    assert Web.asked == ["/ada.json", "/ada.json"]


def test_the_same_source_is_not_downloaded_again_whatever_the_phrase(
    web: tuple[Path, str], run: Callable[..., Dataset]
) -> None:
    folder, url = web
    document(folder, "ada", None, 10, 20)
    first, again, other = run(url + "ada.json"), run(url + "ada.json"), run(url + "ada.json", "ho")
    assert Web.asked == ["/ada.json"]
    assert first.id == again.id != other.id
    assert (other.state, other.error_reason, other.documents) == ("FAILED", "NO_VALID_ATTEMPTS", [])


def test_a_dead_link_keeps_what_was_read_and_the_same_url_goes_on_there(
    web: tuple[Path, str], run: Callable[..., Dataset]
) -> None:
    folder, url = web
    document(folder, "ada", "bob.json", 10, 20)
    broken = run(url + "ada.json")
    assert (broken.state, broken.error_reason) == ("INCOMPLETE", "DOCUMENT_NOT_FOUND")
    assert "bob.json" in broken.error_message
    assert sum(row.valid_attempts for row in broken.documents) == 2
    document(folder, "bob", None, 30, 40)
    mended = run(url + "ada.json")
    assert (mended.id, mended.state, len(mended.documents)) == (broken.id, "READY", 2)
    assert Web.asked == ["/ada.json", "/bob.json", "/ada.json", "/bob.json"]
    # Its server says that it has not changed, and it is not received again.
    assert mended.documents[0].downloaded_bytes == len((folder / "ada.json").read_bytes())
    assert mended.fingerprint != broken.fingerprint


@pytest.mark.parametrize(
    ("content", "reason", "told"),
    [
        ("<html>", "NOT_JSON", "The document is not JSON."),
        ("{}", "NOT_A_DOCUMENT", "The JSON is no typing document"),
        ('{"user_label": "a", "user_data": []}', "NO_VALID_ATTEMPTS", "No attempt in it reads as the phrase 'hi'."),
        ('{"attempts": [[]]}', "NO_VALID_ATTEMPTS", "No attempt in it reads as the phrase 'hi'."),
        ('{"attempts": [[], []]}', "NO_VALID_ATTEMPTS", "None of its 2 attempts reads as the phrase 'hi'."),
    ],
)
def test_a_source_with_nothing_usable_fails_and_leaves_nothing(
    web: tuple[Path, str], run: Callable[..., Dataset], tmp_path: Path, content: str, reason: str, told: str
) -> None:
    folder, url = web
    (folder / "bad.json").write_text(content)
    dataset = run(url + "bad.json")
    assert (dataset.state, dataset.error_reason, dataset.documents) == ("FAILED", reason, [])
    assert told in dataset.error_message
    assert list((tmp_path / "state" / "datasets").iterdir()) == []


def test_a_url_that_does_not_answer_fails(run: Callable[..., Dataset]) -> None:
    dataset = run("http://127.0.0.1:1/")
    assert (dataset.state, dataset.error_reason) == ("FAILED", "NO_ANSWER")


def test_a_loop_and_a_second_document_of_a_user_end_the_chain_there(
    web: tuple[Path, str], run: Callable[..., Dataset]
) -> None:
    folder, url = web
    document(folder, "ada", "bob.json", 10, 20)
    document(folder, "bob", "ada.json", 30, 40)
    looping = run(url + "ada.json")
    assert (looping.state, looping.error_reason, len(looping.documents)) == ("INCOMPLETE", "CHAIN_LOOP", 2)
    (folder / "eve.json").write_text((folder / "ada.json").read_text().replace("bob.json", "ada.json"))
    twice = run(url + "eve.json")
    assert (twice.state, twice.error_reason, len(twice.documents)) == ("INCOMPLETE", "DUPLICATE_USER", 1)


def test_copies_are_marked_within_a_user_and_across_users(
    web: tuple[Path, str], run: Callable[..., Dataset], store: Store
) -> None:
    folder, url = web
    document(folder, "ada", "bob.json", 10, 10, 20, 30)
    document(folder, "bob", None, 30, 40, 50)
    dataset = run(url + "ada.json")
    assert [(row.duplicate_attempts, row.enrolled) for row in dataset.documents] == [(2, True), (1, True)]
    batches = store.read(dataset.id, parts_of(dataset.documents), trainable=False)
    marks = [row["duplicate"] for batch in batches for row in batch.to_pylist()]
    assert marks == [False, True, False, True, True, False, False]


def test_an_import_killed_after_any_document_ends_with_the_same_fingerprint(
    web: tuple[Path, str], run: Callable[..., Dataset], catalogue: Catalogue, store: Store, monkeypatch: Any
) -> None:
    folder, url = web
    document(folder, "ada", "bob.json", 10, 20)
    document(folder, "bob", "eve.json", 30, 40)
    document(folder, "eve", None, 50, 60)
    undisturbed = run(url + "ada.json")
    catalogue.delete(undisturbed.id)
    write_part, written = Store.write_part, []

    def dies(self: Store, dataset: str, number: int, batch: Any) -> None:
        write_part(self, dataset, number, batch)
        written.append(number)
        if len(written) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(Store, "write_part", dies)
    monkeypatch.setattr(part, "MOST_KEYSTROKES", 1)
    with pytest.raises(KeyboardInterrupt):
        run(url + "ada.json")
    (under_way,) = catalogue.under_way()
    importer_of(catalogue, store).run(under_way.id)
    resumed = catalogue.get(under_way.id)
    assert (resumed.state, resumed.fingerprint) == ("READY", undisturbed.fingerprint)
    assert written == [0, 1, 1, 2]


@pytest.mark.parametrize("following", [None, "missing.json"])
@pytest.mark.parametrize("text", ["hi", "ho"])
def test_work_on_a_dataset_that_has_ended_changes_nothing(
    web: tuple[Path, str],
    run: Callable[..., Dataset],
    catalogue: Catalogue,
    store: Store,
    following: str | None,
    text: str,
) -> None:
    folder, url = web
    document(folder, "ada", following, 10, 20, text=text)
    ended = dataset_message(run(url + "ada.json"))
    importer_of(catalogue, store).run(ended.id)
    assert dataset_message(catalogue.get(ended.id)) == ended
    catalogue.delete(ended.id)
    importer_of(catalogue, store).run(ended.id)
    assert catalogue.page(None, 10) == []


def test_a_cancelled_import_stops_between_documents_and_can_go_on(
    web: tuple[Path, str], run: Callable[..., Dataset], catalogue: Catalogue, store: Store
) -> None:
    folder, url = web
    document(folder, "ada", None, 10, 20)
    dataset = catalogue.open_import(url + "ada.json", url, "hi", 2)
    catalogue.ask_to_cancel(dataset.id)
    importer_of(catalogue, store).run(dataset.id)
    assert catalogue.get(dataset.id).state == "CANCELLED"
    assert run(url + "ada.json").state == "READY"


def test_small_documents_share_a_part_and_large_ones_do_not(
    web: tuple[Path, str], run: Callable[..., Dataset], store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, url = web
    document(folder, "ada", "bob.json", 10, 20)
    document(folder, "bob", "cat.json", 30)
    document(folder, "cat", "dan.json", 40, 50, 60)
    document(folder, "dan", None, 70, 80)
    monkeypatch.setattr(part, "MOST_KEYSTROKES", 6)
    dataset = run(url + "ada.json", min_attempts=1)
    assert [row.part for row in dataset.documents] == [0, 0, 2, 3]
    found = [(row.user, table.num_rows) for row, table in store.read_documents(dataset.id, dataset.documents)]
    assert found == [("ada", 2), ("bob", 1), ("cat", 3), ("dan", 2)]
    every = list(read_records(store, dataset, 0, 100))
    assert [one.user for one in every] == ["ada"] * 4 + ["bob"] * 2 + ["cat"] * 6 + ["dan"] * 4
    for first in range(len(every)):
        assert list(read_records(store, dataset, first, 5)) == every[first : first + 5]


# Lists


@pytest.mark.parametrize("form", ["array", "lines"])
def test_a_list_is_read_in_its_order_and_its_documents_chain_nowhere(
    web: tuple[Path, str], run: Callable[..., Dataset], form: str
) -> None:
    folder, url = web
    names = ["cat", "ada", "bob"]
    for name in names:
        document(folder, name, "elsewhere.json", 10, 20)
    listed = [f"{name}.json" for name in names]
    text = json.dumps(listed) if form == "array" else "\n".join(map(json.dumps, listed)) + "\n"
    (folder / "list").write_text(text)
    dataset = run(url + "list")
    assert (dataset.state, dataset.error_message) == ("READY", "")
    assert [row.user for row in dataset.documents] == names
    again = run(url + "list")
    assert again.id == dataset.id
    assert Web.asked.count("/list") == 1


@pytest.mark.parametrize(
    ("first", "documents", "labelled"),
    [("ada.json", 2, True), ("list", 2, True), ("bob.json", 1, True), ("test", 1, False)],
)
def test_a_source_of_any_form_may_be_gzip(
    web: tuple[Path, str], run: Callable[..., Dataset], first: str, documents: int, labelled: bool
) -> None:
    folder, url = web
    document(folder, "ada", "bob.json", 10, 20)
    document(folder, "bob", None, 30, 40)
    (folder / "list").write_text('["ada.json", "bob.json"]')
    (folder / "test").write_text(json.dumps({"attempts": [attempt("hi", 10)]}))
    for path in folder.iterdir():
        path.write_bytes(gzip.compress(path.read_bytes()))
    dataset = run(url + first)
    assert (dataset.state, dataset.document_count, dataset.labelled) == ("READY", documents, labelled)


def test_a_list_with_a_dead_link_goes_on_there(web: tuple[Path, str], run: Callable[..., Dataset]) -> None:
    folder, url = web
    document(folder, "ada", None, 10, 20)
    document(folder, "cat", None, 50, 60)
    (folder / "list").write_text('["ada.json", "bob.json", "cat.json"]')
    broken = run(url + "list")
    assert (broken.state, broken.error_reason) == ("INCOMPLETE", "DOCUMENT_NOT_FOUND")
    assert [row.user for row in broken.documents] == ["ada"]
    document(folder, "bob", None, 30, 40)
    mended = run(url + "list")
    assert (mended.id, mended.state) == (broken.id, "READY")
    assert [row.user for row in mended.documents] == ["ada", "bob", "cat"]
    assert Web.asked.count("/ada.json") == 1


def later(path: Path, text: str) -> None:
    """Writes a file that its server can tell from the one of before."""
    path.write_text(text)
    os.utime(path, (path.stat().st_mtime + 10,) * 2)


@pytest.mark.parametrize("wrong", ["nowhere.json", "ada.json", "http://[::1"])
@pytest.mark.parametrize("together", [True, False])
def test_a_next_that_was_mended_is_followed_when_the_chain_is_asked_for_again(
    web: tuple[Path, str], run: Callable[..., Dataset], monkeypatch: pytest.MonkeyPatch, wrong: str, together: bool
) -> None:
    if not together:
        monkeypatch.setattr("services.ingest.part.MOST_KEYSTROKES", 1)
    folder, url = web
    document(folder, "ada", "bob.json", 10, 20)
    document(folder, "bob", wrong, 30, 40)
    broken = run(url + "ada.json")
    assert (broken.state, len(broken.documents)) == ("INCOMPLETE", 2)
    document(folder, "bob", None, 30, 40, 50)
    later(folder / "bob.json", (folder / "bob.json").read_text().replace("null", '"cat.json"'))
    document(folder, "cat", None, 60, 70)
    mended = run(url + "ada.json")
    assert (mended.id, mended.state) == (broken.id, "READY")
    assert [(row.user, row.attempts) for row in mended.documents] == [("ada", 2), ("bob", 3), ("cat", 2)]
    # As if it had been right from the start.
    assert run(url + "ada.json", refresh=True).id == mended.id
    assert Web.asked.count("/ada.json") == 2


def test_documents_that_a_query_tells_apart_are_named_with_it(
    run: Callable[..., Dataset], serve: Callable[..., AbstractContextManager[str]]
) -> None:
    class ByQuery(Web):
        def do_GET(self) -> None:  # noqa: N802 - http.server's name
            number = int(self.path.partition("i=")[2].partition("&")[0])
            if number == 3:
                self.send_error(404)
                return
            self.send_response(200)
            self.end_headers()
            typed = [attempt("hi", 10 * number + step) for step in (1, 2)]
            following = f"user?i={number + 1}&token=sesame"
            one = {"user_label": f"user{number}", "user_data": typed, "next": following}
            self.wfile.write(json.dumps(one).encode())

    with serve(ByQuery) as url:
        for _ in range(2):
            dataset = run(f"{url}/user?i=1&token=sesame")
            assert dataset.error_message == (
                f"There is no document at {url}/user?i=3&token=… (HTTP 404). "
                f"{url}/user?i=2&token=… names it as its next."
            )


def test_a_single_document_that_names_nothing_good_is_read_again(
    web: tuple[Path, str], run: Callable[..., Dataset], store: Store
) -> None:
    folder, url = web
    document(folder, "ada", "nowhere.json", 10, 20)
    broken = run(url + "ada.json")
    document(folder, "ada", None, 30, 40, 50)
    later(folder / "ada.json", (folder / "ada.json").read_text())
    mended = run(url + "ada.json")
    assert (mended.id, mended.state, mended.attempts) == (broken.id, "READY", 3)
    (batch,) = store.read(mended.id, [0], False)
    assert batch.num_rows == 3


def test_a_source_that_cannot_be_asked_whether_it_changed_goes_on_where_it_was(
    web: tuple[Path, str], run: Callable[..., Dataset]
) -> None:
    folder, url = web
    document(folder, "ada", "bob.json", 10, 20)
    broken = run(url + "ada.json")
    (folder / "ada.json").unlink()
    document(folder, "bob", None, 30, 40)
    mended = run(url + "ada.json")
    assert (mended.id, mended.state, len(mended.documents)) == (broken.id, "READY", 2)


@pytest.mark.parametrize(
    ("corrected", "users"),
    [
        ('["ada.json", "cat.json"]', ["ada", "cat"]),
        ('["cat.json", "ada.json"]', ["cat", "ada"]),
        ('["ada.json"]', ["ada"]),
        ('"cat.json"', ["cat"]),
    ],
)
def test_a_list_that_was_corrected_is_what_counts_when_it_is_asked_for_again(
    web: tuple[Path, str], run: Callable[..., Dataset], store: Store, corrected: str, users: list[str]
) -> None:
    folder, url = web
    document(folder, "ada", None, 10, 20)
    document(folder, "cat", None, 50, 60)
    (folder / "list").write_text('["ada.json", "bob.json", "cat.json"]')
    broken = run(url + "list")
    assert (broken.state, broken.error_reason) == ("INCOMPLETE", "DOCUMENT_NOT_FOUND")
    later(folder / "list", corrected)
    mended = run(url + "list")
    assert (mended.id, mended.state) == (broken.id, "READY")
    assert [row.user for row in mended.documents] == users
    read = [batch["user"].to_pylist() for batch in store.read(mended.id, parts_of(mended.documents), False)]
    assert [one for batch in read for one in batch] == [user for user in users for _ in range(2)]


def test_a_list_that_became_a_document_is_read_as_one(web: tuple[Path, str], run: Callable[..., Dataset]) -> None:
    folder, url = web
    document(folder, "ada", None, 10, 20)
    (folder / "list").write_text('["ada.json", "bob.json"]')
    broken = run(url + "list")
    document(folder, "cat", None, 50, 60, 70)
    later(folder / "list", (folder / "cat.json").read_text())
    mended = run(url + "list")
    assert (mended.id, mended.state, mended.attempts) == (broken.id, "READY", 3)


def test_a_redirected_list_names_what_is_beside_it_where_it_really_is(
    run: Callable[..., Dataset], moved: tuple[Path, str]
) -> None:
    folder, url = moved
    document(folder / "new", "ada", None, 10, 20)
    (folder / "new" / "list").write_text('["ada.json"]')
    dataset = run(url + "old/list")
    assert (dataset.state, [row.url for row in dataset.documents]) == ("READY", [url + "new/ada.json"])


@pytest.mark.parametrize("separator", [", ", "\n"])
@pytest.mark.parametrize("beyond", [1, 1000])
def test_a_list_of_too_many_is_refused_before_anything_is_fetched(
    web: tuple[Path, str], run: Callable[..., Dataset], catalogue: Catalogue, separator: str, beyond: int
) -> None:
    folder, url = web
    names = separator.join(f'"{number}.json"' for number in range(3 + beyond))
    (folder / "list").write_text(names if separator == "\n" else f"[{names}]")
    dataset = run(url + "list", limits=ImportLimits(documents=3))
    assert (dataset.state, dataset.error_reason) == ("FAILED", "LIMIT_EXCEEDED")
    assert "lists more than 3 documents" in dataset.error_message
    assert Web.asked == ["/list"]
    assert catalogue.links(dataset) == []


def test_a_long_list_is_noted_in_few_statements(catalogue: Catalogue) -> None:
    dataset = catalogue.open_import("u", "u", "hi", 2)
    links = [Link(number, f"https://example.org/{number}") for number in range(5_000)]
    with statements(catalogue) as asked:
        catalogue.replace_links(dataset, links)
    assert len(asked) == 3
    assert catalogue.links(dataset) == links


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("[]", "NOT_A_DOCUMENT"),
        ("[1]", "NOT_A_DOCUMENT"),
        ('["a.json", "a.json"]', "NOT_A_DOCUMENT"),
        ('["a.json"', "NOT_JSON"),
        ('"a.json"\nb.json\n', "NOT_JSON"),
        ('"a.json"\n{}\n', "NOT_A_DOCUMENT"),
        ('["file:///etc/passwd"]', "URL_INVALID"),
    ],
)
def test_a_list_of_something_else_is_told(
    web: tuple[Path, str], run: Callable[..., Dataset], text: str, reason: str
) -> None:
    folder, url = web
    (folder / "list").write_text(text)
    dataset = run(url + "list")
    assert (dataset.state, dataset.error_reason, dataset.error_field) == ("FAILED", reason, "url")
    assert dataset.error_message.startswith(f"{url}list ")


# Refresh


def test_a_refresh_of_what_did_not_change_is_the_old_dataset(
    web: tuple[Path, str], run: Callable[..., Dataset], store: Store, catalogue: Catalogue
) -> None:
    folder, url = web
    document(folder, "ada", "bob.json", 10, 20)
    document(folder, "bob", None, 30, 40)
    first = run(url + "ada.json")
    assert run(url + "ada.json", refresh=True).id == first.id
    # Each was asked for again, and nothing but that.
    assert Web.asked == ["/ada.json", "/bob.json"] * 2
    assert [row.id for row in catalogue.page(None, 10)] == [first.id]
    assert run(url + "ada.json").id == first.id


def test_a_refresh_of_what_changed_is_a_new_dataset_and_the_old_one_stays(
    web: tuple[Path, str], run: Callable[..., Dataset], catalogue: Catalogue
) -> None:
    folder, url = web
    document(folder, "ada", None, 10, 20)
    first = run(url + "ada.json")
    document(folder, "ada", None, 10, 20, 30)
    os.utime(folder / "ada.json", (time.time() + 5, time.time() + 5))
    second = run(url + "ada.json", refresh=True)
    assert second.id != first.id
    assert second.documents[0].attempts == 3
    assert catalogue.get(first.id).documents[0].attempts == 2
    # From now on the source is the new one.
    assert run(url + "ada.json").id == second.id


def test_what_stood_for_a_dataset_goes_with_it(
    web: tuple[Path, str], run: Callable[..., Dataset], catalogue: Catalogue
) -> None:
    folder, url = web
    document(folder, "ada", None, 10, 20)
    first = run(url + "ada.json")
    run(url + "ada.json", refresh=True)
    catalogue.delete(first.id)
    assert catalogue.page(None, 10) == []
    assert run(url + "ada.json").id != first.id


def test_a_refresh_asks_also_for_a_phrase_that_nobody_asked_for_before(
    web: tuple[Path, str], run: Callable[..., Dataset]
) -> None:
    folder, url = web
    document(folder, "ada", None, 10, 20, text="ho")
    run(url + "ada.json", "hi")
    document(folder, "ada", None, 10, 20, 30, text="ho")
    os.utime(folder / "ada.json", (time.time() + 5, time.time() + 5))
    assert run(url + "ada.json", "ho", refresh=True).documents[0].attempts == 3


def test_what_failed_is_asked_for_again(web: tuple[Path, str], run: Callable[..., Dataset]) -> None:
    folder, url = web
    document(folder, "ada", None, 10, 20, text="ho")
    assert run(url + "ada.json").error_reason == "NO_VALID_ATTEMPTS"
    document(folder, "ada", None, 10, 20)
    os.utime(folder / "ada.json", (time.time() + 5, time.time() + 5))
    assert run(url + "ada.json").state == "READY"


@pytest.mark.parametrize("left", ["nothing", "half"])
def test_a_refresh_that_fails_leaves_the_good_dataset_in_its_place(
    web: tuple[Path, str], run: Callable[..., Dataset], left: str
) -> None:
    folder, url = web
    document(folder, "ada", None, 10, 20)
    good = run(url + "ada.json")
    if left == "nothing":
        (folder / "ada.json").unlink()
    else:
        document(folder, "ada", "bob.json", 10, 20)
        os.utime(folder / "ada.json", (time.time() + 5, time.time() + 5))
    assert run(url + "ada.json", refresh=True).state == {"nothing": "FAILED", "half": "INCOMPLETE"}[left]
    again = run(url + "ada.json")
    assert (again.id, again.state) == (good.id, "READY")
    document(folder, "ada", None, 10, 20, 30)
    os.utime(folder / "ada.json", (time.time() + 9, time.time() + 9))
    renewed = run(url + "ada.json", refresh=True)
    assert renewed.state == "READY"
    assert run(url + "ada.json").id == renewed.id != good.id


# Downloads


def test_what_the_cache_has_is_not_counted_as_downloaded(web: tuple[Path, str], run: Callable[..., Dataset]) -> None:
    folder, url = web
    document(folder, "ada", "bob.json", 10, 20)
    document(folder, "bob", None, 30, 40)
    sizes = [(folder / name).stat().st_size for name in ("ada.json", "bob.json")]
    first, other = run(url + "ada.json"), run(url + "ada.json", min_attempts=1)
    assert [(row.size, row.downloaded_bytes) for row in first.documents] == [(size, size) for size in sizes]
    assert [(row.size, row.downloaded_bytes) for row in other.documents] == [(size, 0) for size in sizes]
    (folder / "bob.json").write_text((folder / "bob.json").read_text() + " ")
    os.utime(folder / "bob.json", (time.time() + 5, time.time() + 5))
    fresh = run(url + "ada.json", refresh=True)
    assert [row.downloaded_bytes for row in fresh.documents] == [0, sizes[1] + 1]


def test_two_imports_of_a_source_at_once_download_it_once(
    catalogue: Catalogue, store: Store, serve: Callable[..., AbstractContextManager[str]], tmp_path: Path
) -> None:
    document(tmp_path, "ada", None, 10, 20)
    body, asked, answer = (tmp_path / "ada.json").read_bytes(), [], threading.Event()

    class Slow(SimpleHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            answer.wait(20)
            self.send_response(200)
            self.end_headers()
            self.wfile.write(body)

    patient = FetchLimits(retries=0, read_seconds=20)
    patiently = Importer(catalogue, store, lambda: Fetcher(Guard(["127.0.0.1/32"]), patient))
    with serve(Slow) as url:
        both = [catalogue.open_import(url, url, "hi", least).id for least in (1, 2)]
        running = [threading.Thread(target=patiently.run, args=(dataset,)) for dataset in both]
        for one in running:
            one.start()
        # Each has said what it waits for.
        while not all(catalogue.get(dataset).current_document == url for dataset in both):
            time.sleep(0.01)
        time.sleep(0.1)
        answer.set()
        for one in running:
            one.join(20)
    assert len(asked) == 1
    assert [catalogue.get(dataset).state for dataset in both] == ["READY", "READY"]


# Limits


def test_the_time_of_a_run_goes_on_while_nobody_works_on_it(
    web: tuple[Path, str],
    run: Callable[..., Dataset],
    catalogue: Catalogue,
    store: Store,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder, url = web
    document(folder, "ada", None, 10, 20)
    hour = ImportLimits(seconds=3600)
    monkeypatch.setattr(Store, "write_part", killed)
    with pytest.raises(KeyboardInterrupt):
        run(url + "ada.json", limits=hour)
    monkeypatch.undo()
    (under_way,) = catalogue.under_way()
    monkeypatch.setattr(importer, "now", lambda: now() + timedelta(hours=2))
    importer_of(catalogue, store, hour).run(under_way.id)
    ended = catalogue.get(under_way.id)
    assert (ended.state, ended.error_reason) == ("FAILED", "LIMIT_EXCEEDED")
    monkeypatch.undo()
    # A new run has its own time.
    assert run(url + "ada.json", limits=hour).state == "READY"


def killed(*_: object) -> None:
    """The process is gone."""
    raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("limits", "kept"),
    [
        (ImportLimits(documents=1), 1),
        (ImportLimits(document_attempts=2), 1),
        (ImportLimits(dataset_bytes=700), 1),
        (ImportLimits(seconds=0.0), 0),
    ],
)
def test_a_source_beyond_a_limit_keeps_what_came_before(
    web: tuple[Path, str], run: Callable[..., Dataset], limits: ImportLimits, kept: int
) -> None:
    folder, url = web
    document(folder, "ada", "bob.json", 10, 20)
    document(folder, "bob", None, 30, 40, 50)
    dataset = run(url + "ada.json", limits=limits)
    assert (dataset.state, dataset.error_reason) == ("INCOMPLETE" if kept else "FAILED", "LIMIT_EXCEEDED")
    assert [row.user for row in dataset.documents] == ["ada"][:kept]
    assert run(url + "ada.json").state == "READY"


def test_an_attempt_beyond_its_limit_is_too_long(web: tuple[Path, str], run: Callable[..., Dataset]) -> None:
    folder, url = web
    document(folder, "ada", None, 10, 20)
    dataset = run(url + "ada.json", limits=ImportLimits(attempt_keystrokes=1))
    assert (dataset.state, dataset.error_reason) == ("FAILED", "NO_VALID_ATTEMPTS")


def test_a_cancelled_import_does_not_wait_for_a_slow_server_and_hangs_up(
    catalogue: Catalogue, store: Store, serve: Callable[..., AbstractContextManager[str]]
) -> None:
    asked, over = threading.Event(), threading.Event()

    class Slow(SimpleHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.set()
            if self.connection.recv(1) == b"":
                over.set()

    patient = FetchLimits(retries=0, read_seconds=20)
    patiently = Importer(catalogue, store, lambda: Fetcher(Guard(["127.0.0.1/32"]), patient))
    with serve(Slow) as url:
        dataset = catalogue.open_import(url, url, "hi", 2)
        running = threading.Thread(target=patiently.run, args=(dataset.id,))
        running.start()
        asked.wait(10)
        catalogue.ask_to_cancel(dataset.id)
        running.join(10)
        assert not running.is_alive()
        assert over.wait(10)
    assert catalogue.get(dataset.id).state == "CANCELLED"


# What strangers write


@pytest.mark.parametrize(
    "content",
    [
        '{"user_label": "ada", "next": "bob.json", "user_data": [%s, [{"typed_at": "x", "character": "\\ud83d"}]]}',
        '\ufeff{"user_label": "ada", "next": "bob.json", "user_data": [%s]}',
        '{"user_label": "ada", "next": "bob.json", "user_data": [%s, NaN]}',
    ],
    ids=["half a character", "byte order mark", "not a number"],
)
def test_a_chain_goes_on_after_a_document_that_is_only_nearly_json(
    web: tuple[Path, str], run: Callable[..., Dataset], content: str
) -> None:
    folder, url = web
    good = ", ".join(json.dumps(attempt("hi", step)) for step in (10, 20))
    (folder / "ada.json").write_text(content % good, encoding="utf-8")
    document(folder, "bob", None, 30, 40)
    dataset = run(url + "ada.json")
    assert (dataset.state, dataset.error_reason) == ("READY", "")
    assert [row.user for row in dataset.documents] == ["ada", "bob"]


def test_a_next_that_is_no_url_keeps_the_document_that_names_it_however_often_it_is_asked_for(
    web: tuple[Path, str], run: Callable[..., Dataset]
) -> None:
    folder, url = web
    document(folder, "ada", "http://[::1", 10, 20)
    for _ in range(3):
        dataset = run(url + "ada.json")
        assert (dataset.state, dataset.error_reason) == ("INCOMPLETE", "URL_INVALID")
        assert "ada.json" in dataset.error_message
        assert [row.user for row in dataset.documents] == ["ada"]
    document(folder, "ada", "bob.json", 10, 20)
    document(folder, "bob", None, 30, 40)
    os.utime(folder / "ada.json", (time.time() + 5, time.time() + 5))
    mended = run(url + "ada.json", refresh=True)
    assert (mended.state, [row.user for row in mended.documents]) == ("READY", ["ada", "bob"])


def test_a_redirected_chain_goes_on_where_its_document_really_is_after_a_pause(
    catalogue: Catalogue, store: Store, run: Callable[..., Dataset], moved: tuple[Path, str]
) -> None:
    folder, url = moved
    document(folder / "new", "ada", "bob.json", 10, 20)
    assert run(url + "old/ada.json").error_reason == "DOCUMENT_NOT_FOUND"
    document(folder / "new", "bob", None, 30, 40)
    dataset = run(url + "old/ada.json")
    assert dataset.state == "READY"
    assert [row.url for row in dataset.documents] == [url + "old/ada.json", url + "new/bob.json"]


def test_a_second_document_of_a_user_that_was_mended_is_read_then(
    web: tuple[Path, str], run: Callable[..., Dataset]
) -> None:
    folder, url = web
    document(folder, "ada", "bob.json", 10, 20)
    (folder / "bob.json").write_text((folder / "ada.json").read_text())
    assert run(url + "ada.json").error_reason == "DUPLICATE_USER"
    document(folder, "bob", None, 30, 40)
    assert run(url + "ada.json").state == "READY"


@pytest.mark.parametrize("values", ["[],", "1,"])
def test_a_document_of_millions_of_nothings_is_refused_before_it_is_read(
    web: tuple[Path, str], run: Callable[..., Dataset], values: str
) -> None:
    folder, url = web
    (folder / "ada.json").write_text('{"user_label": "ada", "user_data": [' + values * 200_000 + "[]]}")
    began = time.process_time()
    dataset = run(url + "ada.json")
    assert dataset.error_reason == "LIMIT_EXCEEDED"
    assert "100,000 attempts" in dataset.error_message
    assert time.process_time() - began < 30


def test_a_key_whose_name_is_a_book_is_no_key(web: tuple[Path, str], run: Callable[..., Dataset]) -> None:
    folder, url = web
    listed = [attempt("hi", 10), attempt("hi", 20), [{"typed_at": "2024-01-01T00:00:00", "character": "x" * 10_000}]]
    (folder / "ada.json").write_text(json.dumps({"user_label": "ada", "user_data": listed}))
    assert run(url + "ada.json").documents[0].invalid == {"MALFORMED": 1}


def test_wide_attempts_are_read_in_batches_that_a_message_holds(
    web: tuple[Path, str], run: Callable[..., Dataset], store: Store
) -> None:
    folder, url = web
    document(folder, "ada", None, *range(1, 601), text="hi" + "x" * 600)
    dataset = run(url + "ada.json", "hi" + "x" * 600)
    batches = list(store.read(dataset.id, parts_of(dataset.documents), trainable=False))
    assert len(batches) > 1
    assert all(batch.nbytes <= 4 * 2**20 for batch in batches)
    assert sum(batch.num_rows for batch in batches) == 600


def test_an_import_that_cannot_be_ended_fails_and_can_be_started_again(
    web: tuple[Path, str], run: Callable[..., Dataset], store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, url = web
    document(folder, "ada", None, 10, 20)

    def full(*_: object) -> None:
        raise OSError("No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(store, "write_marks", full)
        failed = run(url + "ada.json")
    assert (failed.state, failed.error_reason) == ("FAILED", "INTERNAL")
    assert run(url + "ada.json").state == "READY"


@pytest.mark.parametrize("typed_at", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-12:00"])
def test_a_time_outside_all_years_is_malformed_and_shown(
    web: tuple[Path, str], run: Callable[..., Dataset], store: Store, typed_at: str
) -> None:
    folder, url = web
    listed = [attempt("hi", 10), attempt("hi", 20), [{"typed_at": typed_at, "character": "h"}]]
    (folder / "ada.json").write_text(json.dumps({"user_label": "ada", "user_data": listed}))
    dataset = run(url + "ada.json")
    assert dataset.documents[0].invalid == {"MALFORMED": 1}
    assert len(list(read_records(store, dataset, 0, 100))) == 4
