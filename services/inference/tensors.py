"""Tensors of the Open Inference Protocol: requests, read and checked, and answers, written."""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from inference import open_inference_grpc_pb2 as protocol
from keyprint import attempts
from keyprint.attempts import Keystrokes, Times
from keyprint.errors import InvalidArgument
from services.inference import padded
from services.inference.decide import Decided
from services.inference.padded import Padded
from services.inference.requests import MOST_ATTEMPTS

Input = protocol.ModelInferRequest.InferInputTensor
Output = protocol.ModelInferResponse.InferOutputTensor


@dataclass(frozen=True)
class Tensor:
    """What a model takes or gives under one name; -1 stands for a dimension of any size."""

    name: str
    datatype: str
    shape: tuple[int, ...]


CHARACTER = Tensor("character", "BYTES", (-1, -1))
PRESSED_AT = Tensor("pressed_at", "INT64", (-1, -1))
RELEASED_AT = Tensor("released_at", "INT64", (-1, -1))
INPUTS = {tensor.name: tensor for tensor in (CHARACTER, PRESSED_AT, RELEASED_AT)}
"""Of shape [attempts, keystrokes]; released_at may be left out."""

OUTPUTS = {
    tensor.name: tensor
    for tensor in (
        Tensor("user", "BYTES", (-1,)),
        Tensor("probability", "FP64", (-1,)),
        Tensor("decision", "BYTES", (-1,)),
        Tensor("reason", "BYTES", (-1,)),
    )
}
"""One entry per attempt, as `Decided` has them."""

_TYPED = {"BYTES": "bytes_contents", "INT64": "int64_contents", "FP64": "fp64_contents"}

_LENGTH = struct.Struct("<I")
"""What an element of BYTES has before it in raw contents."""

_NOT_OFFERED = ("shared_memory_region", "classification")
"""Parameters of tensors that would change where an answer goes or what it is."""

_LONGEST_SHOWN = 60


def read(request: protocol.ModelInferRequest) -> Keystrokes:
    """The attempts of a request.

    Raises:
        InvalidArgument: a tensor is unknown, repeated or missing, of the wrong type, shape or length, or has a time of
            no year that there is.
    """
    for name in sorted(request.parameters):
        raise InvalidArgument(
            "PARAMETER_UNSUPPORTED",
            f"The request has the parameter {_shown(name)}, which is not offered; leave it out. A model decides at its "
            "default rate here; the InferenceService takes another (far).",
            "parameters",
        )
    raw = request.raw_input_contents
    if raw and len(raw) != len(request.inputs):
        raise InvalidArgument(
            "CONTENTS_INVALID",
            f"There are {len(request.inputs)} inputs and {len(raw)} raw contents; there must be one for each, or none.",
            "raw_input_contents",
        )
    inputs: dict[str, Input] = {}
    contents: dict[str, bytes | None] = {}
    for number, tensor in enumerate(request.inputs):
        _check_name(tensor.name, INPUTS, inputs, "inputs")
        _check_parameters(tensor)
        inputs[tensor.name] = tensor
        contents[tensor.name] = raw[number] if raw else None
    for wanted in (CHARACTER, PRESSED_AT):
        if wanted.name not in inputs:
            raise InvalidArgument(
                "TENSOR_MISSING", f"The input {wanted.name} must be there, as {_described(wanted)}.", wanted.name
            )
    shape = _shape(inputs[CHARACTER.name])
    for tensor in inputs.values():
        _check_type(tensor)
        if _shape(tensor) != shape:
            raise InvalidArgument(
                "SHAPE_INVALID",
                f"{tensor.name} has the shape {list(tensor.shape)}, and character has {list(shape)}; all inputs must "
                "have the same.",
                tensor.name,
            )
    character = _texts(inputs[CHARACTER.name], contents[CHARACTER.name])
    # Where nothing is in it, the longer side may be of any size that the message names; no array is.
    rows = (shape[0], len(character) // shape[0] if shape[0] else 0)
    pressed_at = _times(inputs[PRESSED_AT.name], contents[PRESSED_AT.name]).reshape(rows)
    released_at = np.full(rows, attempts.UNKNOWN_TIME, np.int64)
    if RELEASED_AT.name in inputs:
        released_at = _times(inputs[RELEASED_AT.name], contents[RELEASED_AT.name]).reshape(rows)
    found = padded.keystrokes(Padded(character, pressed_at, released_at))
    attempts.check_times(found.pressed_at, found.released_at)
    return found


def asked(request: protocol.ModelInferRequest) -> list[Tensor]:
    """The outputs that a request wants, in its order; all where it names none.

    Raises:
        InvalidArgument: one is unknown or repeated.
    """
    found: dict[str, Tensor] = {}
    for output in request.outputs:
        _check_name(output.name, OUTPUTS, found, "outputs")
        _check_parameters(output)
        found[output.name] = OUTPUTS[output.name]
    return list((found or OUTPUTS).values())


def write(decided: Decided, wanted: Sequence[Tensor], raw: bool) -> protocol.ModelInferResponse:
    """An answer that holds the tensors wanted, in raw or in typed form."""
    answer = protocol.ModelInferResponse()
    for tensor in wanted:
        column: npt.NDArray[np.str_] | npt.NDArray[np.float64] = getattr(decided, tensor.name)
        output = answer.outputs.add(name=tensor.name, datatype=tensor.datatype, shape=[len(column)])
        if tensor.datatype == "FP64":
            _write_numbers(answer, output, column, raw)
        else:
            _write_texts(answer, output, [text.encode() for text in column.tolist()], raw)
    return answer


def _write_numbers(
    answer: protocol.ModelInferResponse, output: Output, numbers: npt.NDArray[np.generic], raw: bool
) -> None:
    if raw:
        answer.raw_output_contents.append(numbers.astype("<f8").tobytes())
    else:
        output.contents.fp64_contents.extend(numbers.tolist())


def _write_texts(answer: protocol.ModelInferResponse, output: Output, texts: list[bytes], raw: bool) -> None:
    if raw:
        answer.raw_output_contents.append(b"".join(_LENGTH.pack(len(text)) + text for text in texts))
    else:
        output.contents.bytes_contents.extend(texts)


def _check_name(name: str, known: dict[str, Tensor], before: dict[str, Input] | dict[str, Tensor], field: str) -> None:
    if name not in known:
        raise InvalidArgument(
            "TENSOR_UNKNOWN", f"{_shown(name)} is none of the {field}; they are {', '.join(known)}.", field
        )
    if name in before:
        raise InvalidArgument("TENSOR_REPEATED", f"{name} is twice among the {field}; it may be there once.", name)


def _check_parameters(tensor: Input | protocol.ModelInferRequest.InferRequestedOutputTensor) -> None:
    for name in _NOT_OFFERED:
        if name in tensor.parameters:
            raise InvalidArgument(
                "PARAMETER_UNSUPPORTED",
                f"{tensor.name} has the parameter {name}, which is not offered; leave it out.",
                tensor.name,
            )


def _check_type(tensor: Input) -> None:
    wanted = INPUTS[tensor.name]
    if tensor.datatype != wanted.datatype:
        raise InvalidArgument(
            "DATATYPE_INVALID",
            f"{tensor.name} must be {_described(wanted)}, not {_shown(tensor.datatype)}.",
            tensor.name,
        )


def _shape(tensor: Input) -> tuple[int, int]:
    if len(tensor.shape) != 2 or min(tensor.shape) < 0:
        shown = f"{list(tensor.shape[:8])}".replace("]", ", …]" if len(tensor.shape) > 8 else "]")
        raise InvalidArgument(
            "SHAPE_INVALID", f"{tensor.name} must have the shape [attempts, keystrokes], not {shown}.", tensor.name
        )
    rows, width = tensor.shape
    if rows > MOST_ATTEMPTS:
        raise InvalidArgument(
            "BATCH_INVALID", f"A batch has at most {MOST_ATTEMPTS:,} attempts, not {rows:,}.", tensor.name
        )
    return rows, width


def _times(tensor: Input, raw: bytes | None) -> Times:
    if raw is None:
        _check_typed(tensor)
        return np.array(tensor.contents.int64_contents, np.int64)
    _check_untyped(tensor)
    wanted = math.prod(tensor.shape) * 8
    if len(raw) != wanted:
        raise InvalidArgument(
            "CONTENTS_INVALID",
            f"{tensor.name} has {len(raw):,} raw bytes; its shape {list(tensor.shape)} asks for {wanted:,}.",
            tensor.name,
        )
    return np.frombuffer(raw, "<i8").astype(np.int64)


def _texts(tensor: Input, raw: bytes | None) -> Sequence[bytes]:
    if raw is None:
        _check_typed(tensor)
        return list(tensor.contents.bytes_contents)
    _check_untyped(tensor)
    count = math.prod(tensor.shape)
    found: list[bytes] = []
    at = 0
    # No more of them than shows that there are too many: an empty one takes four bytes, and a message holds millions.
    while at + _LENGTH.size <= len(raw) and len(found) <= count:
        begin = at + _LENGTH.size
        at = begin + _LENGTH.unpack_from(raw, at)[0]
        found.append(raw[begin:at])
    if at != len(raw) or len(found) != count:
        held = "more" if len(found) > count else f"{len(found):,}" if at == len(raw) else "no whole number of them"
        raise InvalidArgument(
            "CONTENTS_INVALID",
            f"{tensor.name} has {len(raw):,} raw bytes, which hold {held}; its shape {list(tensor.shape)} asks for "
            f"{count:,} elements, each behind its length in four bytes.",
            tensor.name,
        )
    return found


def _check_typed(tensor: Input) -> None:
    field = _TYPED[INPUTS[tensor.name].datatype]
    for other, _ in tensor.contents.ListFields():
        if other.name != field:
            raise InvalidArgument(
                "CONTENTS_INVALID",
                f"{tensor.name} is {tensor.datatype}, whose contents belong into {field}, not {other.name}.",
                tensor.name,
            )
    count, wanted = len(getattr(tensor.contents, field)), math.prod(tensor.shape)
    if count != wanted:
        raise InvalidArgument(
            "CONTENTS_INVALID",
            f"{tensor.name} has {count:,} elements in {field}; its shape {list(tensor.shape)} asks for {wanted:,}.",
            tensor.name,
        )


def _check_untyped(tensor: Input) -> None:
    if tensor.HasField("contents"):
        raise InvalidArgument(
            "CONTENTS_INVALID",
            f"{tensor.name} has typed contents beside raw_input_contents; there must be one of the two.",
            tensor.name,
        )


def _described(tensor: Tensor) -> str:
    return f"{tensor.datatype}[{', '.join('n' if size < 0 else str(size) for size in tensor.shape)}]"


def _shown(text: str) -> str:
    return repr(text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}…")
