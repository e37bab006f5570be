"""Tensors to attempts and answers to tensors, in both forms."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference import open_inference_grpc_pb2 as protocol
from keyprint import attempts
from keyprint.attempts import UNKNOWN_TIME
from keyprint.errors import InvalidArgument
from services.inference import tensors
from services.inference.decide import Decided

TYPES = {"character": "BYTES", "pressed_at": "INT64", "released_at": "INT64"}

KEYS = [b"a", b"[backspace]", "é".encode(), b"c", b"", b""]
PRESSED = [10, 20, 30, 40, -1, -1]
RELEASED = [15, -1, 35, 45, -1, -1]


def typed(shape: list[int], **columns: list[Any]) -> protocol.ModelInferRequest:
    """A request with these columns as typed contents."""
    request = protocol.ModelInferRequest()
    for name, column in columns.items():
        tensor = request.inputs.add(name=name, datatype=TYPES[name], shape=shape)
        if TYPES[name] == "BYTES":
            tensor.contents.bytes_contents.extend(column)
        else:
            tensor.contents.int64_contents.extend(column)
    return request


def raw(shape: list[int], **columns: bytes) -> protocol.ModelInferRequest:
    """A request with these columns as raw contents."""
    return protocol.ModelInferRequest(
        inputs=[
            protocol.ModelInferRequest.InferInputTensor(name=name, datatype=TYPES[name], shape=shape)
            for name in columns
        ],
        raw_input_contents=columns.values(),
    )


def packed(keys: list[bytes]) -> bytes:
    return b"".join(struct.pack("<I", len(key)) + key for key in keys)


REQUESTS = {
    "typed": typed([2, 3], character=KEYS, pressed_at=PRESSED, released_at=RELEASED),
    "raw": raw(
        [2, 3],
        character=packed(KEYS),
        pressed_at=struct.pack("<6q", *PRESSED),
        released_at=struct.pack("<6q", *RELEASED),
    ),
}


@pytest.mark.parametrize("form", REQUESTS)
def test_rows_lose_their_padding(form: str) -> None:
    found = tensors.read(REQUESTS[form])
    assert found.offsets.tolist() == [0, 3, 4]
    assert found.character.tolist() == attempts.encode(["a", "[backspace]", "é", "c"]).tolist()
    assert found.pressed_at.tolist() == PRESSED[:4]
    assert found.released_at.tolist() == RELEASED[:4]
    assert not found.malformed.any()


def test_without_release_times_none_is_known() -> None:
    found = tensors.read(typed([2, 3], character=KEYS, pressed_at=PRESSED))
    assert found.released_at.tolist() == [UNKNOWN_TIME] * 4


@pytest.mark.parametrize("form", REQUESTS)
def test_the_order_of_inputs_is_the_callers(form: str) -> None:
    request = protocol.ModelInferRequest()
    request.CopyFrom(REQUESTS[form])
    request.inputs.reverse()
    request.raw_input_contents.reverse()
    assert tensors.read(request).released_at.tolist() == RELEASED[:4]


@pytest.mark.parametrize(
    ("keys", "pressed"),
    [([b"a", b"", b"b"], [1, -1, 2]), ([b"a", b"\xff", b""], [1, 2, -1]), ([b"a", b"b", b""], [1, -1, -1])],
    ids=["a gap", "no UTF-8", "no press time"],
)
def test_a_row_that_cannot_be_read_is_malformed_and_its_neighbours_are_not(
    keys: list[bytes], pressed: list[int]
) -> None:
    found = tensors.read(typed([2, 3], character=[*keys, b"x", b"y", b"z"], pressed_at=[*pressed, 7, 8, 9]))
    assert found.malformed.tolist() == [True, False]
    assert found.offsets.tolist() == [0, 0, 3]
    assert found.pressed_at.tolist() == [7, 8, 9]


@pytest.mark.parametrize("shape", [[0, 0], [0, 37], [0, 2**62], [5, 0]])
def test_nothing_is_as_many_empty_attempts_as_the_shape_says(shape: list[int]) -> None:
    for request in (
        typed(shape, character=[], pressed_at=[], released_at=[]),
        raw(shape, character=b"", pressed_at=b"", released_at=b""),
    ):
        found = tensors.read(request)
        assert len(found) == shape[0]
        assert len(found.character) == 0


@given(
    shape=st.lists(st.integers(-(2**63), 2**63 - 1) | st.integers(0, 3), max_size=3),
    character=st.binary(max_size=40) | st.lists(st.binary(max_size=3), max_size=6).map(packed),
    pressed_at=st.integers(0, 7).map(lambda count: bytes(8 * count)) | st.binary(max_size=40),
)
def test_any_raw_contents_are_read_or_refused(shape: list[int], character: bytes, pressed_at: bytes) -> None:
    try:
        found = tensors.read(raw(shape, character=character, pressed_at=pressed_at))
    except InvalidArgument as error:
        assert error.reason in {"SHAPE_INVALID", "BATCH_INVALID", "CONTENTS_INVALID", "TIME_OUT_OF_RANGE"}  # noqa: PT017 - not always raised
        assert error.field in TYPES  # noqa: PT017
    else:
        assert len(found) == shape[0]


DECIDED = Decided(
    user=np.array(["ann", ""]),
    probability=np.array([0.75, 0.0]),
    decision=np.array(["IDENTIFIED", "INVALID"]),
    reason=np.array(["", "EMPTY"]),
    second=np.array(["bob", ""]),
    order=np.array([[0, 1]]),
)


def test_answers_are_written_typed() -> None:
    answer = tensors.write(DECIDED, tensors.asked(protocol.ModelInferRequest()), raw=False)
    assert [(one.name, one.datatype, list(one.shape)) for one in answer.outputs] == [
        ("user", "BYTES", [2]),
        ("probability", "FP64", [2]),
        ("decision", "BYTES", [2]),
        ("reason", "BYTES", [2]),
    ]
    assert list(answer.outputs[0].contents.bytes_contents) == [b"ann", b""]
    assert list(answer.outputs[1].contents.fp64_contents) == [0.75, 0.0]
    assert not answer.raw_output_contents


def test_answers_are_written_raw() -> None:
    output = protocol.ModelInferRequest.InferRequestedOutputTensor
    request = protocol.ModelInferRequest(outputs=[output(name="probability"), output(name="reason")])
    answer = tensors.write(DECIDED, tensors.asked(request), raw=True)
    assert list(answer.raw_output_contents) == [struct.pack("<2d", 0.75, 0.0), packed([b"", b"EMPTY"])]
    assert not any(one.HasField("contents") for one in answer.outputs)


def test_of_too_many_raw_texts_no_more_are_read_than_shows_it() -> None:
    many = packed([b"a"] * 3) + b"no text at all"
    with pytest.raises(InvalidArgument, match=r"29 raw bytes, which hold more; its shape .* asks for 2 elements"):
        tensors.read(raw([1, 2], character=many, pressed_at=struct.pack("<2q", 1, 2)))


def test_a_time_of_no_year_is_refused_by_its_tensor() -> None:
    with pytest.raises(InvalidArgument) as caught:
        tensors.read(typed([1, 2], character=[b"a", b"b"], pressed_at=[0, 2**62]))
    assert (caught.value.reason, caught.value.field) == ("TIME_OUT_OF_RANGE", "pressed_at")
    # What stands behind the end of an attempt is nobody's time.
    assert tensors.read(typed([1, 2], character=[b"a", b""], pressed_at=[0, -(2**63)])).pressed_at.tolist() == [0]


def test_a_parameter_of_the_request_is_refused_by_name() -> None:
    request = typed([1, 1], character=[b"a"], pressed_at=[1])
    request.parameters["far"].string_param = "0.0001"
    with pytest.raises(InvalidArgument, match="has the parameter 'far', which is not offered") as refused:
        tensors.read(request)
    assert (refused.value.reason, refused.value.field) == ("PARAMETER_UNSUPPORTED", "parameters")


@pytest.mark.parametrize("cut", [1, 3, 5], ids=["a key", "a length", "an element"])
def test_raw_texts_that_break_off_are_refused(cut: int) -> None:
    whole = packed([b"a", b"b"])
    times = struct.pack("<2q", 1, 2)
    assert len(tensors.read(raw([1, 2], character=whole, pressed_at=times)).character) == 2
    with pytest.raises(InvalidArgument) as caught:
        tensors.read(raw([1, 2], character=whole[:-cut], pressed_at=times))
    assert (caught.value.reason, caught.value.field) == ("CONTENTS_INVALID", "character")
