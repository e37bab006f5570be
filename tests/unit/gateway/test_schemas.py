"""What OpenAPI says about messages is what their JSON is."""

from __future__ import annotations

import pytest
from google.protobuf.message import Message

from gateway.schemas import schemas
from keyprint.jsonform import to_dict
from keyprint.v1 import ingest_pb2, training_pb2


def test_maps_enums_lists_and_times_are_described() -> None:
    dataset = schemas(ingest_pb2.Dataset)["Dataset"]["properties"]
    assert dataset["state"]["enum"][:2] == ["UNSPECIFIED", "IMPORTING"]
    assert dataset["invalid"] == {
        "type": "object",
        "additionalProperties": {"type": "integer", "minimum": 0, "maximum": 2**32 - 1},
    }
    users = schemas(ingest_pb2.ListUsersResponse)["ListUsersResponse"]["properties"]["users"]
    assert users["items"] == {"$ref": "#/components/schemas/UserStatistics"}
    assert dataset["created_at"] == {"type": "string", "format": "date-time"}


@pytest.mark.parametrize(
    "message", [ingest_pb2.Dataset, ingest_pb2.Record, training_pb2.TrainingJob, training_pb2.Model]
)
def test_what_is_always_there_is_required_and_nothing_else(message: type[Message]) -> None:
    schema = schemas(message)[message.DESCRIPTOR.name]
    assert set(schema["required"]) == set(to_dict(message()))


def test_what_a_message_holds_is_described_too() -> None:
    assert set(schemas(training_pb2.Comparison)) == {
        "Comparison",
        "ComparisonRow",
        "Evaluation",
        "UserEvaluation",
        "Confusion",
        "ReliabilityBin",
        "DetPoint",
        "OpenSet",
        "Error",
    }
