"""Made-up typists behave like real ones."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from keyprint import attempts, features, keyboard, simulate, typists
from keyprint.errors import InvalidArgument

PHRASE = attempts.DEFAULT_PHRASE
USERS, ATTEMPTS = 6, 50


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("typists")
    list(simulate.write(out, USERS, ATTEMPTS, PHRASE, seed=7, test=True))
    return out


def documents(folder: Path) -> list[dict[str, Any]]:
    """The chain, followed from its first document."""
    found: list[dict[str, Any]] = []
    name: str | None = "user_typist00.json"
    while name:
        found.append(json.loads((folder / name).read_text()))
        name = found[-1]["next"]
    return found


def judged(typed: list[Any]) -> tuple[attempts.Keystrokes, attempts.Verdicts]:
    flat = [one for attempt in typed for one in attempt]
    keystrokes = attempts.Keystrokes(
        offsets=np.cumsum([0, *map(len, typed)]),
        character=attempts.encode([one["character"] for one in flat]),
        pressed_at=np.array([one["typed_at"] for one in flat], "datetime64[us]").astype(np.int64),
        released_at=np.array([one["released_at"] for one in flat], "datetime64[us]").astype(np.int64),
        malformed=np.zeros(len(typed), np.bool_),
    )
    return keystrokes, attempts.judge(keystrokes, PHRASE)


def test_the_chain_names_every_typist_once(folder: Path) -> None:
    chain = documents(folder)
    assert [one["user_label"] for one in chain] == [f"typist{number:02d}" for number in range(USERS)]
    assert [len(one["user_data"]) for one in chain] == [ATTEMPTS] * USERS


def test_the_same_seed_gives_the_same_bytes_and_another_gives_others(folder: Path, tmp_path: Path) -> None:
    again, other = tmp_path / "again", tmp_path / "other"
    list(simulate.write(again, USERS, ATTEMPTS, PHRASE, seed=7, test=True))
    list(simulate.write(other, USERS, ATTEMPTS, PHRASE, seed=8, test=True))
    names = sorted(path.name for path in folder.iterdir())
    assert names == sorted(path.name for path in again.iterdir())
    for name in names:
        assert (folder / name).read_bytes() == (again / name).read_bytes()
    assert (folder / "test.json").read_bytes() != (other / "test.json").read_bytes()


def test_more_typists_and_no_test_leave_the_others_as_they_are(folder: Path, tmp_path: Path) -> None:
    list(simulate.write(tmp_path, USERS + 1, ATTEMPTS, PHRASE, seed=7))
    assert documents(folder)[0] == documents(tmp_path)[0]
    assert not (tmp_path / "test.json").exists()


def test_paths_are_yielded_as_they_are_written(tmp_path: Path) -> None:
    paths = simulate.write(tmp_path, 3, 2, PHRASE)
    first = next(paths)
    assert first == tmp_path / "user_typist00.json"
    assert first.exists()
    assert [path.name for path in paths] == ["user_typist01.json", "user_typist02.json"]


def test_most_attempts_are_valid_and_some_are_not(folder: Path) -> None:
    _, verdicts = judged([attempt for one in documents(folder) for attempt in one["user_data"]])
    valid = float((verdicts.reason == 0).mean())
    assert 0.8 < valid < 0.99
    reasons = {attempts.REASONS[reason] for reason in verdicts.reason}
    assert "PHRASE_MISMATCH" in reasons


def test_now_and_then_presses_go_back_in_time(tmp_path: Path) -> None:
    list(simulate.write(tmp_path, 2, 1000, PHRASE, seed=1))
    _, verdicts = judged([attempt for one in documents(tmp_path) for attempt in one["user_data"]])
    share = float((verdicts.reason == attempts.REASONS.index("OUT_OF_ORDER")).mean())
    assert 0 < share < 0.02


def test_slips_are_corrected_with_backspaces(folder: Path) -> None:
    typed = [attempt for one in documents(folder) for attempt in one["user_data"]]
    keystrokes, verdicts = judged(typed)
    aligned = attempts.align(keystrokes, verdicts, PHRASE)
    corrected = (aligned.corrections.sum(axis=1) > 0).mean()
    assert 0.05 < corrected < 0.7


def test_tempo_is_shared_within_an_attempt(folder: Path) -> None:
    """The latencies of one attempt rise and fall together: halves of an attempt correlate within one typist."""
    for one in documents(folder):
        keystrokes, verdicts = judged(one["user_data"])
        pressed = attempts.align(keystrokes, verdicts, PHRASE).pressed_at
        latency = np.log(np.diff(pressed, axis=1))
        odd, even = np.median(latency[:, 0::2], axis=1), np.median(latency[:, 1::2], axis=1)
        assert np.corrcoef(odd, even)[0, 1] > 0.3


def test_typists_get_faster_over_sessions_on_different_days(folder: Path) -> None:
    changes = []
    for one in documents(folder):
        keystrokes, verdicts = judged(one["user_data"])
        pressed = attempts.align(keystrokes, verdicts, PHRASE).pressed_at
        speed = np.median(np.log(np.diff(pressed, axis=1)), axis=1)
        changes.append(speed[-10:].mean() - speed[:10].mean())
        days = {attempt[0]["typed_at"][:10] for attempt in one["user_data"] if attempt}
        assert len(days) == -(-ATTEMPTS // typists.SESSION_ATTEMPTS)
    assert np.mean(changes) < -0.02


def test_typists_can_be_told_apart_but_not_by_speed_alone(folder: Path) -> None:
    """The nearest mean of earlier attempts names most later ones; their mean speed names far fewer."""
    columns, users, late = [], [], []
    for number, one in enumerate(documents(folder)):
        keystrokes, verdicts = judged(one["user_data"])
        aligned = attempts.align(keystrokes, verdicts, PHRASE)
        columns.append(features.feature_set("timing").compute(aligned, True))
        users += [number] * len(aligned)
        late += [row >= 0.8 * ATTEMPTS for row in aligned.rows.tolist()]
    matrix, user, later = np.concatenate(columns), np.array(users), np.array(late)
    holds = matrix[:, : len(PHRASE) * 11].reshape(len(matrix), len(PHRASE), 11)[:, :, [0, 7]].reshape(len(matrix), -1)

    def accuracy(values: np.ndarray[Any, np.dtype[np.float32]]) -> float:
        means = np.stack([values[(user == one) & ~later].mean(axis=0) for one in range(USERS)])
        nearest = ((values[later][:, None] - means) ** 2).sum(axis=2).argmin(axis=1)
        return float((nearest == user[later]).mean())

    assert accuracy(holds) > 0.75
    assert accuracy(holds[:, ::2].mean(axis=1, keepdims=True)) < accuracy(holds) - 0.1


def test_the_test_document_holds_later_attempts_and_says_not_whose(folder: Path) -> None:
    document = json.loads((folder / "test.json").read_text())
    rows = (folder / "test_labels.csv").read_text().splitlines()
    assert list(document) == ["attempts"]
    assert rows[0] == "attempt,user"
    labels = [row.split(",")[1] for row in rows[1:]]
    assert [row.split(",")[0] for row in rows[1:]] == [str(number) for number in range(len(document["attempts"]))]
    last = {
        one["user_label"]: max(attempt[0]["typed_at"] for attempt in one["user_data"] if attempt)
        for one in documents(folder)
    }
    assert all(
        attempt[0]["typed_at"] > last[label]
        for label, attempt in zip(labels, document["attempts"], strict=True)
        if attempt
    )
    assert labels != sorted(labels)


def test_press_only_leaves_release_times_out_and_all_else_as_it_was(folder: Path, tmp_path: Path) -> None:
    list(simulate.write(tmp_path, USERS, ATTEMPTS, PHRASE, seed=7, press_only=True))
    full, bare = documents(folder)[0]["user_data"], documents(tmp_path)[0]["user_data"]
    stripped = [[{k: v for k, v in one.items() if k != "released_at"} for one in attempt] for attempt in full]
    assert bare == stripped
    assert bare != full


def test_times_are_iso_8601_to_the_microsecond(folder: Path) -> None:
    keystroke = documents(folder)[0]["user_data"][0][0]
    assert datetime.fromisoformat(keystroke["typed_at"]).isoformat(timespec="microseconds") == keystroke["typed_at"]


@pytest.mark.parametrize("phrase", ["ab", "  ", "ééé", "日本語のタイピング", 'quote " and \\ slash', "😀😀"])
def test_any_phrase_can_be_typed(tmp_path: Path, phrase: str) -> None:
    list(simulate.write(tmp_path, 1, 30, phrase, seed=3))
    typed = documents(tmp_path)[0]["user_data"]
    exact = ["".join(one["character"] for one in attempt) == phrase for attempt in typed]
    assert sum(exact) > 5


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        ({"users": 0}, "users"),
        ({"attempts": 0}, "attempts"),
        ({"seed": -1}, "seed"),
        ({"phrase": "x"}, "phrase"),
        ({"phrase": "a\nb"}, "phrase"),
    ],
)
def test_arguments_out_of_range_are_refused_before_anything_is_written(
    tmp_path: Path, arguments: dict[str, Any], field: str
) -> None:
    out = tmp_path / "out"
    good: dict[str, Any] = {"users": 2, "attempts": 2, "phrase": PHRASE}
    with pytest.raises(InvalidArgument) as refused:
        simulate.write(out, **(good | arguments))
    assert refused.value.field == field
    assert not out.exists()


def test_a_slip_never_types_the_key_that_was_meant() -> None:
    everything = [chr(code) for code in range(32, 127)] + ["é", "語", "😀"]
    for character in everything:
        for right in (False, True):
            assert keyboard.neighbour(character, right) != character


def test_a_change_of_hands_is_seen() -> None:
    table = keyboard.effects("fjf")
    other_hand = keyboard.EFFECTS.index("other_hand")
    assert table[:, other_hand].tolist() == [0, 1, 1]


def test_documents_in_memory_are_those_of_the_files_without_their_chain(folder: Path) -> None:
    made = dict(simulate.documents(USERS, ATTEMPTS, PHRASE, seed=7))
    written = {one["user_label"]: one for one in documents(folder)}
    assert list(made) == list(written)
    for label, text in made.items():
        document = json.loads(text)
        assert document["next"] is None
        assert document["user_data"] == written[label]["user_data"]
