"""Rows of the tables, learners and evaluations, as the messages that stand for them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict

from google.protobuf.struct_pb2 import Struct

from keyprint.features import FeatureSet
from keyprint.package import Point, Thresholds
from keyprint.timestamps import timestamp
from keyprint.v1 import attempts_pb2, training_pb2
from services.training.compare import Row
from services.training.figures import Evaluation, Figures
from services.training.learners.learner import Learner
from services.training.tables import RUNNING, AliasMove, Job, Model, now


def job_message(row: Job, curve: bool = True) -> training_pb2.TrainingJob:
    """A job, with or without its learning curve."""
    message = training_pb2.TrainingJob(
        id=row.id,
        state=training_pb2.TrainingJob.State.Value(f"STATE_{row.state}"),
        stage=row.stage,
        progress=row.progress,
        message=row.message,
        dataset=row.dataset,
        learner=row.learner,
        model=row.model,
        version=row.version,
        holdout=row.holdout,
        split=split_value(row.split),
        features=row.features,
        params=_struct(row.params),
        seed=row.seed,
        impostors=row.impostors,
        created_at=timestamp(row.created_at),
        curve=_curve(row.curve) if curve else (),
    )
    if row.started_at:
        message.started_at.CopyFrom(timestamp(row.started_at))
    if row.finished_at:
        message.finished_at.CopyFrom(timestamp(row.finished_at))
    if row.error_reason:
        message.error.reason = row.error_reason
        message.error.field = row.error_field
        message.error.message = row.error_message
    if row.state == RUNNING and row.expected_at:
        message.remaining_seconds = max(round((row.expected_at - now()).total_seconds()), 0)
    return message


def model_message(row: Model, aliases: Sequence[str]) -> training_pb2.Model:
    """A model as lists have it: without users, curve, thresholds and files, and without details of its evaluation."""
    return training_pb2.Model(
        name=row.name,
        version=row.version,
        aliases=aliases,
        learner=row.learner,
        feature_set=training_pb2.FeatureSet(name=row.features, version=row.features_version),
        release_times=row.release_times,
        phrase=row.phrase,
        user_count=row.user_count,
        dataset=row.dataset,
        fingerprint=row.fingerprint,
        holdout=row.holdout,
        split=split_value(row.split),
        params=_struct(row.params),
        seed=row.seed,
        training_attempts=row.training_attempts,
        fit_seconds=row.fit_seconds,
        size_kib=row.size_kib,
        digest=row.digest,
        libraries=row.libraries,
        evaluation=evaluation_message(row.figures),
        created_at=timestamp(row.created_at),
        near_ties=row.near_ties,
        impostors=row.impostors,
        temperature=row.temperature,
    )


def whole_model_message(row: Model, aliases: Sequence[str]) -> training_pb2.Model:
    """A model with everything that there is to tell of it."""
    message, details = model_message(row, aliases), row.details
    message.users.extend(details.users)
    message.evaluation.CopyFrom(evaluation_message(details.evaluation))
    message.curve.extend(_curve(details.curve))
    message.decision.CopyFrom(_thresholds(row.thresholds))
    message.files.extend(training_pb2.PackageFile(name=one.name, size=one.size) for one in row.files)
    return message


def alias_move_message(row: AliasMove) -> training_pb2.AliasMove:
    """An alias, pointed somewhere."""
    return training_pb2.AliasMove(alias=row.alias, version=row.version, moved_at=timestamp(row.moved_at))


def evaluation_message(figures: Figures) -> training_pb2.Evaluation:
    """Figures, and the rest where they are an Evaluation."""
    return training_pb2.Evaluation(**asdict(figures))


def row_message(row: Row, evaluation: Evaluation | None = None) -> training_pb2.ComparisonRow:
    """One model of a comparison, its figures alone or its whole evaluation."""
    message = training_pb2.ComparisonRow(
        name=row.model.name,
        version=row.model.version,
        learner=row.model.learner,
        seen_attempts=row.seen_attempts,
        p_value=row.p_value,
    )
    if figures := evaluation or row.figures:
        message.evaluation.CopyFrom(evaluation_message(figures))
    if row.error:
        message.error.CopyFrom(row.error.to_proto())
    return message


def learner_message(learner: Learner) -> training_pb2.Learner:
    """A way to train."""
    parameters = [
        training_pb2.Parameter(
            name=one.name,
            description=one.description,
            kind=training_pb2.Parameter.Kind.Value(f"KIND_{one.kind.upper()}"),
            default=one.default,
            minimum=one.minimum,
            maximum=one.maximum,
        )
        for one in learner.parameters
    ]
    return training_pb2.Learner(
        name=learner.name, title=learner.title, description=learner.description, parameters=parameters
    )


def feature_set_message(features: FeatureSet, phrase: str) -> training_pb2.FeatureSet:
    """A feature set with its columns for a phrase."""
    return training_pb2.FeatureSet(
        name=features.name,
        version=features.version,
        description=features.description,
        columns=features.columns(phrase, release_times=True),
    )


def split_value(split: str) -> attempts_pb2.Split.ValueType:
    """The message's word for a way to choose a hold-out."""
    return attempts_pb2.Split.Value(f"SPLIT_{split.upper()}")


def _curve(points: Sequence[Point]) -> list[training_pb2.CurvePoint]:
    return [training_pb2.CurvePoint(step=one.step, loss=one.loss, accuracy=one.accuracy) for one in points]


def _thresholds(found: Thresholds) -> training_pb2.Thresholds:
    pairs = zip(found.far, found.threshold, strict=True)
    return training_pb2.Thresholds(
        default_false_accept_rate=found.default_far,
        thresholds=[training_pb2.Threshold(false_accept_rate=far, threshold=score) for far, score in pairs],
    )


def _struct(params: Mapping[str, float]) -> Struct:
    struct = Struct()
    struct.update(dict(params))
    return struct
