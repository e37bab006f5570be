"""Models that leave as a file and come back, and where aliases pointed."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Callable, Iterator

import pytest

from keyprint import errors
from keyprint.client import IngestClient, TrainingClient
from keyprint.v1 import training_pb2
from tests.conftest import Stack

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def client(keyprint_stack: Stack) -> Iterator[TrainingClient]:
    with TrainingClient(keyprint_stack.addresses["training"].listen) as client:
        yield client


@pytest.fixture(scope="module")
def model(client: TrainingClient, keyprint_stack: Stack) -> training_pb2.Model:
    """A model with impostors, the only one of its name."""
    with IngestClient(keyprint_stack.addresses["ingest"].listen) as ingest:
        *_, dataset = ingest.watch_dataset(ingest.create_dataset(keyprint_stack.source_url).id)
    job = client.create_training_job(
        dataset.id, "extratrees", "carried", 0.2, params={"trees": 20}, new_version=True, impostors=0.25
    )
    *_, ended = client.watch_training_job(job.id)
    assert ended.state == training_pb2.TrainingJob.STATE_SUCCEEDED, ended.error
    return client.get_model(f"carried@{ended.version}")


@pytest.fixture(scope="module")
def file(client: TrainingClient, model: training_pb2.Model) -> bytes:
    return b"".join(client.download_model(f"{model.name}@{model.version}"))


def names(client: TrainingClient) -> list[str]:
    return [f"{one.name}@{one.version}" for one in client.list_models()]


def test_a_model_comes_back_as_it_left(client: TrainingClient, model: training_pb2.Model, file: bytes) -> None:
    back = client.upload_model(io.BytesIO(file), "returned", new_version=True)
    assert back.name == "returned"
    kept = training_pb2.Model()
    kept.CopyFrom(back)
    for one in ("name", "version", "created_at"):
        kept.ClearField(one)
        model.ClearField(one)
    assert kept == model
    again = b"".join(client.download_model(f"returned@{back.version}"))
    assert client.upload_model(io.BytesIO(again), "returned", new_version=True).digest == model.digest
    with pytest.raises(errors.AlreadyExists):
        client.upload_model(io.BytesIO(file), "returned")


def changed(file: bytes) -> bytes:
    """The same tar file with one bit of its graph turned."""
    with tarfile.open(fileobj=io.BytesIO(file)) as archive:
        member = next(one for one in archive.getmembers() if one.name.endswith("model.onnx"))
        at = member.offset_data + member.size // 2
    return file[:at] + bytes([file[at] ^ 1]) + file[at + 1 :]


def without(file: bytes, name: str) -> bytes:
    """The same tar file with one file of it missing."""
    out = io.BytesIO()
    with tarfile.open(fileobj=io.BytesIO(file)) as old, tarfile.open(fileobj=out, mode="w") as new:
        for member in old.getmembers():
            if not member.name.endswith(name):
                new.addfile(member, old.extractfile(member) if member.isfile() else None)
    return out.getvalue()


@pytest.mark.parametrize(
    "wrong",
    [
        lambda file: b"",
        lambda file: b"hello",
        lambda file: file[: len(file) // 2],
        changed,
        lambda file: without(file, "model.yaml"),
        lambda file: without(file, "labels.json"),
        lambda file: without(file, "model.onnx"),
        lambda file: b"\0\xff" * len(file),
    ],
    ids=["empty", "text", "half", "one bit", "no digest", "no labels", "no graph", "noise"],
)
def test_what_is_no_model_is_refused_and_leaves_nothing(
    client: TrainingClient, file: bytes, wrong: Callable[[bytes], bytes], keyprint_stack: Stack
) -> None:
    before = names(client)
    with pytest.raises(errors.InvalidArgument) as caught:
        client.upload_model(io.BytesIO(wrong(file)), "stranger")
    assert (caught.value.reason, caught.value.field) == ("MODEL_FILE_INVALID", "content")
    assert names(client) == before
    assert not list((keyprint_stack.home / "training" / "arrivals").iterdir())
    assert not (keyprint_stack.home / "training" / "models" / "stranger").exists()


def test_it_tells_how_impostors_fared(model: training_pb2.Model) -> None:
    assert model.impostors == 0.25
    found = model.evaluation.open_set
    assert len(found.impostors) == 1
    assert set(found.impostors) < set(model.users)
    assert found.attempts > 0
    assert found.det
    assert 0 <= found.equal_error_rate <= 1


@pytest.mark.parametrize("share", [-0.1, 1.0, float("nan")])
def test_a_share_of_impostors_out_of_range_is_refused(
    client: TrainingClient, model: training_pb2.Model, share: float
) -> None:
    with pytest.raises(errors.InvalidArgument) as caught:
        client.create_training_job(model.dataset or "ds", "adaboost", "wrong", 0.2, impostors=share)
    assert (caught.value.reason, caught.value.field) == ("IMPOSTORS_OUT_OF_RANGE", "impostors")


def test_impostors_that_leave_nobody_are_refused_at_once(client: TrainingClient, model: training_pb2.Model) -> None:
    with pytest.raises(errors.FailedPrecondition) as caught:
        client.create_training_job(model.dataset, "adaboost", "wrong", 0.2, impostors=0.9)
    assert (caught.value.reason, caught.value.field) == ("NOT_ENOUGH_USERS", "impostors")


def test_aliases_tell_where_they_pointed(client: TrainingClient, file: bytes) -> None:
    versions = [client.upload_model(io.BytesIO(file), "pointed", new_version=True).version for _ in range(2)]
    for version in (versions[0], versions[1], versions[1], versions[0]):
        client.set_model_alias(f"pointed@{version}", "champion")
    client.delete_model(f"pointed@{versions[0]}")
    moves = list(client.alias_moves("pointed"))
    assert [one.version for one in moves[:4]] == [0, versions[0], versions[1], versions[0]]
    assert {one.alias for one in moves} == {"champion"}
    at = [one.moved_at.ToDatetime() for one in moves]
    assert at == sorted(at, reverse=True)
    with pytest.raises(errors.NotFound):
        client.get_model("pointed@champion")


def test_of_a_damaged_package_nothing_is_downloaded(client: TrainingClient, file: bytes, keyprint_stack: Stack) -> None:
    kept = client.upload_model(io.BytesIO(file), "damaged", new_version=True)
    labels = keyprint_stack.home / "training" / "models" / "damaged" / str(kept.version) / "labels.json"
    labels.write_bytes(labels.read_bytes()[:-1])
    with pytest.raises(errors.Internal) as caught:
        list(client.download_model("damaged"))
    assert caught.value.reason == "MODEL_CORRUPT"
    assert str(keyprint_stack.home) not in caught.value.message
    client.delete_model("damaged")
