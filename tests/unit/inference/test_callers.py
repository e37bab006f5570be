"""Many callers at once: each has their own answer, and wholly from one model."""

from __future__ import annotations

import math
import queue
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, cast

import grpc
import pytest

from keyprint import rpc
from keyprint.channel import channel as open_channel
from keyprint.v1 import attempts_pb2, inference_pb2, inference_pb2_grpc
from services.inference import decide, references
from services.inference.engine import Engine
from services.inference.models import Models
from services.inference.servicer import CALL_THREADS, InferenceServicer
from tests.unit.inference.conftest import LABELS, PHRASE, TEMPO_MS, House, keystrokes, write_package

OTHERS = ("dan", "eve", "fay")
GENTLE = 0.2


@pytest.fixture
def address(house: House, tmp_path: Path) -> Iterator[str]:
    server = rpc.Server("127.0.0.1:0", inference_pb2.DESCRIPTOR, threads=CALL_THREADS, waiting=10_000)
    models = Models(house.stub, tmp_path / "cache", 2**30)
    servicer = InferenceServicer(models, cast(Any, None), lambda: server.calls.at_work)
    inference_pb2_grpc.add_InferenceServiceServicer_to_server(servicer, server.grpc_server)
    server.start()
    yield f"127.0.0.1:{server.port}"
    server.stop(10)


def typed(gap_us: int) -> attempts_pb2.Attempt:
    """An even attempt."""
    return attempts_pb2.Attempt(character=list(PHRASE), pressed_at=[gap_us * number for number in range(len(PHRASE))])


def echoed(first: float, last: float) -> float:
    """The gap, in µs, that a gentle model was asked about, by its probabilities of the first and the last person.

    Their logits are `2 * GENTLE * centre * x - GENTLE * centre²`, with x the logarithm of the gap in ms.
    """
    one, other = math.log(TEMPO_MS[0]), math.log(TEMPO_MS[-1])
    x = (math.log(last / first) / GENTLE + other**2 - one**2) / (2 * (other - one))
    return 1000 * math.exp(x)


def test_thousands_of_callers_at_once_each_get_their_own_answer_whoever_gives_up(
    house: House, address: str, tmp_path: Path
) -> None:
    """The model says back what it was asked: its probabilities tell the gap between the keys."""
    house.training.put("echo", 1, write_package(tmp_path / "one", sharpness=GENTLE))
    callers, step = 4000, 100
    over: queue.SimpleQueue[tuple[int, Any]] = queue.SimpleQueue()
    with open_channel(address) as channel:
        stub = cast(Any, inference_pb2_grpc.InferenceServiceStub(channel))
        # Pulled before, so that those with little time have some chance.
        stub.Identify(inference_pb2.IdentifyRequest(model="echo", attempt=typed(1)))
        for caller in range(callers):
            request = inference_pb2.IdentifyRequest(model="echo", attempt=typed(50_000 + caller * step))
            seconds = caller % 500 / 1000 if caller % 5 == 0 else 100.0
            call = stub.Identify.future(request, timeout=seconds)
            call.add_done_callback(lambda call, caller=caller: over.put((caller, call)))
            if caller % 7 == 2:
                call.cancel()
        answered, ended = set(), set()
        for _ in range(callers):
            caller, call = over.get()
            if call.code() is grpc.StatusCode.OK:
                probability = {one.user: one.probability for one in call.result().candidates}
                gap = echoed(probability[LABELS[0]], probability[LABELS[-1]])
                assert abs(gap - (50_000 + caller * step)) < step / 2
                answered.add(caller)
            else:
                ended.add((call.code(), caller % 7 == 2, caller % 5 == 0))
    assert answered >= {caller for caller in range(callers) if caller % 7 != 2 and caller % 5 != 0}
    for code, cancelled, hurried in ended:
        assert (code is grpc.StatusCode.CANCELLED and cancelled) or (
            code is grpc.StatusCode.DEADLINE_EXCEEDED and hurried
        )
    # Some had no time at all.
    assert grpc.StatusCode.DEADLINE_EXCEEDED in {code for code, _, _ in ended}


def test_an_alias_moves_under_load_without_an_error_or_a_mixed_answer(
    house: House, address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each version has its own people and its own opinion."""
    monkeypatch.setattr(references, "MEMORY_SECONDS", 0.0)
    house.training.put("ada", 1, write_package(tmp_path / "one", sharpness=GENTLE))
    house.training.put("ada", 2, write_package(tmp_path / "two", sharpness=2 * GENTLE, labels=OTHERS))
    house.training.point("ada", "live", 1)
    expected = {}
    for reference, folder in (("ada@1", "one"), ("ada@2", "two")):
        engine = Engine(reference, tmp_path / folder)
        answers = engine.answer(keystrokes(120))
        (every,) = decide.candidates(engine, answers, decide.decide(engine, answers, 0.0), 3)
        expected[reference] = dict(every)
    request = inference_pb2.IdentifyRequest(model="ada@live", attempt=typed(120_000))
    claims = {"ada@1": "ann", "ada@2": "dan"}
    over = threading.Event()

    def call_on() -> int:
        with open_channel(address) as channel:
            stub = inference_pb2_grpc.InferenceServiceStub(channel)
            calls = 0
            while not over.is_set():
                answer = stub.Identify(request)
                said = {one.user: one.probability for one in answer.candidates}
                assert said == pytest.approx(expected[answer.model], abs=1e-6)
                calls += 1
        return calls

    with ThreadPoolExecutor(8) as callers, open_channel(address) as channel:
        stub = inference_pb2_grpc.InferenceServiceStub(channel)
        calling = [callers.submit(call_on) for _ in range(8)]
        try:
            for move in range(40):
                version = 1 + move % 2
                house.training.point("ada", "live", version)
                # Somebody may be asking already, and hear of it the next time; nobody hears of the old one after that.
                while stub.Identify(request).model != f"ada@{version}":
                    pass
                for _ in range(5):
                    assert stub.Identify(request).model == f"ada@{version}"
                claim = inference_pb2.VerifyRequest(
                    model="ada@live", user=claims[f"ada@{version}"], attempt=request.attempt
                )
                assert stub.Verify(claim).score == pytest.approx(expected[f"ada@{version}"][claim.user], abs=1e-6)
        finally:
            over.set()
        assert min(one.result() for one in calling) > 0
