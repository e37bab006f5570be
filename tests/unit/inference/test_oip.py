"""The Open Inference Protocol over a model that needs no release times, with training there or away."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest

from inference import open_inference_grpc_pb2 as protocol
from inference import open_inference_grpc_pb2_grpc as protocol_grpc
from keyprint import errors, rpc
from keyprint.channel import channel as open_channel
from services.inference.models import Models
from services.inference.oip import PROBES, OpenInferenceServicer
from tests.unit.inference.conftest import LABELS, PHRASE, TEMPO_MS, House, write_package

Stub = protocol_grpc.GRPCInferenceServiceStub


@pytest.fixture
def server() -> Iterator[rpc.Server]:
    made = rpc.Server("127.0.0.1:0", protocol.DESCRIPTOR, probes=PROBES)
    yield made
    made.stop(0)


@pytest.fixture
def stub(house: House, server: rpc.Server, tmp_path: Path) -> Iterator[Stub]:
    house.training.put("ada", 1, write_package(tmp_path / "one"))
    servicer = OpenInferenceServicer(Models(house.stub, tmp_path / "cache", 2**30), lambda: server.ready)
    protocol_grpc.add_GRPCInferenceServiceServicer_to_server(servicer, server.grpc_server)
    server.start()
    with open_channel(f"127.0.0.1:{server.port}") as channel:
        yield Stub(channel)


def request() -> protocol.ModelInferRequest:
    """An even attempt for each tempo, without release times."""
    shape = [len(TEMPO_MS), len(PHRASE)]
    pressed = [round(key * tempo * 1000) for tempo in TEMPO_MS for key in range(len(PHRASE))]
    tensor, contents = protocol.ModelInferRequest.InferInputTensor, protocol.InferTensorContents
    keys = contents(bytes_contents=[key.encode() for key in PHRASE] * len(TEMPO_MS))
    times = contents(int64_contents=pressed)
    return protocol.ModelInferRequest(
        model_name="ada",
        id="mine",
        inputs=[
            tensor(name="character", datatype="BYTES", shape=shape, contents=keys),
            tensor(name="pressed_at", datatype="INT64", shape=shape, contents=times),
        ],
    )


def test_release_times_may_be_left_out(stub: Stub) -> None:
    answer = stub.ModelInfer(request())
    assert (answer.model_name, answer.model_version, answer.id) == ("ada", "1", "mine")
    assert [user.decode() for user in answer.outputs[0].contents.bytes_contents] == list(LABELS)
    assert set(answer.outputs[2].contents.bytes_contents) == {b"IDENTIFIED"}


def test_no_attempts_are_no_rows(stub: Stub) -> None:
    asked = request()
    for one in asked.inputs:
        one.shape[:] = [0, 9]
        one.ClearField("contents")
    assert [list(output.shape) for output in stub.ModelInfer(asked).outputs] == [[0]] * 4


def test_a_server_is_ready_until_it_stops(stub: Stub, server: rpc.Server) -> None:
    assert stub.ServerReady(protocol.ServerReadyRequest()).ready
    server.drain(0)
    assert not stub.ServerReady(protocol.ServerReadyRequest()).ready
    assert stub.ServerLive(protocol.ServerLiveRequest()).live
    with pytest.raises(grpc.RpcError) as refused:
        stub.ServerMetadata(protocol.ServerMetadataRequest())
    assert errors.from_rpc_error(refused.value).reason == "SERVICE_STOPPING"


def test_a_model_is_ready_on_while_training_is_away_and_others_are_not(stub: Stub, house: House) -> None:
    assert stub.ModelReady(protocol.ModelReadyRequest(name="ada")).ready
    house.server.stop(0).wait()
    assert stub.ModelReady(protocol.ModelReadyRequest(name="ada")).ready
    assert not stub.ModelReady(protocol.ModelReadyRequest(name="bob")).ready
    with pytest.raises(grpc.RpcError) as caught:
        stub.RepositoryIndex(protocol.RepositoryIndexRequest())
    assert isinstance(errors.from_rpc_error(caught.value), errors.Unavailable)


def test_a_damaged_model_is_not_ready_and_the_index_says_why(stub: Stub, house: House) -> None:
    house.training.archives["ada@1"] = b"noise"
    assert not stub.ModelReady(protocol.ModelReadyRequest(name="ada")).ready
    (listed,) = stub.RepositoryIndex(protocol.RepositoryIndexRequest()).models
    assert (listed.name, listed.state) == ("ada", "UNAVAILABLE")
    assert "The package of ada@1 cannot be used" in listed.reason


def test_what_is_no_name_is_refused_and_not_merely_unready(stub: Stub) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        stub.ModelReady(protocol.ModelReadyRequest(name="../ada"))
    assert errors.from_rpc_error(caught.value).reason == "MODEL_NAME_INVALID"


def test_only_models_in_memory_are_ready_in_the_index(stub: Stub, house: House, tmp_path: Path) -> None:
    house.training.put("bob", 3, write_package(tmp_path / "three", release_times=True))
    stub.RepositoryModelLoad(protocol.RepositoryModelLoadRequest(model_name="ada"))
    everything = stub.RepositoryIndex(protocol.RepositoryIndexRequest()).models
    assert [(one.name, one.version, one.state) for one in everything] == [
        ("ada", "1", "READY"),
        ("bob", "3", "UNAVAILABLE"),
    ]
    ready = stub.RepositoryIndex(protocol.RepositoryIndexRequest(ready=True)).models
    assert [one.name for one in ready] == ["ada"]
    stub.RepositoryModelUnload(protocol.RepositoryModelUnloadRequest(model_name="ada"))
    assert not stub.RepositoryIndex(protocol.RepositoryIndexRequest(ready=True)).models
    # Its package is still on disk.
    stub.ModelInfer(request())
    assert house.training.downloads == 1
