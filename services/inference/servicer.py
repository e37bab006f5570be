"""InferenceService: messages in, messages out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing

import grpc

from keyprint.attempts import check_lengths
from keyprint.v1 import attempts_pb2, inference_pb2, inference_pb2_grpc, ingest_pb2
from services.inference import decide, requests
from services.inference.engine import Engine, Engines, GoesOn
from services.inference.explain import explain
from services.inference.findings import Finder, Finding, Question
from services.inference.flags import names
from services.inference.ingest import Ingest
from services.inference.together import nobody_knows

CALL_THREADS = 32
"""Calls answered at once, and so attempts that go through a model together: a batch costs less for each of 32 than for
each of 16."""

LARGE = (f"/{inference_pb2.DESCRIPTOR.services_by_name['InferenceService'].full_name}/BatchIdentify",)
"""Methods whose requests may take much memory, for a server to answer few of at once."""

_DECISIONS = {name: inference_pb2.Decision.Value(f"DECISION_{name}") for name in decide.DECISIONS}
_FLAGS = {mask: [inference_pb2.Flag.Value(f"FLAG_{name}") for name in names(mask)] for mask in range(4)}


class InferenceServicer(inference_pb2_grpc.InferenceServiceServicer):
    """Answers from engines; datasets come from ingest."""

    def __init__(
        self,
        models: Engines,
        ingest: Ingest,
        coming: Callable[[], int] = nobody_knows,
    ) -> None:
        """Prepares.

        Args:
            models: what answers.
            ingest: where datasets come from.
            coming: how many calls are being answered, so that those of one model may go through it together.
        """
        self._models = models
        self._ingest = ingest
        self._finder = Finder(coming)

    def Identify(  # noqa: N802 - gRPC's name, as are all that follow
        self, request: inference_pb2.IdentifyRequest, context: grpc.ServicerContext
    ) -> inference_pb2.IdentifyResponse:
        return self.identify(request, context.is_active)

    def identify(self, request: inference_pb2.IdentifyRequest, goes_on: GoesOn) -> inference_pb2.IdentifyResponse:
        """The same of a call that did not come over gRPC."""
        count = requests.candidates(request.candidates)
        engine, far, threshold = self._asked(request)
        found = self._finder.find_one(engine, Question(request.attempt, threshold, count, goes_on))
        answer = inference_pb2.IdentifyResponse(
            model=engine.reference,
            decision=_DECISIONS[found.decision],
            reason=found.reason,
            threshold=threshold,
            far=far,
            flags=_FLAGS[found.flags],
            explanation=_explanation(engine, found, found.user) if request.explain else None,
        )
        for user, probability in found.candidates:
            answer.candidates.add(user=user, probability=probability)
        return answer

    def BatchIdentify(  # noqa: N802
        self, request: inference_pb2.BatchIdentifyRequest, context: grpc.ServicerContext
    ) -> inference_pb2.BatchIdentifyResponse:
        return self.batch_identify(request, context.is_active)

    def batch_identify(
        self, request: inference_pb2.BatchIdentifyRequest, goes_on: GoesOn
    ) -> inference_pb2.BatchIdentifyResponse:
        """The same of a call that did not come over gRPC."""
        keystrokes = requests.batch(request)
        engine = self._models.get(request.model)
        decide.check_answer(engine, len(keystrokes))
        far, threshold = decide.enough(engine, request.far)
        engine.check_releases(request)
        found = self._finder.find(engine, keystrokes, threshold, goes_on)
        decided = found.decided
        return inference_pb2.BatchIdentifyResponse(
            model=engine.reference,
            user=decided.user.tolist(),
            probability=decided.probability.tolist(),
            decision=[_DECISIONS[one] for one in decided.decision.tolist()],
            reason=decided.reason.tolist(),
            flags=found.flags.tolist(),
            threshold=threshold,
            far=far,
        )

    def Verify(  # noqa: N802
        self, request: inference_pb2.VerifyRequest, context: grpc.ServicerContext
    ) -> inference_pb2.VerifyResponse:
        return self.verify(request, context.is_active)

    def verify(self, request: inference_pb2.VerifyRequest, goes_on: GoesOn) -> inference_pb2.VerifyResponse:
        """The same of a call that did not come over gRPC."""
        engine, far, threshold = self._asked(request)
        # Before the work, for what was worked on counts as seen: the claim may come again, of the right user.
        column = decide.column(engine, request.user)
        found = self._finder.find_one(engine, Question(request.attempt, threshold, goes_on=goes_on))
        score = decide.score(found.answers, found.attempt, column)
        return inference_pb2.VerifyResponse(
            model=engine.reference,
            score=score,
            threshold=threshold,
            accepted=not found.reason and score >= threshold,
            reason=found.reason,
            far=far,
            flags=_FLAGS[found.flags],
            explanation=_explanation(engine, found, request.user) if request.explain else None,
        )

    def _asked(
        self, request: inference_pb2.IdentifyRequest | inference_pb2.VerifyRequest
    ) -> tuple[Engine, float, float]:
        """The engine of a request that it can answer, and the rate and the threshold that it decides at."""
        typed = request.attempt
        check_lengths(typed.character, typed.pressed_at, typed.released_at)
        engine = self._models.get(request.model)
        far, threshold = decide.enough(engine, request.far)
        engine.check_releases(typed)
        return engine, far, threshold

    def PredictDataset(  # noqa: N802
        self, request: inference_pb2.PredictDatasetRequest, context: grpc.ServicerContext
    ) -> Iterator[attempts_pb2.RecordBatch]:
        # Arrow takes 30 MB, and many a process never predicts a dataset.
        from services.inference.dataset import check, predict_sent

        keystrokes = requests.keystrokes(request.rows)
        engine = self._models.get(request.model)
        _, threshold = decide.enough(engine, request.far)
        # A caller who goes away stops the reading at once, and with it all that follows.
        when_gone = context.add_callback
        dataset = self._ingest.about(request.dataset, when_gone)
        state = ingest_pb2.Dataset.State.Name(dataset.state).removeprefix("STATE_")
        check(engine, state, dataset.phrase, dataset.release_times)
        with closing(self._ingest.read(request.dataset, when_gone)) as sent:
            for ipc in predict_sent(engine, sent, keystrokes, request.first_n, threshold):
                yield attempts_pb2.RecordBatch(ipc=ipc)


def _explanation(engine: Engine, found: Finding, user: str) -> inference_pb2.Explanation | None:
    said = explain(engine, found.answers, found.attempt, user)
    if said is None:
        return None
    keys = [
        inference_pb2.Explanation.Key(character=character, latency=latency, hold=hold)
        for character, latency, hold in zip(engine.phrase, said.latency.tolist(), said.hold.tolist(), strict=True)
    ]
    return inference_pb2.Explanation(user=user, keys=keys)
