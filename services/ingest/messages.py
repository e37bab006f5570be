"""Rows of the catalogue and records, as the messages that stand for them."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate

from keyprint.errors import InvalidArgument
from keyprint.timestamps import timestamp
from keyprint.v1 import attempts_pb2, ingest_pb2
from services.ingest.records import Record
from services.ingest.sent import Break, End, Header, Part, Piece
from services.ingest.summary import Period, Profile, Quartiles, Summary
from services.ingest.tables import Dataset, DocumentRow

PAGE_BYTES = 8 * 2**20
"""Most bytes of a page of datasets; half of what a message may have."""


def upload_part(message: ingest_pb2.UploadDatasetRequest) -> Part:
    """What one message of an upload carries.

    Raises:
        InvalidArgument: that is nothing.
    """
    part = message.WhichOneof("part")
    if part == "header":
        header = message.header
        return Header(header.phrase, header.min_attempts, header.base_dataset)
    if part == "piece":
        return Piece(message.piece.name, message.piece.content)
    if part == "broken_at":
        return Break(message.broken_at.name)
    if part == "end":
        return End()
    what = "Every message of an upload is its header, a piece, where its chain breaks off, or the end."
    raise InvalidArgument("HEADER_MISSING", what, "header")


def dataset_message(row: Dataset) -> ingest_pb2.Dataset:
    """A dataset with its totals."""
    message = ingest_pb2.Dataset(
        id=row.id,
        state=ingest_pb2.Dataset.State.Value(f"STATE_{row.state}"),
        source_url=row.source_url,
        phrase=row.phrase,
        min_attempts=row.min_attempts,
        documents=row.document_count,
        attempts=row.attempts,
        valid_attempts=row.valid_attempts,
        duplicate_attempts=row.duplicate_attempts,
        invalid=row.invalid,
        warnings=row.warnings,
        users=row.document_count if row.labelled else 0,
        enrolled_users=row.enrolled_users,
        fewest_trainable_attempts=row.fewest_trainable,
        most_trainable_attempts=row.most_trainable,
        labelled=row.labelled,
        release_times=row.release_times,
        fingerprint=row.fingerprint,
        created_at=timestamp(row.created_at),
        downloaded_kib=row.downloaded_bytes // 1024,
        current_document=row.current_document,
    )
    if row.finished_at:
        message.finished_at.CopyFrom(timestamp(row.finished_at))
    if row.error_reason:
        error = attempts_pb2.Error(reason=row.error_reason, field=row.error_field, message=row.error_message)
        message.error.CopyFrom(error)
    return message


def fitting(datasets: Sequence[ingest_pb2.Dataset]) -> list[ingest_pb2.Dataset]:
    """As many of the first ones as one answer holds; long URLs and reasons make them large."""
    sizes = accumulate(one.ByteSize() for one in datasets)
    return [one for one, size in zip(datasets, sizes, strict=True) if size <= PAGE_BYTES]


def user_message(one: DocumentRow) -> ingest_pb2.UserStatistics:
    """The counts of one user, whose document this is."""
    return ingest_pb2.UserStatistics(
        user=one.user or "",
        attempts=one.attempts,
        valid_attempts=one.valid_attempts,
        duplicate_attempts=one.duplicate_attempts,
        invalid=one.invalid,
        warnings=one.warnings,
        enrolled=one.enrolled,
    )


def record_message(record: Record) -> ingest_pb2.Record:
    """One keystroke of the table."""
    at = record.typed_at
    return ingest_pb2.Record(
        attempt=record.attempt,
        user=record.user,
        typed_at=timestamp(at),
        character=record.character,
        character_index=record.character_index,
        year=at.year,
        month=at.month,
        day=at.day,
        hour=at.hour,
        minute=at.minute,
        second=at.second,
        microsecond=at.microsecond,
        hold_ms=record.hold_ms,
        press_to_press_ms=record.press_to_press_ms,
        flight_ms=record.flight_ms,
        reason=record.reason,
        erased=record.erased,
        duplicate=record.duplicate,
    )


def summary_message(dataset: Dataset, summary: Summary) -> ingest_pb2.DatasetSummary:
    """What the charts show."""
    message = ingest_pb2.DatasetSummary(
        dataset=dataset.id,
        keys=list(dataset.phrase),
        everyone=_profile(summary.everyone),
        periods=map(_period, summary.periods),
        timelines=[ingest_pb2.UserTimeline(user=one.user, attempts=one.attempts) for one in summary.timelines],
    )
    if summary.user:
        message.user.CopyFrom(
            ingest_pb2.UserSummary(
                user=summary.user.user,
                periods=map(_period, summary.user.periods),
                profile=_profile(summary.user.profile),
            )
        )
    return message


def _period(period: Period) -> ingest_pb2.PeriodCount:
    return ingest_pb2.PeriodCount(first_day=period.first_day, last_day=period.last_day, attempts=period.attempts)


def _profile(profile: Profile) -> ingest_pb2.TypingProfile:
    return ingest_pb2.TypingProfile(
        attempts=profile.attempts,
        keys_per_second=profile.keys_per_second,
        correction_rate=profile.correction_rate,
        press_to_press_ms=_quartiles(profile.press_to_press_ms),
        hold_ms=_quartiles(profile.hold_ms),
    )


def _quartiles(quartiles: Quartiles | None) -> ingest_pb2.Quartiles | None:
    if quartiles is None:
        return None
    return ingest_pb2.Quartiles(
        lower=quartiles.lower.tolist(), median=quartiles.median.tolist(), upper=quartiles.upper.tolist()
    )
