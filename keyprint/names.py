"""Names of models and aliases, and references to models."""

from __future__ import annotations

import re
from dataclasses import dataclass

from keyprint.errors import InvalidArgument

NAME = re.compile(r"[a-z0-9]([a-z0-9._-]{0,61}[a-z0-9])?")
_LONGEST_VERSION = 9
"""Digits: what databases and messages hold has more."""
_RULE = "1 to 63 of a-z, 0-9, '.', '_' and '-', beginning and ending with a letter or digit"


@dataclass(frozen=True)
class Reference:
    """Which model is meant: a version, an alias, or, with neither, the newest version of the name."""

    name: str
    version: int | None = None
    alias: str | None = None


def check_model_name(name: str, field: str = "model") -> str:
    """Returns `name`.

    Raises:
        InvalidArgument: it is no name for a model.
    """
    if not NAME.fullmatch(name):
        raise InvalidArgument("MODEL_NAME_INVALID", f"{name!r} is no model name; one has {_RULE}.", field)
    return name


def check_alias(alias: str, field: str = "alias") -> str:
    """Returns `alias`.

    Raises:
        InvalidArgument: it is no alias; one that is all digits would pass for a version.
    """
    if not NAME.fullmatch(alias) or alias.isdigit():
        raise InvalidArgument("ALIAS_INVALID", f"{alias!r} is no alias; one has {_RULE}, and not only digits.", field)
    return alias


def parse_reference(text: str, field: str = "model") -> Reference:
    """Reads "name", "name@version" or "name@alias".

    Raises:
        InvalidArgument: it is none of these.
    """
    name, at, rest = text.partition("@")
    check_model_name(name, field)
    if not at:
        return Reference(name)
    if rest.isdecimal() and rest.isascii():
        return Reference(name, version=_version(rest, field))
    return Reference(name, alias=check_alias(rest, field))


def _version(digits: str, field: str) -> int:
    if digits.startswith("0") or len(digits) > _LONGEST_VERSION:
        shown = digits if len(digits) <= _LONGEST_VERSION else f"{digits[:_LONGEST_VERSION]}…"
        raise InvalidArgument(
            "MODEL_VERSION_INVALID",
            f"{shown!r} is no version; one is a whole number from 1, without a zero before it, of at most "
            f"{_LONGEST_VERSION} digits.",
            field,
        )
    return int(digits)
