"""Names of models and aliases, and references to models."""

from __future__ import annotations

import re
from dataclasses import dataclass

from keyprint.errors import InvalidArgument

NAME = re.compile(r"[a-z0-9]([a-z0-9._-]{0,61}[a-z0-9])?")
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
    if rest.isdecimal() and rest.isascii() and int(rest) > 0:
        return Reference(name, version=int(rest))
    return Reference(name, alias=check_alias(rest, field))
