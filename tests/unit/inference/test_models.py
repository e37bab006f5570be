"""Models are pulled once, checked, kept while they fit, and served on when training is away."""

from __future__ import annotations

import errno
import os
import shutil
import tarfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from keyprint import package
from keyprint.errors import Internal, InvalidArgument, NotFound, Unavailable, of_system
from keyprint.load import Count
from keyprint.v1 import training_pb2
from services.inference import models as models_module
from services.inference import packages, references
from services.inference.engine import Engine
from services.inference.models import Models
from tests.unit.inference.conftest import House, write_package

PLENTY = 2**30


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@pytest.fixture
def models(house: House, tmp_path: Path, cache: Path) -> Models:
    house.training.put("ada", 1, write_package(tmp_path / "one"))
    return Models(house.stub, cache, PLENTY)


@pytest.fixture
def forgetful(monkeypatch: pytest.MonkeyPatch) -> None:
    """Training is asked every time."""
    for name in ("MEMORY_SECONDS", "MISSING_SECONDS"):
        monkeypatch.setattr(references, name, 0.0)


def grow_old(models: Models, reference: str) -> None:
    """What a reference names was asked so long ago that it is asked again."""
    models._references._named[reference].asked_at -= references.MEMORY_SECONDS


def test_a_model_is_pulled_once_and_asked_for_seldom(models: Models, house: House) -> None:
    engine = models.get("ada")
    assert engine.reference == "ada@1"
    assert models.get("ada") is models.get("ada@1") is engine
    assert house.training.downloads == 1
    # By its name, which told the version too.
    assert house.training.asked == 1


def test_callers_at_once_pull_it_once(models: Models, house: House) -> None:
    with ThreadPoolExecutor(8) as pool:
        engines = set(pool.map(lambda _: models.get("ada"), range(16)))
    assert len(engines) == 1
    assert house.training.downloads == 1


def test_the_next_process_finds_it_on_disk(models: Models, house: House, cache: Path) -> None:
    models.get("ada")
    Models(house.stub, cache, PLENTY).get("ada")
    assert house.training.downloads == 1


@pytest.mark.usefixtures("forgetful")
def test_a_name_follows_its_newest_version(models: Models, house: House, tmp_path: Path) -> None:
    assert models.get("ada").reference == "ada@1"
    house.training.put("ada", 2, write_package(tmp_path / "two", release_times=True))
    assert models.get("ada").reference == "ada@2"
    assert models.get("ada@1").reference == "ada@1"


def test_versions_of_the_same_content_keep_their_names(models: Models, house: House, tmp_path: Path) -> None:
    house.training.put("bob", 7, write_package(tmp_path / "same"))
    assert (models.get("ada").reference, models.get("bob").reference) == ("ada@1", "bob@7")
    assert house.training.downloads == 1


@pytest.mark.usefixtures("forgetful")
def test_the_last_good_model_serves_on_while_training_is_away(models: Models, house: House) -> None:
    engine = models.get("ada")
    house.server.stop(0).wait()
    assert models.get("ada") is engine
    with pytest.raises(Unavailable):
        models.get("never-asked-for")


@pytest.mark.usefixtures("forgetful")
def test_versions_in_memory_need_no_training_whatever_they_were_asked_for_as(
    models: Models, house: House, tmp_path: Path
) -> None:
    house.training.point("ada", "live", 1)
    first = models.get("ada@live")
    house.training.put("ada", 2, write_package(tmp_path / "two", release_times=True))
    house.training.point("ada", "live", 2)
    second = models.get("ada@live")
    house.server.stop(0).wait()
    assert models.get("ada@1") is first
    assert models.get("ada@2") is models.get("ada@live") is second
    with pytest.raises(Unavailable):
        models.get("ada@3")


def test_a_name_of_no_model_is_asked_for_once_in_a_while(
    models: Models, house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(3):
        with pytest.raises(NotFound) as caught:
            models.get("eve")
    assert (caught.value.reason, caught.value.field) == ("MODEL_NOT_FOUND", "model")
    assert house.training.asked == 1
    # Nothing that is remembered holds on to a caller's request.
    ((_, remembered),) = models._references._missing.values()
    assert (remembered.__traceback__, remembered.__context__) == (None, None)
    house.training.put("eve", 1, write_package(tmp_path / "eve", release_times=True))
    monkeypatch.setattr(references, "MISSING_SECONDS", 0.0)
    assert models.get("eve").reference == "eve@1"


def test_names_of_no_model_are_remembered_up_to_a_bound(
    models: Models, house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(references, "MISSING_SECONDS", 1000.0)
    monkeypatch.setattr(references, "MOST_REFERENCES", 1)
    for name in ("eve", "dan", "dan", "eve"):
        with pytest.raises(NotFound):
            models.get(name)
    assert house.training.asked == 3


@pytest.mark.usefixtures("forgetful")
def test_a_deleted_model_is_served_no_more(models: Models, house: House) -> None:
    models.get("ada")
    house.training.models.clear()
    with pytest.raises(NotFound) as caught:
        models.get("ada")
    assert (caught.value.reason, caught.value.field) == ("MODEL_NOT_FOUND", "model")
    house.server.stop(0).wait()
    with pytest.raises(Unavailable):
        models.get("ada")


def test_what_is_no_reference_is_refused_without_asking(models: Models, house: House) -> None:
    with pytest.raises(InvalidArgument):
        models.get("../ada")
    assert house.training.asked == 0


@pytest.mark.parametrize("damage", ["cut", "swapped", "noise"])
def test_a_damaged_download_is_told_and_leaves_nothing(
    models: Models, house: House, cache: Path, tmp_path: Path, damage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = house.training.archives["ada@1"]
    other = write_package(tmp_path / "other", release_times=True)
    with tarfile.open(tmp_path / "other.tar", "w") as archive:
        archive.add(other, ".")
    house.training.archives["ada@1"] = {
        "cut": good[: len(good) // 2],
        "swapped": (tmp_path / "other.tar").read_bytes(),
        "noise": b"noise" * 100,
    }[damage]
    with pytest.raises(Internal) as caught:
        models.get("ada")
    assert caught.value.reason == "MODEL_CORRUPT"
    assert list(cache.iterdir()) == []
    house.training.archives["ada@1"] = good
    # Who asks again at once is told the same again, for nothing more is sent.
    with pytest.raises(Internal):
        models.get("ada")
    assert house.training.downloads == 1
    monkeypatch.setattr(models_module, "FAILED_SECONDS", 0.0)
    assert models.get("ada").reference == "ada@1"


def test_callers_at_once_of_a_damaged_model_are_told_of_one_download(models: Models, house: House) -> None:
    house.training.archives["ada@1"] = b"noise" * 100
    house.training.sending.clear()
    with ThreadPoolExecutor(8) as pool:
        calls = [pool.submit(models.get, "ada") for _ in range(8)]
        assert house.training.held.wait(60)
        house.training.sending.set()
        assert {type(call.exception()) for call in calls} == {Internal}
    assert house.training.downloads == 1


def flipped(content: bytes, part: bytes) -> bytes:
    """`content` with one bit of a part of it turned over."""
    turned = bytearray(content)
    turned[content.index(part) + len(part) // 2] ^= 1
    return bytes(turned)


@pytest.mark.parametrize("file", sorted(package.FILES))
@pytest.mark.usefixtures("forgetful")
def test_one_flipped_bit_is_refused_by_digest_and_the_version_before_serves_on(
    models: Models, house: House, cache: Path, tmp_path: Path, file: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    house.training.point("ada", "live", 1)
    assert {models.get(one).reference for one in ("ada", "ada@live")} == {"ada@1"}
    house.training.put("ada", 2, write_package(tmp_path / "two", labels=("dan", "eve", "fay")))
    house.training.point("ada", "live", 2)
    good = house.training.archives["ada@2"]
    house.training.archives["ada@2"] = flipped(good, (tmp_path / "two" / file).read_bytes())
    for _ in range(3):
        assert {models.get(one).reference for one in ("ada", "ada@live", "ada@1")} == {"ada@1"}
    # It is not pulled again and again.
    assert house.training.downloads == 2
    with pytest.raises(Internal, match="its digest is another") as refused:
        models.get("ada@2")
    assert refused.value.reason == "MODEL_CORRUPT"
    assert [path.name for path in cache.iterdir()] == [house.training.models["ada@1"].digest]
    house.training.archives["ada@2"] = good
    monkeypatch.setattr(models_module, "FAILED_SECONDS", 0.0)
    assert {models.get(one).reference for one in ("ada", "ada@live")} == {"ada@2"}


@pytest.mark.parametrize("file", sorted(package.FILES))
def test_one_flipped_bit_on_disk_is_found_and_the_model_pulled_again(
    models: Models, house: House, cache: Path, file: str
) -> None:
    models.get("ada")
    (kept,) = cache.iterdir()
    content = (kept / file).read_bytes()
    (kept / file).write_bytes(flipped(content, content))
    assert Models(house.stub, cache, PLENTY).get("ada").reference == "ada@1"
    assert house.training.downloads == 2
    assert (kept / file).read_bytes() == content


@pytest.mark.usefixtures("forgetful")
def test_others_have_the_version_before_while_one_pulls_the_next(models: Models, house: House, tmp_path: Path) -> None:
    models.get("ada")
    house.training.put("ada", 2, write_package(tmp_path / "two", release_times=True))
    house.training.sending.clear()
    with ThreadPoolExecutor(1) as caller:
        pulling = caller.submit(models.get, "ada")
        assert house.training.held.wait(60)
        assert [models.get("ada").reference for _ in range(3)] == ["ada@1"] * 3
        house.training.sending.set()
        assert pulling.result().reference == "ada@2"
    assert models.get("ada").reference == "ada@2"
    assert house.training.downloads == 2


@pytest.mark.usefixtures("forgetful")
def test_the_version_before_serves_on_when_training_goes_away_before_the_next_is_pulled(
    models: Models, house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    models.get("ada")
    house.training.put("ada", 2, write_package(tmp_path / "two", release_times=True))
    monkeypatch.delitem(house.training.archives, "ada@2")
    assert models.get("ada").reference == "ada@1"


@pytest.mark.usefixtures("forgetful")
def test_a_version_before_that_was_deleted_does_not_serve_on(models: Models, house: House, tmp_path: Path) -> None:
    models.get("ada")
    house.training.put("ada", 2, write_package(tmp_path / "two", release_times=True))
    del house.training.archives["ada@2"]
    assert models.get("ada").reference == "ada@1"
    del house.training.models["ada@1"]
    models.sweep()
    with pytest.raises(Internal):
        models.get("ada")


@pytest.mark.parametrize("held_up", ["answering", "sending"])
def test_a_training_that_hangs_is_told_by_name_as_one_that_does_not_answer(
    models: Models, house: House, monkeypatch: pytest.MonkeyPatch, held_up: str
) -> None:
    monkeypatch.setattr(references, "ASK_SECONDS", 0.2 if held_up == "answering" else 60.0)
    monkeypatch.setattr(packages, "PULL_SECONDS", 0.2)
    gate: threading.Event = getattr(house.training, held_up)
    gate.clear()
    try:
        with pytest.raises(Unavailable, match="Keyprint's training service does not answer in time") as caught:
            models.get("ada")
    finally:
        gate.set()
    assert (caught.value.reason, caught.value.retry_seconds) == ("SERVICE_UNAVAILABLE", 2.0)


@pytest.mark.usefixtures("forgetful")
def test_a_training_that_is_away_is_told_by_name(models: Models, house: House) -> None:
    house.server.stop(0).wait()
    for ask in (lambda: models.get("ada"), models.index):
        with pytest.raises(Unavailable, match="Keyprint's training service does not answer"):
            ask()


def test_a_training_that_does_not_answer_holds_one_caller_up_and_no_other(
    models: Models, house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = models.get("ada")
    asking, go_on = threading.Event(), threading.Event()

    def mute(*_: object, **__: object) -> training_pb2.Model:
        asking.set()
        go_on.wait()
        return house.training.models["ada"]

    monkeypatch.setattr(house.stub, "GetModel", mute)
    grow_old(models, "ada")
    with ThreadPoolExecutor(1) as caller:
        held_up = caller.submit(models.get, "ada")
        assert asking.wait(60)
        # Nor does anybody ask meanwhile, whose answer might be overtaken by the first.
        grow_old(models, "ada")
        assert models.get("ada") is engine
        go_on.set()
        assert held_up.result() is engine


def test_a_package_of_other_features_is_refused_by_name(models: Models, house: House, tmp_path: Path) -> None:
    house.training.put("old", 1, write_package(tmp_path / "old", version=99))
    with pytest.raises(Internal, match="version 99") as caught:
        models.get("old")
    assert caught.value.reason == "MODEL_CORRUPT"


def test_members_outside_of_the_archive_are_refused(models: Models, house: House, tmp_path: Path) -> None:
    path = tmp_path / "evil.tar"
    with tarfile.open(path, "w") as archive:
        archive.add(tmp_path / "one" / package.GRAPH, "../../escaped")
    house.training.archives["ada@1"] = path.read_bytes()
    with pytest.raises(Internal):
        models.get("ada")
    assert not list(tmp_path.rglob("escaped"))


def test_a_package_too_large_to_unpack_is_refused(models: Models, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(package, "UNPACKED_BYTES", 100)
    with pytest.raises(Internal, match="larger than 100 bytes"):
        models.get("ada")


def test_engines_that_do_not_fit_go_the_least_used_first(house: House, tmp_path: Path, cache: Path) -> None:
    for name in ("one", "two", "three"):
        house.training.put(name, 1, write_package(tmp_path / name))
    size = Engine("one@1", tmp_path / "one").size
    models = Models(house.stub, cache, 2 * size)
    first, second = models.get("one"), models.get("two")
    assert models.get("one") is first
    models.get("three")
    assert models.get("one") is first
    assert models.get("two") is not second
    # The package is still on disk.
    assert house.training.downloads == 1


def test_what_a_crash_left_is_swept_out_and_what_another_process_pulls_is_not(models: Models, cache: Path) -> None:
    left, pulled = cache / ".pull-left", cache / ".pull-pulled"
    left.mkdir()
    pulled.mkdir()
    long_ago = time.time() - packages.PULL_SECONDS - 1
    os.utime(left, (long_ago, long_ago))
    models.sweep()
    assert list(cache.iterdir()) == [pulled]


def test_what_another_process_pulled_meanwhile_is_taken(
    models: Models, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    unpack = package.unpack

    def slowly(archive: Path, directory: Path, most: int) -> None:
        unpack(archive, directory, most)
        shutil.copytree(directory, cache / package.digest(directory))

    monkeypatch.setattr(package, "unpack", slowly)
    assert models.get("ada").reference == "ada@1"


def test_trouble_of_the_system_leaves_the_package_where_it_is(
    models: Models, house: House, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def too_many(reference: str, directory: Path) -> Engine:
        raise OSError(24, "Too many open files")

    with monkeypatch.context() as patch:
        patch.setattr(models_module, "Engine", too_many)
        with pytest.raises(OSError, match="Too many open files"):
            models.get("ada")
    assert len(list(cache.iterdir())) == 1
    assert models.get("ada").reference == "ada@1"
    assert house.training.downloads == 1


@pytest.mark.parametrize(("number", "reason"), [(errno.ENOSPC, "DISK_FULL"), (errno.EROFS, None)])
def test_a_disk_that_takes_no_package_is_no_damage_to_it(
    models: Models, house: House, cache: Path, monkeypatch: pytest.MonkeyPatch, number: int, reason: str | None
) -> None:
    def refused(archive: Path, directory: Path, most: int) -> None:
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patch:
        patch.setattr(package, "unpack", refused)
        with pytest.raises(OSError, match=os.strerror(number)) as caught:
            models.get("ada")
    told = of_system(caught.value)
    assert (told.reason if told else None) == reason
    assert list(cache.iterdir()) == []
    # It is tried again at once.
    assert models.get("ada").reference == "ada@1"


def test_files_that_cannot_lie_beside_each_other_are_damage(models: Models, house: House, tmp_path: Path) -> None:
    path = tmp_path / "crossed.tar"
    with tarfile.open(path, "w") as archive:
        for name in (package.GRAPH, f"{package.GRAPH}/{package.GRAPH}"):
            archive.add(tmp_path / "one" / package.GRAPH, name)
    house.training.archives["ada@1"] = path.read_bytes()
    with pytest.raises(Internal) as caught:
        models.get("ada")
    assert caught.value.reason == "MODEL_CORRUPT"


def test_a_directory_of_packages_that_was_removed_is_made_anew(models: Models, cache: Path) -> None:
    cache.rmdir()
    models.sweep()
    assert models.get("ada").reference == "ada@1"
    assert len(list(cache.iterdir())) == 1


@pytest.mark.parametrize("deleted", [True, False])
def test_a_package_that_is_swept_while_it_is_read_is_asked_for_again(
    models: Models, house: House, cache: Path, monkeypatch: pytest.MonkeyPatch, deleted: bool
) -> None:
    def swept(reference: str, directory: Path) -> Engine:
        monkeypatch.setattr(models_module, "Engine", Engine)
        if deleted:
            house.training.remove("ada", 1)
        shutil.rmtree(directory)
        return Engine(reference, directory)

    monkeypatch.setattr(models_module, "Engine", swept)
    if deleted:
        with pytest.raises(NotFound):
            models.get("ada")
    else:
        assert models.get("ada").reference == "ada@1"
        assert house.training.downloads == 2


def test_callers_who_wait_for_models_leave_room_for_others(
    house: House, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(models_module, "MOST_WAITING", 1)
    house.training.put("ada", 1, write_package(tmp_path / "one"))
    house.training.put("bob", 1, write_package(tmp_path / "two", release_times=True))
    models = Models(house.stub, cache, PLENTY)
    warm = models.get("ada")
    house.training.sending.clear()
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(models.get, "bob")
        assert house.training.held.wait(60)
        with pytest.raises(Unavailable) as refused:
            models.get("bob")
        assert models.get("ada") is warm
        house.training.sending.set()
        assert waiting.result().reference == "bob@1"
    assert (refused.value.reason, refused.value.field, refused.value.retry_seconds) == ("MODEL_LOADING", "model", 1.0)
    assert models.get("bob") is waiting.result()


def test_callers_whose_names_are_looked_up_are_told_no_more_than_that(
    models: Models, monkeypatch: pytest.MonkeyPatch
) -> None:
    waiting = Count(1)
    monkeypatch.setattr(models, "_waiting", waiting)
    assert waiting.up()
    with pytest.raises(Unavailable, match="'eve' has to be looked up or loaded") as refused:
        models.get("eve")
    assert refused.value.reason == "MODEL_LOADING"
    waiting.down()
    with pytest.raises(NotFound):
        models.get("eve")
    # Who is told so again takes no place.
    assert waiting.up()
    with pytest.raises(NotFound):
        models.get("eve")


def test_what_training_deleted_is_dropped_from_memory_and_disk(house: House, models: Models, cache: Path) -> None:
    models.get("ada")
    models.sweep()
    assert len(list(cache.iterdir())) == 1
    house.training.remove("ada", 1)
    models.sweep()
    assert list(cache.iterdir()) == []


def test_nothing_is_dropped_while_training_is_away(house: House, models: Models, cache: Path) -> None:
    engine = models.get("ada")
    house.server.stop(0).wait()
    models.sweep()
    assert len(list(cache.iterdir())) == 1
    assert models.get("ada") is engine


@pytest.mark.usefixtures("forgetful")
def test_a_deleted_model_is_not_served_on_when_training_goes_away(house: House, models: Models) -> None:
    models.get("ada")
    house.training.remove("ada", 1)
    models.sweep()
    house.server.stop(0).wait()
    with pytest.raises(Unavailable):
        models.get("ada")


def test_an_engine_whose_files_are_gone_already_is_swept_too(house: House, models: Models, cache: Path) -> None:
    """As when it was loaded while the sweep took its files away."""
    models.get("ada")
    house.training.remove("ada", 1)
    shutil.rmtree(next(cache.iterdir()))
    models.sweep()
    house.training.put("ada", 1, cache.parent / "one")
    models.get("ada")
    # It had to be pulled again, so nothing of it was left.
    assert house.training.downloads == 2


def test_one_of_two_models_of_the_same_content_is_dropped_and_the_other_stays(
    house: House, models: Models, tmp_path: Path, cache: Path
) -> None:
    house.training.put("bob", 1, write_package(tmp_path / "same"))
    models.get("ada")
    kept = models.get("bob")
    house.training.remove("ada", 1)
    models.sweep()
    with pytest.raises(NotFound):
        models.get("ada")
    assert models.get("bob") is kept
    assert len(list(cache.iterdir())) == 1


def test_references_are_remembered_up_to_a_bound(house: House, models: Models, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(references, "MOST_REFERENCES", 1)
    for _ in range(2):
        models.get("ada")
        models.get("ada@1")
    assert house.training.asked == 4
    models.get("ada@1")
    assert house.training.asked == 4


def test_a_training_that_stays_silent_is_asked_by_one_caller_at_a_time(
    models: Models, house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = models.get("ada")
    assert models.get("ada@1") is engine
    get_model, asking, go_on, asked = house.stub.GetModel, threading.Event(), threading.Event(), []

    def mute(request: training_pb2.GetModelRequest, timeout: float) -> training_pb2.Model:
        asked.append(timeout)
        asking.set()
        go_on.wait()
        return get_model(request)

    with monkeypatch.context() as patch, ThreadPoolExecutor(1) as pool:
        patch.setattr(house.stub, "GetModel", mute)
        # It did not answer, and has been left alone since.
        models._references._silent_until = time.monotonic()
        for reference in ("ada", "ada@1"):
            grow_old(models, reference)
        held_up = pool.submit(models.get, "ada")
        assert asking.wait(60)
        assert models.get("ada@1") is engine
        assert asked == [references.ASK_AGAIN_SECONDS]
        go_on.set()
        assert held_up.result() is engine
    before = house.training.asked
    assert models.get("ada@1") is engine
    assert house.training.asked == before + 1


def test_what_failed_of_a_deleted_model_is_forgotten(models: Models, house: House) -> None:
    house.training.archives["ada@1"] = b"noise"
    with pytest.raises(Internal):
        models.get("ada")
    (listed,) = models.index()
    assert not listed.loaded
    assert "cannot be used" in listed.trouble
    house.training.remove("ada", 1)
    models.sweep()
    assert not models._failed
    assert not models._loading
