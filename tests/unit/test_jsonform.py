"""Messages as JSON are what protobuf makes of them, with enum values without their prefix."""

from __future__ import annotations

import math
from typing import Any

import pytest
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message

from keyprint.jsonform import to_dict
from keyprint.v1 import inference_pb2, ingest_pb2, training_pb2


def dataset() -> ingest_pb2.Dataset:
    found = ingest_pb2.Dataset(
        id="ds_1", attempts=7, labelled=True, invalid={"EMPTY": 2}, state=ingest_pb2.Dataset.STATE_READY
    )
    found.created_at.FromJsonString("2024-03-04T10:00:00.5Z")
    found.error.reason = "X"
    return found


def job() -> training_pb2.TrainingJob:
    found = training_pb2.TrainingJob(
        id="job_1", progress=0.25, curve=[training_pb2.CurvePoint(step=1, loss=0.5), training_pb2.CurvePoint(step=2)]
    )
    found.params.update({"trees": 300, "name": "x", "on": True})
    return found


MESSAGES = [
    dataset(),
    job(),
    inference_pb2.IdentifyResponse(
        candidates=[inference_pb2.Candidate(user="ann", probability=1 / 3)],
        decision=inference_pb2.DECISION_UNKNOWN,
        flags=[inference_pb2.FLAG_REPLAY_SUSPECTED],
        explanation=inference_pb2.Explanation(user="ann", keys=[inference_pb2.Explanation.Key(character="é")]),
    ),
    training_pb2.Evaluation(accuracy=math.nan, log_loss=math.inf, threshold=-math.inf),
    training_pb2.DownloadModelResponse.Header(size=2**60),
    training_pb2.ComparisonRow(p_value=0.0),
]


def without_prefixes(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: without_prefixes(one) for key, one in value.items()}
    if isinstance(value, list):
        return [without_prefixes(one) for one in value]
    for prefix in ("STATE_", "DECISION_", "FLAG_", "SPLIT_", "KIND_", "SELECTION_", "ROWS_"):
        value = value.removeprefix(prefix) if isinstance(value, str) else value
    return value


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: message.DESCRIPTOR.name)
def test_it_is_what_protobuf_makes_of_it(message: Message) -> None:
    theirs = MessageToDict(message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True)
    assert to_dict(message) == without_prefixes(theirs)


@pytest.mark.parametrize("file", [ingest_pb2, training_pb2, inference_pb2])
def test_every_message_has_a_form_or_is_no_json(file: Any) -> None:
    carries_bytes = {"UploadDatasetRequest", "DownloadModelResponse", "UploadModelRequest"}
    for name in set(file.DESCRIPTOR.message_types_by_name) - carries_bytes:
        message = getattr(file, name)()
        theirs = MessageToDict(message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True)
        assert to_dict(message) == without_prefixes(theirs)


def test_an_enum_value_of_a_newer_contract_is_its_number() -> None:
    assert to_dict(inference_pb2.IdentifyResponse(decision=77))["decision"] == "77"  # type: ignore[arg-type]
