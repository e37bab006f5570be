"""Made-up typists behave like typists."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from keyprint import attempts, features, simulate
from keyprint.cli.app import app
from keyprint.source import attempt_from_source

PHRASE = "Be Typing."


def read(folder: Path) -> dict[str, attempts.Aligned]:
    found = {}
    for path in sorted(folder.glob("user_*.json")):
        document = json.loads(path.read_text())
        messages = [attempt_from_source(one) for one in document["user_data"]]
        lengths = [len(one.character) for one in messages]
        typed = attempts.Keystrokes(
            offsets=np.cumsum([0, *lengths]),
            character=attempts.encode([key for one in messages for key in one.character]),
            pressed_at=np.array([at for one in messages for at in one.pressed_at]),
            released_at=np.array([at for one in messages for at in one.released_at]),
            malformed=np.zeros(len(messages), np.bool_),
        )
        found[document["user_label"]] = attempts.align(typed, attempts.judge(typed, PHRASE), PHRASE)
    return found


def test_the_same_seed_writes_the_same_bytes_and_another_does_not(tmp_path: Path) -> None:
    one, again, other = (
        simulate.simulate(tmp_path / name, 2, 5, PHRASE, seed, test=True).parent
        for name, seed in (("one", 1), ("again", 1), ("other", 2))
    )
    names = sorted(path.name for path in one.iterdir())
    assert names == ["test.json", "test_labels.csv", "user_typist00.json", "user_typist01.json"]
    assert [(one / name).read_bytes() for name in names] == [(again / name).read_bytes() for name in names]
    assert (one / names[2]).read_bytes() != (other / names[2]).read_bytes()


def test_documents_are_chained_and_most_attempts_are_valid(tmp_path: Path) -> None:
    first = simulate.simulate(tmp_path, 3, 100, PHRASE)
    chain = [json.loads(path.read_text())["next"] for path in sorted(tmp_path.glob("user_*.json"))]
    assert first.name == "user_typist00.json"
    assert chain == ["user_typist01.json", "user_typist02.json", None]
    valid = sum(map(len, read(tmp_path).values()))
    assert 270 <= valid < 300


def test_slips_are_corrected_and_typing_gets_faster(tmp_path: Path) -> None:
    simulate.simulate(tmp_path, 4, 200, PHRASE)
    typed = read(tmp_path)
    assert sum(int(one.corrections.sum()) for one in typed.values()) > 0
    took = [one.pressed_at[:, -1] - one.pressed_at[:, 0] for one in typed.values()]
    assert all(np.median(one[-50:]) < np.median(one[:50]) for one in took)


def test_typists_are_told_apart_better_than_by_chance_and_not_perfectly_by_one_number(tmp_path: Path) -> None:
    simulate.simulate(tmp_path, 6, 60, PHRASE)
    rows = {user: features.feature_set("timing").compute(one, True) for user, one in read(tmp_path).items()}
    users = sorted(rows)
    means = np.stack([rows[user][::2].mean(axis=0) for user in users])
    scale = np.concatenate(list(rows.values())).std(axis=0) + 1e-9
    right, total, by_speed = 0, 0, 0
    speed = features.feature_set("timing").columns(PHRASE, True).index("log_total")
    for number, user in enumerate(users):
        for row in rows[user][1::2]:
            right += int(np.argmin((((means - row) / scale) ** 2).sum(axis=1)) == number)
            by_speed += int(np.argmin(np.abs(means[:, speed] - row[speed])) == number)
            total += 1
    assert right / total > 0.7
    assert by_speed / total < 0.7


def test_press_only_leaves_releases_out(tmp_path: Path) -> None:
    first = simulate.simulate(tmp_path, 1, 2, PHRASE, press_only=True)
    assert all("released_at" not in event for one in json.loads(first.read_text())["user_data"] for event in one)


def test_the_test_document_has_no_labels_and_its_key_lies_beside_it(tmp_path: Path) -> None:
    simulate.simulate(tmp_path, 3, 8, PHRASE, test=True)
    unlabelled = json.loads((tmp_path / "test.json").read_text())
    with (tmp_path / "test_labels.csv").open() as labels:
        rows = list(csv.DictReader(labels))
    assert list(unlabelled) == ["attempts"]
    assert len(unlabelled["attempts"]) == len(rows) == 6
    assert {row["user"] for row in rows} == {"typist00", "typist01", "typist02"}


def test_the_command_prints_the_first_document(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["simulate", str(tmp_path), "--users", "1", "--attempts", "1"])
    assert done.exit_code == 0
    assert done.stdout.strip() == str(tmp_path / "user_typist00.json")


@pytest.mark.parametrize("words", [["--users", "0"], ["--attempts", "x"]])
def test_wrong_words_exit_with_2(tmp_path: Path, words: list[str]) -> None:
    assert CliRunner().invoke(app, ["simulate", str(tmp_path), *words]).exit_code == 2
