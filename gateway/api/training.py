"""Learners, feature sets, training jobs and comparisons."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Response
from pydantic import Field, JsonValue
from sse_starlette import EventSourceResponse

from gateway.api.parts import (
    EVENTS,
    SEED,
    IdempotencyKey,
    LastEventId,
    PageSize,
    PageToken,
    ServicesOf,
    SplitName,
    answer,
    answers,
    event_stream,
    split_value,
)
from keyprint.forms import Body, Number, Text, Truth, UInt32
from keyprint.v1 import training_pb2

router = APIRouter(tags=["training"])

MESSAGES = (
    training_pb2.ListLearnersResponse,
    training_pb2.ListFeatureSetsResponse,
    training_pb2.TrainingJob,
    training_pb2.ListTrainingJobsResponse,
    training_pb2.Comparison,
)

DatasetId = Annotated[str, Query(description="Dataset id.")]
_SHARE: dict[str, JsonValue] = {"exclusiveMinimum": 0, "exclusiveMaximum": 1}

Holdout = Annotated[
    float,
    Query(allow_inf_nan=False, description="Share held out, above 0 and below 1.", json_schema_extra=_SHARE),
]
HoldoutSplit = Annotated[SplitName | None, Query(description="How the hold-out is chosen; late if absent.")]
HoldoutSeed = Annotated[UInt32, Query(description="Seed of a random split.", json_schema_extra=SEED)]


class TrainingJobRequest(Body):
    """What to train."""

    dataset: Text = Field(description="Dataset id.", examples=["ds_3f9c0a1b2c4d"])
    learner: Text = Field(description="Learner name.", examples=["adaboost"])
    model: Text = Field(description="Name of the model to be.", examples=["adaboost-1"])
    holdout: Number = Field(
        description="Share of each user's attempts kept from training, above 0 and below 1.",
        examples=[0.2],
        json_schema_extra=_SHARE,
    )
    split: SplitName | None = Field(None, description="How the hold-out is chosen; late if absent.")
    features: Text = Field("", description='Feature set; empty for "timing".')
    params: dict[Text, Number] = Field(
        default_factory=dict, description="Learner parameters; those left out take their defaults."
    )
    seed: UInt32 = Field(0, description="Seed of every random choice.", json_schema_extra=SEED)
    impostors: Number = Field(
        0.0,
        description="Share of the users to evaluate with as impostors, below 1, by one more fit; 0 for none.",
        json_schema_extra={"minimum": 0, "exclusiveMaximum": 1},
    )
    new_version: Truth = Field(False, description="Train the next version of a name that exists.")


@router.get("/v1/learners", responses=answers(training_pb2.ListLearnersResponse, "Every learner."))
async def list_learners(services: ServicesOf) -> Response:
    """List the ways to train, with their parameters."""
    return answer(await services.call(services.training.ListLearners, training_pb2.ListLearnersRequest()))


@router.get("/v1/feature-sets", responses=answers(training_pb2.ListFeatureSetsResponse, "Every feature set."))
async def list_feature_sets(
    services: ServicesOf,
    phrase: Annotated[str, Query(description="The phrase to name columns for; empty for the default.")] = "",
) -> Response:
    """List the ways to turn attempts into numbers."""
    request = training_pb2.ListFeatureSetsRequest(phrase=phrase)
    return answer(await services.call(services.training.ListFeatureSets, request))


@router.post("/v1/training-jobs", status_code=202, responses=answers(training_pb2.TrainingJob, "It is queued.", 202))
async def create_training_job(
    services: ServicesOf, body: TrainingJobRequest, idempotency_key: IdempotencyKey = ""
) -> Response:
    """Train a model."""
    request = training_pb2.CreateTrainingJobRequest(
        dataset=body.dataset,
        learner=body.learner,
        model=body.model,
        holdout=body.holdout,
        split=split_value(body.split),
        features=body.features,
        seed=body.seed,
        new_version=body.new_version,
        impostors=body.impostors,
        request_id=idempotency_key,
    )
    request.params.update(body.params)
    job = await services.call(services.training.CreateTrainingJob, request)
    return answer(job, 202, {"Location": f"/v1/training-jobs/{job.id}"})


@router.get("/v1/training-jobs", responses=answers(training_pb2.ListTrainingJobsResponse, "A page, newest first."))
async def list_training_jobs(services: ServicesOf, page_size: PageSize = 0, page_token: PageToken = "") -> Response:
    """List training jobs, without their curves."""
    request = training_pb2.ListTrainingJobsRequest(page_size=page_size, page_token=page_token)
    return answer(await services.call(services.training.ListTrainingJobs, request))


@router.get("/v1/training-jobs/{job}", responses=answers(training_pb2.TrainingJob, "As it stands."))
async def get_training_job(services: ServicesOf, job: str) -> Response:
    """Get one training job."""
    return answer(await services.call(services.training.GetTrainingJob, training_pb2.GetTrainingJobRequest(job=job)))


@router.get("/v1/training-jobs/{job}/events", response_class=EventSourceResponse, responses=EVENTS)
async def watch_training_job(services: ServicesOf, job: str, last_event_id: LastEventId = "") -> Response:
    """Follow a training job: events called `job`."""
    request = training_pb2.WatchTrainingJobRequest(job=job)
    return await event_stream("job", services.stream(services.training.WatchTrainingJob, request), last_event_id)


@router.post("/v1/training-jobs/{job}:cancel", responses=answers(training_pb2.TrainingJob, "As it stands."))
async def cancel_training_job(services: ServicesOf, job: str) -> Response:
    """Stop a training job; it leaves no model."""
    request = training_pb2.CancelTrainingJobRequest(job=job)
    return answer(await services.call(services.training.CancelTrainingJob, request))


@router.get("/v1/comparisons", responses=answers(training_pb2.Comparison, "Best first."))
async def compare_models(
    services: ServicesOf, dataset: DatasetId, holdout: Holdout, split: HoldoutSplit = None, seed: HoldoutSeed = 0
) -> Response:
    """Compare every model on one hold-out."""
    request = training_pb2.CompareModelsRequest(dataset=dataset, holdout=holdout, split=split_value(split), seed=seed)
    return answer(await services.call(services.training.CompareModels, request))


@router.get("/v1/models/{name}/evaluation", responses=answers(training_pb2.ComparisonRow, "How it does, user by user."))
async def evaluate_model(
    services: ServicesOf,
    name: str,
    dataset: DatasetId,
    holdout: Holdout,
    split: HoldoutSplit = None,
    seed: HoldoutSeed = 0,
) -> Response:
    """Evaluate one model on a hold-out, with per-user rows, confusion matrix and DET curve."""
    request = training_pb2.EvaluateModelRequest(
        model=name, dataset=dataset, holdout=holdout, split=split_value(split), seed=seed
    )
    return answer(await services.call(services.training.EvaluateModel, request))
