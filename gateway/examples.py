"""What calls answer, for the OpenAPI document: recorded by scripts/examples.py."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

from keyprint.problems import MEDIA_TYPE, Problem

JsonObject = dict[str, Any]

_PATH = Path(__file__).with_suffix(".json")


@cache
def recorded() -> dict[str, JsonObject]:
    """By operation id: an `answer` where it has one as JSON, and `problems`."""
    found: dict[str, JsonObject] = json.loads(_PATH.read_text())
    return found


def add(document: JsonObject) -> None:
    """Gives each call of an OpenAPI document its examples."""
    calls = [call for methods in document["paths"].values() for call in methods.values()]
    for call in calls:
        said = recorded().get(call["operationId"])
        if said:
            _add(call["responses"], said)


def _add(responses: JsonObject, said: JsonObject) -> None:
    if "answer" in said:
        (answer,) = (one for status, one in responses.items() if status in ("200", "202"))
        answer["content"]["application/json"]["example"] = said["answer"]
    for problem in said["problems"]:
        told = responses.setdefault(str(problem["status"]), _refused(problem["title"]))
        told["content"][MEDIA_TYPE]["examples"][problem["reason"]] = {"summary": problem["detail"], "value": problem}


def _refused(title: str) -> JsonObject:
    schema = {"$ref": f"#/components/schemas/{Problem.__name__}"}
    return {"description": title, "content": {MEDIA_TYPE: {"schema": schema, "examples": {}}}}
