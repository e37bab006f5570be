"""Which names are names."""

from __future__ import annotations

import pytest

from keyprint import names
from keyprint.errors import InvalidArgument
from keyprint.names import Reference


@pytest.mark.parametrize("name", ["a", "7", "my-model", "a.b_c-d", "a" * 63])
def test_a_good_name_passes(name: str) -> None:
    assert names.check_model_name(name) == name


@pytest.mark.parametrize("name", ["", "A", "../x", "a/b", "-a", "a-", "a" * 64, "a b", "é", "a\n"])
def test_an_empty_name_or_a_path_is_refused_with_the_rule(name: str) -> None:
    with pytest.raises(InvalidArgument, match="is no model name; one has 1 to 63") as caught:
        names.check_model_name(name)
    assert (caught.value.reason, caught.value.field) == ("MODEL_NAME_INVALID", "model")


@pytest.mark.parametrize(
    ("text", "reference"),
    [
        ("m", Reference("m")),
        ("m@3", Reference("m", version=3)),
        ("m@999999999", Reference("m", version=999_999_999)),
        ("m@champion", Reference("m", alias="champion")),
    ],
)
def test_a_reference_is_a_name_a_version_or_an_alias(text: str, reference: Reference) -> None:
    assert names.parse_reference(text) == reference


@pytest.mark.parametrize("text", ["@3", "m@", "m@0", "m@²", "m@a@b", "m@../x"])
def test_anything_else_is_no_reference(text: str) -> None:
    with pytest.raises(InvalidArgument):
        names.parse_reference(text)


@pytest.mark.parametrize("version", ["0", "01", "007", "9" * 10, "9" * 20, "9" * 5000])
def test_a_version_has_one_spelling_and_no_more_digits_than_there_are_versions(version: str) -> None:
    with pytest.raises(InvalidArgument, match="is no version; one is a whole number from 1") as caught:
        names.parse_reference(f"m@{version}")
    assert (caught.value.reason, caught.value.field) == ("MODEL_VERSION_INVALID", "model")
    assert len(caught.value.message) < 150


def test_an_alias_of_digits_would_pass_for_a_version() -> None:
    with pytest.raises(InvalidArgument, match="not only digits"):
        names.check_alias("12")
