"""Made-up typing data: documents in the source format, as a chain of files and a test document too.

Everything random about one typist comes from (seed, number), so that more typists leave the earlier ones as they are.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np

from keyprint import checks
from keyprint.errors import InvalidArgument
from keyprint.typists import Times, Typed, crowd, typist

TEST_SHARE = 5
"""With a test document, each typist types one more attempt for every so many."""


def write(
    out: Path, users: int, attempts: int, phrase: str, seed: int = 0, press_only: bool = False, test: bool = False
) -> Iterator[Path]:
    """Writes a chain of labelled documents, user_typist00.json and so on, and yields the path of each once it is there.

    Args:
        out: directory; made if missing, documents of the same names are replaced.
        users: typists, 1 to 100,000.
        attempts: attempts of each in the chain, 1 to 100,000.
        phrase: 2 to 256 characters.
        seed: the same one gives the same bytes.
        press_only: leave release times out.
        test: also write test.json, unlabelled, with later attempts of the same typists in no order, and
            test_labels.csv with who typed each.  The chain is the same with and without.

    Raises:
        InvalidArgument: an argument is out of its range.
    """
    _check_all(users, attempts, seed)
    return _write(out, users, attempts, checks.phrase(phrase), seed, press_only, test)


def _check_all(users: int, attempts: int, seed: int) -> None:
    _check("users", users, 1, 100_000)
    _check("attempts", attempts, 1, 100_000)
    _check("seed", seed, 0, 2**63 - 1)


def _check(field: str, value: int, least: int, most: int) -> None:
    if not least <= value <= most:
        raise InvalidArgument(
            f"{field.upper()}_OUT_OF_RANGE", f"{field} is {value}; it must be {least:,} to {most:,}.", field
        )


def documents(users: int, attempts: int, phrase: str, seed: int = 0) -> Iterator[tuple[str, str]]:
    """The label of each typist, and the document that `write` writes of them, chained to no other.

    Raises:
        InvalidArgument: an argument is out of its range, as for `write`.
    """
    _check_all(users, attempts, seed)
    phrase = checks.phrase(phrase)
    return (
        (label, _document(label, None, written[:attempts]))
        for label, written in _typists(users, attempts, phrase, seed, press_only=False)
    )


def _write(
    out: Path, users: int, attempts: int, phrase: str, seed: int, press_only: bool, test: bool
) -> Iterator[Path]:
    out.mkdir(parents=True, exist_ok=True)
    labels = _labels(users)
    tests: list[tuple[str, str]] = []
    for following, (label, written) in zip(
        [*labels[1:], None], _typists(users, attempts, phrase, seed, press_only), strict=True
    ):
        path = out / f"user_{label}.json"
        path.write_text(_document(label, following, written[:attempts]))
        if test:
            tests += [(label, attempt) for attempt in written[attempts:]]
        yield path
    if test:
        order = np.random.default_rng([seed, users, _later(attempts)]).permutation(len(tests)).tolist()
        body = ",\n".join(tests[i][1] for i in order)
        (out / "test.json").write_text(f'{{"attempts": [\n{body}\n]}}\n')
        rows = "".join(f"{row},{tests[i][0]}\n" for row, i in enumerate(order))
        (out / "test_labels.csv").write_text("attempt,user\n" + rows)


def _typists(users: int, attempts: int, phrase: str, seed: int, press_only: bool) -> Iterator[tuple[str, list[str]]]:
    """Each typist's label and attempts as JSON texts, later ones for a test after those asked for."""
    common = crowd(phrase, seed)
    for number, label in enumerate(_labels(users)):
        typed = typist(common, np.random.default_rng([seed, number]), attempts + _later(attempts))
        yield label, _to_json(typed, press_only)


def _labels(users: int) -> list[str]:
    return [f"typist{number:0{max(2, len(str(users - 1)))}d}" for number in range(users)]


def _later(attempts: int) -> int:
    return -(-attempts // TEST_SHARE)


def _document(label: str, following: str | None, written: list[str]) -> str:
    following_name = f'"user_{following}.json"' if following else "null"
    body = ",\n".join(written)
    return f'{{"user_label": "{label}", "user_data": [\n{body}\n], "next": {following_name}}}\n'


def _to_json(typed: Typed, press_only: bool) -> list[str]:
    """Each attempt as its JSON text."""
    name = {character: json.dumps(character) for character in set(typed.character)}
    pressed = _iso(typed.pressed_at)
    if press_only:
        events = [
            f'{{"typed_at": "{at}", "character": {name[character]}}}'
            for at, character in zip(pressed, typed.character, strict=True)
        ]
    else:
        events = [
            f'{{"typed_at": "{at}", "character": {name[character]}, "released_at": "{up}"}}'
            for at, character, up in zip(pressed, typed.character, _iso(typed.released_at), strict=True)
        ]
    return [f"[{', '.join(events[begin:end])}]" for begin, end in pairwise(typed.offsets.tolist())]


def _iso(times: Times) -> list[str]:
    text: list[str] = np.datetime_as_string(times.astype("datetime64[us]")).tolist()
    return text
