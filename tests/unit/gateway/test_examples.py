"""Every call of the OpenAPI document has examples that fit its schemas."""

from __future__ import annotations

from typing import Any

import jsonschema_rs
import pytest

from gateway import examples
from gateway.app import create_app
from keyprint.problems import MEDIA_TYPE
from keyprint.settings import GatewaySettings

DOCUMENT = create_app(GatewaySettings()).openapi()
CALLS: dict[str, Any] = {
    call["operationId"]: call
    for path, methods in DOCUMENT["paths"].items()
    if path.startswith("/v1/")
    for call in methods.values()
}
NEVER_REFUSED = {"list_learners", "list_alias_moves"}
"""Ask for nothing that may be missing or wrong, or find nothing wrong with it."""


def fits(example: Any, schema: Any) -> None:
    jsonschema_rs.validate({**schema, "components": DOCUMENT["components"]}, example)


def test_what_was_recorded_is_of_calls_that_there_are() -> None:
    assert set(examples.recorded()) == set(CALLS)


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_a_call_has_an_example_of_its_answer_and_of_its_refusals(call: Any) -> None:
    refused = 0
    for response in call["responses"].values():
        for kind, content in response.get("content", {}).items():
            if kind == "application/json":
                fits(content["example"], content["schema"])
            for example in content.get("examples", {}).values():
                assert kind == MEDIA_TYPE
                fits(example["value"], content["schema"])
                refused += 1
    assert refused or call["operationId"] in NEVER_REFUSED
