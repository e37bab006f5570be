"""JSON that strangers write, read as the dataclasses that it stands for.

A field says what it may be by its annotation: `Share` and not `float`, `Many[Share]` and not `tuple[Share, ...]`.
"""

from __future__ import annotations

from functools import cache
from typing import Annotated, Any, TypeVar

from pydantic import FailFast, Field, TypeAdapter, ValidationError

Read = TypeVar("Read")

Text = Annotated[str, Field(max_length=1024, pattern=r"^[^\x00]*$")]
"""No NUL, which PostgreSQL does not keep."""
Number = Annotated[float, Field(allow_inf_nan=False)]
"""Neither JSON nor a database has one that is not finite, though Python writes it."""
Positive = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, le=1)]
Score = Annotated[float, Field(ge=0, le=1 + 2**-23)]
"""A probability, or the next float32 above 1, which none reaches."""
Count = Annotated[int, Field(ge=0, lt=2**31)]

Item = TypeVar("Item")
Many = Annotated[tuple[Item, ...], FailFast()]
"""However many: of a million wrong ones the first is told, and no memory taken for the others."""


def load(text: bytes, kind: type[Read]) -> Read:
    """What the text of a JSON object says, other keys ignored.

    Raises:
        ValueError: it is no JSON, or a value is missing or not what its field may hold; says which.
    """
    try:
        found: Read = _adapter(kind).validate_json(text, strict=True)  # type: ignore[arg-type]  # a class is hashable
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise ValueError(f"{where}: {first['msg']}" if where else first["msg"]) from None
    return found


def plain(value: Any, kind: Any) -> Any:
    """A value of a `kind` as what JSON has: dicts, lists, numbers and texts."""
    return _adapter(kind).dump_python(value, mode="json")


def convert(content: Any, kind: type[Read]) -> Read:
    """Rebuilds what `plain`, or `dataclasses.asdict`, made of a `kind`.

    Raises:
        ValueError: it is no such thing.
    """
    found: Read = _adapter(kind).validate_python(content)  # type: ignore[arg-type]  # as above
    return found


@cache
def _adapter(kind: type[Any]) -> TypeAdapter[Any]:
    return TypeAdapter(kind)
