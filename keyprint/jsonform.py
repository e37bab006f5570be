"""Messages as the JSON that every surface shows: the protos' own field names, enum values without their prefix."""

from __future__ import annotations

from typing import Any

from google.protobuf.descriptor import EnumDescriptor, FieldDescriptor
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message


def to_dict(message: Message) -> dict[str, Any]:
    """`message` as JSON values; fields that may be absent are left out where they are."""
    found: dict[str, Any] = MessageToDict(
        message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
    )
    return _strip(found, message.DESCRIPTOR)


def enum_prefix(enum: EnumDescriptor) -> str:
    """What the names of an enum's values begin with: "STATE_" where the zero is STATE_UNSPECIFIED."""
    return enum.values_by_number[0].name.removesuffix("UNSPECIFIED")


def _strip(found: dict[str, Any], descriptor: Any) -> dict[str, Any]:
    for field in descriptor.fields:
        value = found.get(field.name)
        if value is None or not (field.enum_type or field.message_type):
            continue
        found[field.name] = [_value(one, field) for one in value] if isinstance(value, list) else _value(value, field)
    return found


def _value(value: Any, field: FieldDescriptor) -> Any:
    if field.enum_type:
        return str(value).removeprefix(enum_prefix(field.enum_type))
    # Timestamps and the like are plain values in JSON.
    return _strip(value, field.message_type) if isinstance(value, dict) else value
