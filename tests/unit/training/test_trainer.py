"""Training one model: what the fit may see, what is written, and what is not published."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from sqlalchemy import update

from keyprint import package
from keyprint.attempts import UNKNOWN_TIME, Aligned
from keyprint.errors import FailedPrecondition, Internal, InvalidArgument
from keyprint.features import Matrix, feature_set
from keyprint.graph import Graph
from services.training import learners, trainer
from services.training.arrays import Floats
from services.training.compare import Comparer
from services.training.dataset import Trainable
from services.training.entry import entry
from services.training.figures import Evaluation
from services.training.learners.adaboost import Boosted
from services.training.learners.learner import Examples, Learner, Report, Step
from services.training.models import Models
from services.training.significance import mcnemar
from services.training.store import Store
from services.training.tables import Model, open_tables
from services.training.work import STAGES, Order, Progress

EACH = 20
USERS = ("ann", "bob", "cat")


def typing(users: tuple[str, ...] = USERS, each: int = EACH, seed: int = 0, phrase: str = "abcde") -> Trainable:
    """People who differ in their tempo."""
    rng = np.random.default_rng(seed)
    names = np.array([user for user in users for _ in range(each)])
    tempo = np.repeat(np.arange(len(users)) * 80 + 80, each)[:, None]
    pressed = np.cumsum(tempo * rng.lognormal(0, 0.05, (len(names), len(phrase))) * 1000, axis=1).astype(np.int64)
    pressed += np.arange(len(names))[:, None] * 60_000_000
    none = np.zeros_like(pressed)
    ids = [number.to_bytes(16, "big") for number in range(len(names))]
    aligned = Aligned(
        np.arange(len(names)), pressed, np.full_like(pressed, UNKNOWN_TIME), none.astype(np.int32), none.copy()
    )
    return Trainable("ds_1", phrase, "fingerprint", False, names, ids, aligned)


@pytest.fixture
def order(tmp_path: Path) -> Order:
    made = tmp_path / "made"
    made.mkdir()
    params = learners.learner("adaboost").check({"trees": 5, "depth": 3})
    return Order("", str(made), "ds_1", "adaboost", params, 0.25, "late", "timing", 0)


def train(order: Order, data: Trainable | None = None) -> tuple[Model, list[Progress]]:
    told: list[Progress] = []
    # The store takes the directory of the one before away.
    Path(order.directory).mkdir(exist_ok=True)
    trainer.train(order, data or typing(), told.append)
    return entry("ada", 1, Path(order.directory)), told


def test_the_package_says_what_it_was_made_of(order: Order) -> None:
    model, told = train(order)
    made = Path(order.directory)
    read = package.read(made)
    assert read.labels == USERS
    assert read.inputs == package.Inputs("timing", feature_set("timing").version, "abcde", False)
    about = json.loads((made / "training.json").read_text())
    assert (about["fingerprint"], about["learner"], about["holdout"]) == ("fingerprint", "adaboost", 0.25)
    assert about["params"]["trees"] == 5
    assert model.training_attempts == len(read.trained_ids) == 45
    assert package.read_metrics(made, Evaluation).attempts == 15
    assert told[0].stage == "fitting"
    assert [one.progress for one in told] == sorted(one.progress for one in told)
    assert [one.point.step for one in told if one.point] == [1, 2, 3, 4, 5]


def test_the_holdout_takes_part_in_nothing(order: Order) -> None:
    """The same model comes out whatever the held-out attempts look like."""
    train(order)
    made = Path(order.directory)
    before = (made / package.GRAPH).read_bytes(), (made / "decision.json").read_bytes()
    data = typing()
    held_out = data.held_out(order.holdout, order.split, order.seed)
    pressed = data.attempts.pressed_at.copy()
    pressed[held_out, -1] += 5_000_000
    train(order, replace(data, attempts=replace(data.attempts, pressed_at=pressed)))
    assert ((made / package.GRAPH).read_bytes(), (made / "decision.json").read_bytes()) == before


def test_calibration_keeps_the_last_attempts_from_its_fit_and_the_model_sees_them_all(
    order: Order, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []
    real = learners.learner("adaboost")

    def fit(examples: Examples, params: Mapping[str, float], seed: int, report: Report) -> Boosted:
        seen.append(len(examples.labels))
        fitted = real.fit(examples, params, seed, report)
        assert isinstance(fitted, Boosted)
        return fitted

    use(monkeypatch, replace(real, fit=fit))
    train(order)
    # A tenth of each user's 15, rounded up, is 2.
    assert seen == [45, 39]


class Liar(Boosted):
    """Whose graph was made of another model."""

    def graph(self, temperature: float) -> onnx.ModelProto:
        return super().graph(temperature * 3)


class Mute(Boosted):
    """Whose own answers are turned around."""

    def logits(self, features: Matrix) -> Floats:
        return super().logits(features)[:, ::-1]


@pytest.mark.parametrize("kind", [Liar, Mute])
def test_a_graph_that_disagrees_with_its_source_is_not_published(
    order: Order, monkeypatch: pytest.MonkeyPatch, kind: type[Boosted]
) -> None:
    real = learners.learner("adaboost")

    def fit(examples: Examples, params: Mapping[str, float], seed: int, report: Report) -> Boosted:
        fitted = real.fit(examples, params, seed, report)
        assert isinstance(fitted, Boosted)
        return kind(fitted.estimator)

    use(monkeypatch, replace(real, fit=fit))
    with pytest.raises(Internal) as caught:
        train(order)
    assert caught.value.reason == "GRAPH_DISAGREES"


def test_a_graph_that_answers_no_number_is_not_published(order: Order, monkeypatch: pytest.MonkeyPatch) -> None:
    real = Graph.run
    monkeypatch.setattr(Graph, "run", lambda graph, features: real(graph, features) * np.float32("nan"))
    with pytest.raises(Internal) as caught:
        train(order)
    assert caught.value.reason == "GRAPH_DISAGREES"


class Diverged(Boosted):
    """Whose answers are no numbers."""

    def logits(self, features: Matrix) -> Floats:
        return super().logits(features) * np.nan


@pytest.mark.parametrize("loss", [float("nan"), float("inf")])
def test_a_fit_whose_loss_is_no_number_ends_at_once_and_says_what_to_change(
    order: Order, monkeypatch: pytest.MonkeyPatch, loss: float
) -> None:
    def fit(examples: Examples, params: Mapping[str, float], seed: int, report: Report) -> Boosted:
        report(Step(1, 5, loss=loss))
        raise AssertionError("it goes on")

    use(monkeypatch, replace(learners.learner("adaboost"), fit=fit))
    with pytest.raises(InvalidArgument, match="smaller learning_rate") as caught:
        train(order)
    assert (caught.value.reason, caught.value.field) == ("TRAINING_DIVERGED", "params.learning_rate")


def test_a_fit_whose_answers_are_no_numbers_has_diverged(order: Order, monkeypatch: pytest.MonkeyPatch) -> None:
    real = learners.learner("adaboost")

    def fit(examples: Examples, params: Mapping[str, float], seed: int, report: Report) -> Boosted:
        fitted = real.fit(examples, params, seed, report)
        assert isinstance(fitted, Boosted)
        return Diverged(fitted.estimator)

    use(monkeypatch, replace(real, fit=fit))
    with pytest.raises(InvalidArgument) as caught:
        train(order)
    assert caught.value.reason == "TRAINING_DIVERGED"


def use(monkeypatch: pytest.MonkeyPatch, learner: Learner) -> None:
    monkeypatch.setitem(learners.LEARNERS, learner.name, learner)


def test_a_user_with_one_attempt_left_is_learnt_all_the_same(order: Order) -> None:
    data = typing()
    few = np.ones(len(data.ids), np.bool_)
    few[2:EACH] = False
    model, _ = train(order, data.only(few))
    assert model.training_attempts == 1 + 15 + 15
    assert package.read(Path(order.directory)).labels == USERS


def test_nothing_to_calibrate_on_is_told(order: Order) -> None:
    with pytest.raises(FailedPrecondition, match="single attempt") as caught:
        train(order, typing(each=2))
    assert (caught.value.reason, caught.value.field) == ("NOT_ENOUGH_ATTEMPTS", "holdout")


def test_impostors_are_judged_by_a_fit_that_never_saw_them(order: Order, monkeypatch: pytest.MonkeyPatch) -> None:
    users: list[int] = []
    real = learners.learner("adaboost")

    def fit(examples: Examples, params: Mapping[str, float], seed: int, report: Report) -> Boosted:
        users.append(len(np.unique(examples.labels)))
        fitted = real.fit(examples, params, seed, report)
        assert isinstance(fitted, Boosted)
        return fitted

    use(monkeypatch, replace(real, fit=fit))
    model, told = train(replace(order, impostors=0.3))
    # The one published, its calibration, and the one that is judged.
    assert users == [3, 3, 2]
    assert model.details.users == USERS
    found = model.details.evaluation.open_set
    assert found is not None
    assert len(found.impostors) == 1
    assert set(found.impostors) < set(USERS)
    assert found.attempts == 5
    assert 0 <= found.equal_error_rate <= 1
    assert [one.progress for one in told] == sorted(one.progress for one in told)
    stages = dict.fromkeys(one.stage for one in told)
    # The process that trains says that it reads before it comes to that.
    assert list(stages) == list(STAGES[1:])


def test_impostors_must_leave_two_to_tell_apart(order: Order) -> None:
    with pytest.raises(FailedPrecondition) as caught:
        train(replace(order, impostors=0.7))
    assert (caught.value.reason, caught.value.field) == ("NOT_ENOUGH_USERS", "impostors")


def test_the_same_order_makes_the_same_figures_again(order: Order) -> None:
    first, _ = train(replace(order, impostors=0.3))
    again, _ = train(replace(order, impostors=0.3))
    assert again.details.evaluation == first.details.evaluation
    assert again.details.curve == first.details.curve


# Comparison


@pytest.fixture
def house(tmp_path: Path, order: Order) -> tuple[Models, Store, Model]:
    """One model, trained and kept."""
    train(order)
    tables = open_tables(f"sqlite:///{tmp_path / 'catalogue.db'}")
    store = Store(tmp_path / "store")
    row = entry("ada", 1, store.put("ada", 1, Path(order.directory)))
    with tables.begin() as session:
        session.add(row)
    return Models(tables), store, row


def keep(models: Models, store: Store, name: str, directory: Path) -> None:
    """Publishes the package in a directory, which goes with it."""
    version = models.reserve(name, False)
    models.add(entry(name, version, store.put(name, version, directory)), False)


def test_its_own_holdout_gives_its_own_figures(house: tuple[Models, Store, Model], order: Order) -> None:
    models, store, model = house
    data = typing()
    (row,) = Comparer(models, store).compare(data.only(data.held_out(0.25, "late", 0)))
    assert row.figures
    assert row.figures.accuracy == model.figures.accuracy
    assert (row.seen_attempts, row.p_value, row.error) == (0, None, None)


def test_attempts_that_it_saw_are_counted(house: tuple[Models, Store, Model]) -> None:
    models, store, _ = house
    (row,) = Comparer(models, store).compare(typing())
    assert row.seen_attempts == 45


def test_figures_are_measured_once(house: tuple[Models, Store, Model], monkeypatch: pytest.MonkeyPatch) -> None:
    models, store, _ = house
    first = Comparer(models, store).compare(typing())
    monkeypatch.setattr(Graph, "run", None)
    again = Comparer(models, store).compare(typing())
    assert again[0].figures == first[0].figures
    np.testing.assert_array_equal(again[0].correct, first[0].correct)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"phrase": "vwxyz"}, "OTHER_PHRASE"),
        ({"users": np.array(["eve"] * 60)}, "UNKNOWN_USERS"),
    ],
)
def test_what_cannot_be_compared_says_why(
    house: tuple[Models, Store, Model], changes: dict[str, object], reason: str
) -> None:
    models, store, _ = house
    (row,) = Comparer(models, store).compare(replace(typing(), **changes))  # type: ignore[arg-type]
    assert row.error
    assert row.error.reason == reason
    assert row.figures is None


@pytest.mark.parametrize("changes", [{"features_version": 99}, {"features": "shape"}])
def test_a_model_of_features_that_are_not_here_is_listed_as_such(
    house: tuple[Models, Store, Model], tmp_path: Path, changes: dict[str, object]
) -> None:
    models, store, _ = house
    with open_tables(f"sqlite:///{tmp_path / 'catalogue.db'}").begin() as session:
        session.execute(update(Model).values(changes))
    (row,) = Comparer(models, store).compare(typing())
    assert row.figures is None
    assert row.error
    assert (row.error.reason, row.error.field) == ("OTHER_FEATURES", "model")


@pytest.mark.parametrize("name", ["training.json", "decision.json", package.GRAPH])
@pytest.mark.parametrize("content", [None, b"", b"{}"])
def test_a_damaged_model_is_listed_as_such_below_the_others(
    house: tuple[Models, Store, Model], tmp_path: Path, order: Order, name: str, content: bytes | None
) -> None:
    models, store, _ = house
    train(order)
    keep(models, store, "bob", Path(order.directory))
    damaged = store.directory("bob", 1) / name
    damaged.unlink()
    if content is not None:
        damaged.write_bytes(content)
    first, last = Comparer(models, store).compare(typing())
    assert (first.model.name, first.error, last.model.name) == ("ada", None, "bob")
    assert last.error
    assert (last.error.reason, last.figures) == ("MODEL_CORRUPT", None)


def test_a_model_whose_files_are_gone_is_damaged(house: tuple[Models, Store, Model]) -> None:
    models, store, _ = house
    store.delete("ada", 1)
    (row,) = Comparer(models, store).compare(typing())
    assert row.error
    assert row.error.reason == "MODEL_CORRUPT"


def test_a_model_that_is_deleted_while_it_is_read_is_left_out(
    house: tuple[Models, Store, Model], monkeypatch: pytest.MonkeyPatch
) -> None:
    models, store, _ = house
    read = package.read

    def late(directory: Path) -> package.Package:
        models.delete("ada")
        store.delete("ada", 1)
        return read(directory)

    monkeypatch.setattr(package, "read", late)
    assert Comparer(models, store).compare(typing()) == []


def test_a_model_that_needs_release_times_says_so(house: tuple[Models, Store, Model], tmp_path: Path) -> None:
    models, store, _ = house
    with open_tables(f"sqlite:///{tmp_path / 'catalogue.db'}").begin() as session:
        session.execute(update(Model).values(release_times=True))
    (row,) = Comparer(models, store).compare(typing())
    assert row.error
    assert (row.error.reason, row.error.field) == ("NO_RELEASE_TIMES", "dataset")


def test_a_model_that_saw_any_of_the_holdout_is_marked_and_ranks_below_one_that_did_not(
    house: tuple[Models, Store, Model], order: Order, tmp_path: Path
) -> None:
    """Both are trained for real: `all` has seen nearly everything, and `few` is one tree of one decision."""
    models, store, _ = house
    models.delete("ada")
    few = {**order.params, "trees": 1, "depth": 1}
    for name, wanted in {"all": replace(order, holdout=0.05), "few": replace(order, params=few)}.items():
        directory = tmp_path / name
        train(replace(wanted, directory=str(directory)))
        keep(models, store, name, directory)
    data = typing()
    first, last = Comparer(models, store).compare(data.only(data.held_out(order.holdout, "late", 0)))
    assert (first.model.name, first.seen_attempts, first.p_value) == ("few", 0, None)
    assert (last.model.name, last.seen_attempts) == ("all", 12)
    assert first.figures
    assert last.figures
    assert last.figures.accuracy > first.figures.accuracy
    assert last.p_value == mcnemar(first.correct, last.correct) < 1


def released(data: Trainable, hold_us: int = 60_000) -> Trainable:
    """The same attempts with the releases of their keys, which gives them other ids."""
    ids = [bytes([hold_us % 251]) + one[1:] for one in data.ids]
    aligned = replace(data.attempts, released_at=data.attempts.pressed_at + hold_us)
    return replace(data, release_times=True, ids=ids, attempts=aligned)


@pytest.mark.parametrize("phrase", ["abcdefgh", "abcdefg"])
def test_a_model_leaks_on_the_same_attempts_whatever_became_of_their_releases(
    tmp_path: Path, order: Order, phrase: str
) -> None:
    """`all` has seen nearly everything, and `few`, a tree of one decision, nothing of the hold-out."""
    models, store = Models(open_tables(f"sqlite:///{tmp_path / 'catalogue.db'}")), Store(tmp_path / "store")
    data = typing(phrase=phrase)
    few = {**order.params, "trees": 1, "depth": 1}
    for name, wanted in {"all": replace(order, holdout=0.05), "few": replace(order, params=few)}.items():
        train(wanted, data)
        keep(models, store, name, Path(order.directory))
    for hold_us in (60_000, 80_000):
        holdout = released(data, hold_us).hold_out(order.holdout, "late", 0)
        assert not set(holdout.ids) & set(data.ids)
        rows = {row.model.name: row for row in Comparer(models, store).compare(holdout)}
        assert rows["few"].seen_attempts == 0
        # Of fewer than eight keys anybody may press two attempts alike.
        assert rows["all"].seen_attempts == (12 if len(phrase) >= 8 else 0)
        if len(phrase) >= 8:
            assert list(rows) == ["few", "all"]
            assert rows["all"].figures
            assert rows["few"].figures
            assert rows["all"].figures.accuracy > rows["few"].figures.accuracy


def test_a_model_whose_package_was_changed_is_damaged_and_nothing_is_kept_of_it(
    house: tuple[Models, Store, Model], tmp_path: Path
) -> None:
    """A package that can be read and run, and says other than the one that was published."""
    models, store, model = house
    path = store.directory("ada", 1) / "training.json"
    about = json.loads(path.read_text())
    path.write_text(json.dumps(about | {"attempt_ids": [], "timing_ids": []}))
    holdout = typing()
    (row,) = Comparer(models, store).compare(holdout)
    assert row.error
    assert row.error.reason == "MODEL_CORRUPT"
    with pytest.raises(Internal) as caught:
        Comparer(models, store).evaluate("ada", holdout)
    assert caught.value.reason == "MODEL_CORRUPT"
    # Mended, it is measured.
    path.write_text(json.dumps(about, indent=1, sort_keys=True) + "\n")
    assert package.digest(store.directory("ada", 1)) == model.digest
    (row,) = Comparer(models, store).compare(holdout)
    assert row.seen_attempts == 45


def test_one_model_is_evaluated_as_a_comparison_does_it_and_user_by_user(house: tuple[Models, Store, Model]) -> None:
    models, store, model = house
    data = typing()
    holdout = data.hold_out(0.25, "late", 0)
    row, evaluation = Comparer(models, store).evaluate("ada", holdout)
    (compared,) = Comparer(models, store).compare(holdout)
    assert (row.figures, row.seen_attempts) == (compared.figures, compared.seen_attempts)
    np.testing.assert_array_equal(row.correct, compared.correct)
    assert evaluation == model.details.evaluation
    with pytest.raises(FailedPrecondition) as caught:
        Comparer(models, store).evaluate("ada", replace(holdout, users=np.array(["eve"] * 15)))
    assert caught.value.reason == "UNKNOWN_USERS"
