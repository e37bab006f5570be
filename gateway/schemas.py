"""What protobuf messages look like as JSON (see keyprint.jsonform), for OpenAPI."""

from __future__ import annotations

from typing import Any, cast

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message

from keyprint.jsonform import enum_prefix

JsonObject = dict[str, Any]

# Messages that JSON has forms of its own for.
_WELL_KNOWN: dict[str, JsonObject] = {
    "google.protobuf.Timestamp": {"type": "string", "format": "date-time"},
    "google.protobuf.Struct": {"type": "object", "additionalProperties": True},
}

_SCALARS: dict[int, JsonObject] = {
    FieldDescriptor.CPPTYPE_BOOL: {"type": "boolean"},
    FieldDescriptor.CPPTYPE_DOUBLE: {"type": "number", "format": "double"},
    FieldDescriptor.CPPTYPE_STRING: {"type": "string"},
    FieldDescriptor.CPPTYPE_UINT32: {"type": "integer", "minimum": 0, "maximum": 2**32 - 1},
}


def schemas(*messages: type[Message]) -> dict[str, JsonObject]:
    """JSON schemas of these messages and of all that they hold, by message name."""
    found: dict[str, JsonObject] = {}
    for message in messages:
        _collect(cast(Descriptor, message.DESCRIPTOR), found)
    return found


def _collect(descriptor: Descriptor, found: dict[str, JsonObject]) -> None:
    if descriptor.name in found:
        return
    properties: JsonObject = {}
    found[descriptor.name] = {"type": "object", "title": descriptor.name, "properties": properties}
    always = []
    for field in descriptor.fields:
        properties[field.name] = _field_schema(field, found)
        if not field.has_presence:
            always.append(field.name)
    if always:
        found[descriptor.name]["required"] = always


def _field_schema(field: FieldDescriptor, found: dict[str, JsonObject]) -> JsonObject:
    message = field.message_type
    if message is not None and message.GetOptions().map_entry:
        value = _value_schema(message.fields_by_name["value"], found)
        return {"type": "object", "additionalProperties": value}
    schema = _value_schema(field, found)
    return {"type": "array", "items": schema} if field.is_repeated else schema


def _value_schema(field: FieldDescriptor, found: dict[str, JsonObject]) -> JsonObject:
    if field.enum_type is not None:
        prefix = enum_prefix(field.enum_type)
        return {"type": "string", "enum": [value.name.removeprefix(prefix) for value in field.enum_type.values]}
    message = field.message_type
    if message is None:
        return _SCALARS[field.cpp_type]
    if message.full_name in _WELL_KNOWN:
        return _WELL_KNOWN[message.full_name]
    _collect(message, found)
    return {"$ref": f"#/components/schemas/{message.name}"}
