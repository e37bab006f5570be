"""Models that come as files: what is refused, and what a refused one leaves."""

from __future__ import annotations

import errno
import io
import json
import os
import tarfile
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from keyprint import errors, package
from keyprint.errors import AlreadyExists, InvalidArgument, TooSlow
from keyprint.pace import Pace
from services.training import arrivals as module
from services.training import learners, messages, trainer, trial
from services.training.arrivals import Arrivals, Limits
from services.training.jobs import Asked, Jobs
from services.training.models import Models
from services.training.store import Store
from services.training.tables import Model, Sessions, open_tables
from services.training.work import Order
from tests.unit.training.test_trainer import typing

PACE = Pace(60.0, 30.0, 1024.0)
ASKED = Asked("ds_1", "adaboost", "ada", 0.2, "late", "timing", {}, 0)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A package."""
    made = tmp_path_factory.mktemp("made")
    params = learners.learner("adaboost").check({"trees": 3, "depth": 2})
    trainer.train(Order("", str(made), "ds_1", "adaboost", params, 0.25, "late", "timing", 0), typing(), lambda _: None)
    return made


@pytest.fixture
def tables(tmp_path: Path) -> Sessions:
    return open_tables(f"sqlite:///{tmp_path / 'catalogue.db'}")


@pytest.fixture
def models(tables: Sessions) -> Models:
    return Models(tables)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "models")


@pytest.fixture
def arrivals(models: Models, store: Store, tmp_path: Path) -> Arrivals:
    return Arrivals(models, store, tmp_path / "arrivals", Limits(2**20, 1024, PACE))


def exported(trained: Path, tmp_path: Path, change: Callable[[Path], object] = lambda _: None) -> list[bytes]:
    """The file that somebody makes of a package, its digest right, after a change to it."""
    elsewhere, copy = Store(tmp_path / "elsewhere"), tmp_path / "copy"
    copy.mkdir()
    for path in trained.iterdir():
        (copy / path.name).write_bytes(path.read_bytes())
    change(copy)
    elsewhere.put("export", 1, copy)
    with elsewhere.exported("export", 1) as path:
        return [path.read_bytes()]


def wanting(rows: int) -> Callable[[Path], object]:
    """Puts a graph of a few hundred bytes in, which makes `rows` rows of the one that it is asked about."""

    def change(directory: Path) -> None:
        (directory / package.GRAPH).write_bytes(greedy(rows).SerializeToString())

    return change


def greedy(rows: int) -> onnx.ModelProto:
    made = {
        "rows": onnx.numpy_helper.from_array(np.array([rows, 1], np.int64), "rows"),
        "none": onnx.numpy_helper.from_array(np.zeros(3, np.float32), "none"),
        "first": onnx.numpy_helper.from_array(np.array([0], np.int64), "first"),
        "column": onnx.numpy_helper.from_array(np.array([1], np.int64), "column"),
    }
    nodes = [
        onnx.helper.make_node("Tile", [package.INPUT, "rows"], ["many"]),
        onnx.helper.make_node("ReduceMean", ["many"], ["mean"], keepdims=0),
        onnx.helper.make_node("ReduceMean", [package.INPUT, "column"], ["each"], keepdims=1),
        onnx.helper.make_node("Add", ["each", "mean"], ["one"]),
        onnx.helper.make_node("Add", ["one", "none"], ["three"]),
        onnx.helper.make_node("Softmax", ["three"], [package.OUTPUT], axis=1),
    ]
    graph = onnx.helper.make_graph(
        nodes,
        "greedy",
        [onnx.helper.make_tensor_value_info(package.INPUT, onnx.TensorProto.FLOAT, ["N", "F"])],
        [onnx.helper.make_tensor_value_info(package.OUTPUT, onnx.TensorProto.FLOAT, ["N", 3])],
        list(made.values()),
    )
    return onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 18)], ir_version=10)


def unsure(directory: Path) -> None:
    """Puts a graph in that does not say for how many users it answers."""
    model = greedy(1)
    model.graph.output[0].type.tensor_type.shape.dim[1].dim_param = "K"
    model.graph.node[-1].output[0] = "softmax"
    model.graph.initializer.append(onnx.helper.make_tensor("all", onnx.TensorProto.BOOL, [3], [True] * 3))
    model.graph.node.append(onnx.helper.make_node("Compress", ["softmax", "all"], [package.OUTPUT], axis=1))
    (directory / package.GRAPH).write_bytes(model.SerializeToString())


def saying(file: str, **changes: Any) -> Callable[[Path], object]:
    """Changes what a file of a package says."""

    def change(directory: Path) -> None:
        path = directory / f"{file}.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | changes))

    return change


def nested(name: str) -> Callable[[Path], object]:
    """Puts a file of that name into a folder of the package."""

    def change(directory: Path) -> None:
        (directory / "x").mkdir()
        (directory / "x" / name).write_bytes(b"much")

    return change


def archive(*members: tarfile.TarInfo) -> list[bytes]:
    """A tar file of members without content."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as packed:
        for member in members:
            packed.addfile(member)
    return [out.getvalue()]


def member(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    made = tarfile.TarInfo(name)
    made.type, made.linkname = kind, link
    return made


@pytest.mark.parametrize(
    ("members", "told"),
    [
        ([member("labels.json", tarfile.SYMTYPE, "nowhere")], "it holds 'labels.json', which is neither a file nor"),
        ([member("a", tarfile.SYMTYPE, "/etc/passwd")], "it holds 'a', which is neither a file nor a folder"),
        ([member("a"), member("b", tarfile.LNKTYPE, "a")], "it holds 'b', which is neither a file nor a folder"),
        ([member("pipe", tarfile.FIFOTYPE)], "it holds 'pipe', which is neither a file nor a folder"),
        ([member("../labels.json")], "it holds '../labels.json', which is no name of a file in a package"),
        ([member("/labels.json")], "it holds '/labels.json', which is no name of a file in a package"),
        ([member("x" * 10_000)], "which is no name of a file in a package"),
        ([member("\udcff", tarfile.SYMTYPE, "x")], r"it holds '\udcff', which is neither a file nor a folder"),
        ([member("features.json"), member("features.json/\udcff")], r"'\udcff': Not a directory"),
        ([member("x" * 500_000)], "it holds a name or an attribute that is far too long"),
        ([member(f"{number}.json") for number in range(101)], "it holds more than 100 files"),
        ([member("features.json", tarfile.DIRTYPE)], "'features.json': Is a directory"),
        ([member("model.yaml"), member("labels.json"), member("labels.json/x")], "'x': Not a directory"),
    ],
)
def test_what_no_package_holds_is_refused_by_its_name(
    arrivals: Arrivals, tmp_path: Path, members: list[tarfile.TarInfo], told: str
) -> None:
    with pytest.raises(InvalidArgument) as caught:
        arrivals.receive(archive(*members), "ada", False)
    assert (caught.value.reason, caught.value.field) == ("MODEL_FILE_INVALID", "content")
    assert told in caught.value.message
    assert str(tmp_path) not in caught.value.message
    assert not list((tmp_path / "arrivals").iterdir())


@pytest.mark.parametrize("where", ["_write", "_checked"])
def test_a_disk_that_is_full_is_not_the_callers_fault(
    arrivals: Arrivals, models: Models, trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(tmp_path))

    monkeypatch.setattr(module, where, full)
    with pytest.raises(OSError, match="No space left") as caught:
        arrivals.receive(exported(trained, tmp_path), "ada", False)
    told = errors.of_system(caught.value)
    assert isinstance(told, errors.ResourceExhausted)
    assert str(tmp_path) not in told.message
    assert models.all() == []
    assert not list((tmp_path / "arrivals").iterdir())


def test_an_upload_that_stalls_is_given_up(models: Models, store: Store, tmp_path: Path) -> None:
    arrivals = Arrivals(models, store, tmp_path / "arrivals", Limits(2**20, 1024, Pace(60.0, 0.2, 1024.0)))
    over = threading.Event()

    def sent() -> Iterator[bytes]:
        yield b"x"
        over.wait(60)

    with closing(arrivals.in_time(sent(), len)) as coming, pytest.raises(TooSlow) as caught:
        arrivals.receive(coming, "ada", False)
    over.set()
    assert (caught.value.reason, caught.value.field) == ("LIMIT_EXCEEDED", "content")
    assert not list((tmp_path / "arrivals").iterdir())


def cells(actual: list[int], predicted: list[int], count: list[int]) -> dict[str, list[int]]:
    return {"actual": actual, "predicted": predicted, "count": count}


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (saying("training", split="sideways"), "training.json: split: Input should be 'late' or 'random'"),
        (saying("training", seed=None), "training.json: seed: Input should be a valid integer"),
        (saying("training", fit_seconds="long"), "training.json: fit_seconds: Input should be a valid number"),
        (saying("training", near_ties=2**40), "training.json: near_ties: Input should be less than"),
        (saying("training", attempt_ids=[], timing_ids=[]), "training.json: timing_ids: there must be one for each"),
        (saying("training", timing_ids=[]), "training.json: timing_ids: there must be one for each of attempt_ids"),
        (saying("metrics", users=None), "metrics.json: users: "),
        (saying("metrics", users=[]), "metrics.json: users: they are others than those of labels.json"),
        (saying("metrics", confusion=[1]), "metrics.json: confusion: Input should be an object"),
        (saying("metrics", confusion=cells([3], [0], [15])), "metrics.json: confusion: it is of other users or"),
        (saying("metrics", confusion=cells([0], [0], [14])), "metrics.json: confusion: it is of other users or"),
        (saying("metrics", confusion=cells([0], [0, 1], [15])), "metrics.json: confusion: Value error, there must be"),
        (
            saying("metrics", confusion=cells([0], [0], [-1])),
            "metrics.json: confusion.count.0: Input should be greater",
        ),
        (saying("metrics", schema_version=4), "metrics.json: it has schema version 4, and this Keyprint reads 5"),
        (saying("metrics", attempts=-1), "metrics.json: attempts: Input should be greater"),
        (saying("metrics", log_loss=float("nan")), "metrics.json: log_loss: Input should be a finite number"),
        (saying("labels", labels=[1]), "labels.json: labels"),
        (
            saying("decision", default_far=0.1, far=[0.1], threshold=["high"]),
            "decision.json: threshold.0: Input should be a valid number",
        ),
        (lambda directory: (directory / "custom_objects.pkl").write_bytes(b""), "it holds 'custom_objects.pkl'"),
        (lambda directory: (directory / package.GRAPH).write_bytes(b"graph"), "its graph does not run"),
        (wanting(100_000), "its graph does not run on its features, or not in 1,024 MiB of memory"),
        (unsure, "its graph does not answer for each of its users"),
        (
            lambda directory: (directory / "decision.json").unlink(),
            "exported: 'decision.json': No such file",
        ),
        (nested("model.yaml"), "it holds 'x/model.yaml', which no model has"),
        (saying("metrics", accuracy=1.5), "metrics.json: accuracy: Input should be less than or equal to 1"),
        (saying("metrics", equal_error_rate=float("nan")), "metrics.json: equal_error_rate: Input should be"),
        (saying("metrics", macro_f1="good"), "metrics.json: macro_f1: Input should be a valid number"),
        (saying("metrics", log_loss=-1.0), "metrics.json: log_loss: Input should be greater than or equal to 0"),
        (saying("metrics", threshold=2.0), "metrics.json: threshold: Input should be less than or equal to 1"),
        (
            saying("decision", default_far=0.1, far=[0.1], threshold=[7.5]),
            "decision.json: threshold.0: Input should be",
        ),
        (saying("decision", default_far=float("nan")), "decision.json: default_far: Input should be"),
        (
            lambda directory: (directory / "estimator.skops").write_bytes(b"0" * 2**20),
            "it is larger than 1,048,576 bytes",
        ),
    ],
)
def test_a_file_with_a_wrong_value_is_refused_in_one_sentence_and_leaves_nothing(
    arrivals: Arrivals,
    models: Models,
    trained: Path,
    tmp_path: Path,
    change: Callable[[Path], object],
    told: str,
) -> None:
    with pytest.raises(InvalidArgument) as caught:
        arrivals.receive(exported(trained, tmp_path, change), "ada", False)
    assert (caught.value.reason, caught.value.field) == ("MODEL_FILE_INVALID", "content")
    assert told in caught.value.message
    assert "\n" not in caught.value.message
    assert models.all() == []
    for folder in ("models", "models-aside", "arrivals"):
        assert not list((tmp_path / folder).iterdir())
    # The name is free.
    assert arrivals.receive(exported_again(trained, tmp_path), "ada", False).name == "ada"


def exported_again(trained: Path, tmp_path: Path) -> list[bytes]:
    (tmp_path / "again").mkdir()
    return exported(trained, tmp_path / "again")


def test_a_graph_that_takes_little_is_taken_in(
    arrivals: Arrivals, models: Models, trained: Path, tmp_path: Path
) -> None:
    """The same that is refused where it makes more of what it is asked about."""
    arrivals.receive(exported(trained, tmp_path, wanting(1)), "ada", False)
    assert [one.reference for one in models.all()] == ["ada@1"]


def test_a_graph_that_does_not_come_to_an_end_is_refused(
    arrivals: Arrivals, trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trial, "SECONDS", 0.01)
    with pytest.raises(InvalidArgument, match=r"takes longer than 0\.01 s"):
        arrivals.receive(exported(trained, tmp_path), "ada", False)


def test_a_json_file_that_is_far_too_long_is_not_read(
    arrivals: Arrivals, trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_JSON_BYTES", 100)
    with pytest.raises(InvalidArgument, match=r"decision\.json has [0-9,]+ bytes, and at most 100 are read"):
        arrivals.receive(exported(trained, tmp_path), "ada", False)


def test_a_model_that_came_can_be_told_of(arrivals: Arrivals, models: Models, trained: Path, tmp_path: Path) -> None:
    came = arrivals.receive(exported(trained, tmp_path), "ada", False)
    message = messages.whole_model_message(models.get("ada"), ())
    assert message.digest == came.digest == package.digest(trained)
    assert (message.version, message.fingerprint, message.seed) == (1, "fingerprint", 0)


def test_others_write_while_a_model_is_moved_into_place(
    arrivals: Arrivals, tables: Sessions, store: Store, trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put, opened = store.put, []

    def slow(name: str, version: int, directory: Path) -> Path:
        opened.append(Jobs(tables).open(ASKED, "", True))
        return put(name, version, directory)

    monkeypatch.setattr(store, "put", slow)
    assert arrivals.receive(exported(trained, tmp_path), "eve", False).version == 1
    assert len(opened) == 1


def test_a_name_that_somebody_takes_meanwhile_is_theirs(
    arrivals: Arrivals,
    models: Models,
    tables: Sessions,
    store: Store,
    trained: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    put = store.put

    def slow(name: str, version: int, directory: Path) -> Path:
        Jobs(tables).open(ASKED, "", False)
        return put(name, version, directory)

    monkeypatch.setattr(store, "put", slow)
    with pytest.raises(AlreadyExists):
        arrivals.receive(exported(trained, tmp_path), "ada", False)
    assert models.all() == []
    assert not list((tmp_path / "models").iterdir())


def test_what_the_tables_refuse_does_not_stay_in_the_store(
    arrivals: Arrivals, models: Models, trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(model: Model, new_version: bool) -> None:
        raise RuntimeError("the database is full")

    monkeypatch.setattr(models, "add", refuse)
    with pytest.raises(RuntimeError):
        arrivals.receive(exported(trained, tmp_path), "ada", False)
    assert not list((tmp_path / "models").iterdir())
