"""Messages as the JSON that every surface shows: the protos' own field names, enum values without their prefix."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache
from typing import Any, cast

from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message

Convert = Callable[[Any], Any]
Write = Callable[[Message, dict[str, Any]], None]

_AS_TEXT = (FieldDescriptor.CPPTYPE_INT64, FieldDescriptor.CPPTYPE_UINT64)
"""JSON's numbers do not hold these."""

_AS_THEY_ARE = (
    FieldDescriptor.CPPTYPE_BOOL,
    FieldDescriptor.CPPTYPE_INT32,
    FieldDescriptor.CPPTYPE_STRING,
    FieldDescriptor.CPPTYPE_UINT32,
)


def to_dict(message: Message) -> dict[str, Any]:
    """`message` as JSON values, as protobuf defines them; fields that may be absent are left out where they are.

    Protobuf's own MessageToDict takes four times as long, and an answer to one attempt has little else to do.
    """
    found: dict[str, Any] = {}
    for write in _writes(cast(Descriptor, message.DESCRIPTOR)):
        write(message, found)
    return found


def enum_prefix(enum: EnumDescriptor) -> str:
    """What the names of an enum's values begin with: "STATE_" where the zero is STATE_UNSPECIFIED."""
    return enum.values_by_number[0].name.removesuffix("UNSPECIFIED")


@cache
def _writes(descriptor: Descriptor) -> tuple[Write, ...]:
    """What puts each field of such a message into a dict."""
    return tuple(_write(field) for field in descriptor.fields)


def _write(field: FieldDescriptor) -> Write:
    name, kind = field.name, field.message_type
    if kind is not None and kind.GetOptions().map_entry:
        value = _convert(kind.fields_by_name["value"])
        return lambda message, found: found.update(
            {name: {key: value(one) for key, one in getattr(message, name).items()}}
        )
    convert = _convert(field)
    if field.is_repeated:
        return lambda message, found: found.update({name: [convert(one) for one in getattr(message, name)]})
    if field.has_presence:

        def write(message: Message, found: dict[str, Any]) -> None:
            if message.HasField(name):
                found[name] = convert(getattr(message, name))

        return write
    return lambda message, found: found.update({name: convert(getattr(message, name))})


def _convert(field: FieldDescriptor) -> Convert:
    """What makes JSON of one value of a field.

    Raises:
        TypeError: none of our messages has such a field.
    """
    if field.enum_type is not None:
        prefix = enum_prefix(field.enum_type)
        names = {value.number: value.name.removeprefix(prefix) for value in field.enum_type.values}
        return lambda number: names.get(number, str(number))
    if field.message_type is not None:
        # Timestamps and the like are plain values in JSON.
        return MessageToDict if field.message_type.full_name.startswith("google.protobuf.") else to_dict
    if field.cpp_type == FieldDescriptor.CPPTYPE_DOUBLE:
        return _number
    if field.cpp_type in _AS_TEXT:
        return str
    if field.cpp_type in _AS_THEY_ARE:
        return _same
    raise TypeError(f"{field.full_name} has no form in JSON here.")


def _number(value: float) -> float | str:
    if math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def _same(value: Any) -> Any:
    return value
