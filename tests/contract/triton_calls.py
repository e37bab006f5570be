"""What tritonclient is asked to do, in a process of its own: its copy of the protocol and ours cannot be in one.

Run as a script it reads pickled calls, (function, positional, named), from standard input and writes what they give to
standard output, until there are no more.
"""

from __future__ import annotations

import pickle
import sys
from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any

import grpc
import numpy as np
import numpy.typing as npt
from google.protobuf.descriptor import Descriptor
from tritonclient import grpc as triton
from tritonclient.grpc import service_pb2, service_pb2_grpc
from tritonclient.utils import InferenceServerException

from keyprint.errors import from_rpc_error

Array = npt.NDArray[np.generic]


def infer(
    address: str,
    model: str,
    inputs: Mapping[str, Array],
    version: str = "",
    outputs: Sequence[str] = (),
    request_id: str = "",
) -> SimpleNamespace:
    """Sends the inputs, each in the type that its array has, and reads every output."""
    with triton.InferenceServerClient(address) as client:
        sent = []
        for name, array in inputs.items():
            kind = "BYTES" if array.dtype.kind == "O" else f"INT{8 * array.itemsize}"
            sent.append(triton.InferInput(name, list(array.shape), kind))
            sent[-1].set_data_from_numpy(array)
        wanted = [triton.InferRequestedOutput(name) for name in outputs] or None
        try:
            result = client.infer(model, sent, version, wanted, request_id)
        except InferenceServerException as error:
            return SimpleNamespace(status=error.status(), message=error.message())
    answer = result.get_response()
    names = tuple(output.name for output in answer.outputs)
    columns = {name: result.as_numpy(name) for name in names}
    return SimpleNamespace(
        model=answer.model_name,
        version=answer.model_version,
        id=answer.id,
        names=names,
        columns=columns,
        raw=bool(answer.raw_output_contents),
    )


def ask(address: str, call: str, *given: Any, **named: Any) -> Any:
    """Any other call of the client; messages come back as dicts."""
    with triton.InferenceServerClient(address) as client:
        try:
            return getattr(client, call)(*given, **named)
        except InferenceServerException as error:
            return SimpleNamespace(status=error.status(), message=error.message())


def send(address: str, call: str, **fields: Any) -> SimpleNamespace:
    """A message of tritonclient's own, as it is, where the client's wrapping would not let it through."""
    request = getattr(service_pb2, f"{call}Request")(**fields)
    with grpc.insecure_channel(address) as channel:
        stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
        try:
            answer = getattr(stub, call)(request)
        except grpc.RpcError as error:
            told = from_rpc_error(error)
            return SimpleNamespace(status=str(error.code()), message=told.message, reason=told.reason, field=told.field)
    return SimpleNamespace(
        raw=list(answer.raw_output_contents),
        outputs={
            output.name: [list(values) for _, values in output.contents.ListFields()] for output in answer.outputs
        },
    )


def numbers() -> dict[str, dict[str, tuple[int, int, int]]]:
    """Of every message that tritonclient has: field → (number, type, whether there are many)."""
    found: dict[str, dict[str, tuple[int, int, int]]] = {}

    def note(message: Descriptor) -> None:
        found[message.full_name] = {
            field.name: (field.number, field.type, field.is_repeated) for field in message.fields
        }
        for nested in message.nested_types:
            note(nested)

    for message in service_pb2.DESCRIPTOR.message_types_by_name.values():
        note(message)
    return found


def main() -> None:
    """Answers calls until there are no more."""
    functions = {function.__name__: function for function in (infer, ask, send, numbers)}
    while True:
        try:
            function, given, named = pickle.load(sys.stdin.buffer)  # noqa: S301 - the test that started this wrote it
        except EOFError:
            return
        pickle.dump(functions[function](*given, **named), sys.stdout.buffer)
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
