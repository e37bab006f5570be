"""Rows of the catalogue and records, as the messages that stand for them."""

from __future__ import annotations

from collections import Counter

from keyprint.errors import InvalidArgument
from keyprint.timestamps import timestamp
from keyprint.v1 import attempts_pb2, ingest_pb2
from services.ingest.datasets import End, Header, Part, Piece
from services.ingest.records import Record
from services.ingest.summary import Profile, Quartiles, Summary
from services.ingest.tables import Dataset, DocumentRow


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
    if part == "end":
        return End()
    raise InvalidArgument("HEADER_MISSING", "Every message of an upload is its header, a piece or the end.", "header")


def dataset_message(row: Dataset, statistics: bool = True) -> ingest_pb2.Dataset:
    """A dataset, with or without the counts of each user."""
    documents = row.documents
    invalid, warnings = Counter[str](), Counter[str]()
    for one in documents:
        invalid.update(one.invalid)
        warnings.update(one.warnings)
    message = ingest_pb2.Dataset(
        id=row.id,
        state=ingest_pb2.Dataset.State.Value(f"STATE_{row.state}"),
        source_url=row.source_url,
        phrase=row.phrase,
        min_attempts=row.min_attempts,
        documents=len(documents),
        attempts=row.attempts,
        valid_attempts=row.valid_attempts,
        duplicate_attempts=sum(one.duplicate_attempts for one in documents),
        invalid=invalid,
        warnings=warnings,
        users=len(documents) if row.labelled else 0,
        enrolled_users=sum(one.enrolled for one in documents),
        labelled=row.labelled,
        release_times=row.release_times,
        fingerprint=row.fingerprint,
        created_at=timestamp(row.created_at),
        downloaded_kib=sum(one.downloaded_bytes for one in documents) // 1024,
        current_document=row.current_document,
    )
    if row.finished_at:
        message.finished_at.CopyFrom(timestamp(row.finished_at))
    if row.error_reason:
        error = attempts_pb2.Error(reason=row.error_reason, field=row.error_field, message=row.error_message)
        message.error.CopyFrom(error)
    if statistics and row.labelled:
        message.user_statistics.extend(map(_statistics, documents))
    return message


def _statistics(one: DocumentRow) -> ingest_pb2.UserStatistics:
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
    users = [
        ingest_pb2.UserSummary(
            user=one.user,
            days=[ingest_pb2.DayCount(day=day, attempts=count) for day, count in one.days],
            profile=_profile(one.profile),
        )
        for one in summary.users
    ]
    return ingest_pb2.DatasetSummary(
        dataset=dataset.id, keys=list(dataset.phrase), everyone=_profile(summary.everyone), users=users
    )


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
