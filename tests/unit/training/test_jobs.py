"""Jobs: what they reserve, and how they end."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import event
from sqlalchemy.exc import OperationalError

from keyprint.errors import AlreadyExists, NotFound
from keyprint.package import Point
from services.training.jobs import Asked, Jobs
from services.training.messages import job_message
from services.training.models import Models
from services.training.tables import (
    CANCELLED,
    CANCELLING,
    FAILED,
    PENDING,
    RUNNING,
    SUCCEEDED,
    Sessions,
    open_tables,
)
from services.training.work import Failure, Progress
from tests.unit.training.rows import model_row

ASKED = Asked("ds_1", "adaboost", "ada", 0.2, "late", "timing", {"trees": 10}, 0)


@pytest.fixture
def tables(tmp_path: Path) -> Sessions:
    return open_tables(f"sqlite:///{tmp_path / 'catalogue.db'}")


@pytest.fixture
def jobs(tables: Sessions) -> Jobs:
    return Jobs(tables)


def succeed(jobs: Jobs, asked: Asked = ASKED, new_version: bool = False) -> int:
    """Runs a job to its end; gives the version that it made."""
    job = jobs.open(asked, "", new_version)
    assert jobs.begin(job.id)
    assert jobs.succeed(job.id, model_row(asked.model, job.version))
    return job.version


def test_a_new_job_waits_and_reserves_the_first_version(jobs: Jobs) -> None:
    job = jobs.open(ASKED, "", False)
    assert (job.state, job.stage, job.version) == (PENDING, "queued", 1)
    assert jobs.get(job.id).params == {"trees": 10}


def test_a_name_is_taken_while_a_job_makes_it_and_when_it_is_made(jobs: Jobs) -> None:
    job = jobs.open(ASKED, "", False)
    with pytest.raises(AlreadyExists, match="'ada'") as caught:
        jobs.open(ASKED, "", False)
    assert (caught.value.reason, caught.value.field) == ("MODEL_NAME_TAKEN", "model")
    jobs.begin(job.id)
    jobs.succeed(job.id, model_row())
    with pytest.raises(AlreadyExists):
        jobs.open(ASKED, "", False)


def test_a_new_version_of_a_taken_name_may_be_asked_for(jobs: Jobs) -> None:
    assert [succeed(jobs), succeed(jobs, new_version=True), succeed(jobs, new_version=True)] == [1, 2, 3]


@pytest.mark.parametrize("end", ["cancel", "fail"])
def test_a_job_without_a_model_frees_its_name_and_its_version_is_not_used_again(jobs: Jobs, end: str) -> None:
    job = jobs.open(ASKED, "", False)
    jobs.begin(job.id)
    if end == "cancel":
        jobs.ask_to_cancel(job.id)
        jobs.end_if_cancelling(job.id)
    else:
        jobs.fail(job.id, Failure("REASON", "A sentence.", "field"))
    assert succeed(jobs) == 2


def test_versions_go_on_after_the_models_of_a_name_are_deleted(jobs: Jobs, tables: Sessions) -> None:
    succeed(jobs)
    Models(tables).delete("ada")
    assert succeed(jobs) == 2


def test_the_same_request_id_gives_the_same_job(jobs: Jobs) -> None:
    first = jobs.open(ASKED, "mine", False)
    again = jobs.open(ASKED, "mine", False)
    other = jobs.open(replace(ASKED, model="other"), "yours", False)
    assert again.id == first.id != other.id
    found = jobs.of_request("mine")
    assert found
    assert found.id == first.id
    assert jobs.of_request("nobody's") is None


def test_jobs_without_a_request_id_are_of_no_request(jobs: Jobs) -> None:
    jobs.open(ASKED, "", False)
    assert jobs.of_request("") is None


def test_callers_at_once_get_one_job_each_and_one_of_them_the_name(jobs: Jobs) -> None:
    def ask(number: int) -> int | None:
        try:
            return jobs.open(ASKED, "", False).version
        except AlreadyExists:
            return None

    with ThreadPoolExecutor(8) as pool:
        versions = list(pool.map(ask, range(8)))
    assert [one for one in versions if one is not None] == [1]
    assert len(jobs.page(None, 10)) == 1


def test_callers_at_once_who_want_new_versions_get_different_ones(jobs: Jobs) -> None:
    with ThreadPoolExecutor(8) as pool:
        versions = sorted(pool.map(lambda _: jobs.open(ASKED, "", True).version, range(8)))
    assert versions == list(range(1, 9))


def test_a_job_that_waits_is_cancelled_at_once_and_never_begins(jobs: Jobs) -> None:
    job = jobs.open(ASKED, "", False)
    jobs.ask_to_cancel(job.id)
    assert jobs.get(job.id).state == CANCELLED
    assert jobs.get(job.id).finished_at
    assert not jobs.begin(job.id)


def test_a_job_that_runs_is_told_to_stop_and_cannot_succeed_any_more(jobs: Jobs, tables: Sessions) -> None:
    job = jobs.open(ASKED, "", False)
    jobs.begin(job.id)
    assert not jobs.is_cancelling(job.id)
    jobs.ask_to_cancel(job.id)
    assert jobs.is_cancelling(job.id)
    assert jobs.get(job.id).state == CANCELLING
    assert not jobs.succeed(job.id, model_row())
    assert Models(tables).all() == []
    jobs.end_if_cancelling(job.id)
    assert jobs.get(job.id).state == CANCELLED


def test_an_ended_job_cannot_be_cancelled(jobs: Jobs) -> None:
    job = jobs.open(ASKED, "", False)
    jobs.begin(job.id)
    jobs.succeed(job.id, model_row())
    jobs.ask_to_cancel(job.id)
    jobs.end_if_cancelling(job.id)
    assert jobs.get(job.id).state == SUCCEEDED


def test_a_job_that_a_crash_stopped_begins_again_from_the_start(jobs: Jobs) -> None:
    job = jobs.open(ASKED, "", False)
    jobs.begin(job.id)
    jobs.note(job.id, Progress("fitting", 0.4, "Half."), [Point(1, None, None)])
    assert [one.id for one in jobs.under_way()] == [job.id]
    assert jobs.begin(job.id)
    again = jobs.get(job.id)
    assert (again.state, again.stage, again.progress, again.curve) == (RUNNING, "reading", 0.0, ())
    assert again.message == "Starting the process that trains."


def test_a_job_that_succeeds_twice_has_one_model(jobs: Jobs, tables: Sessions) -> None:
    """As when the first answer was lost with the database's connection."""
    job = jobs.open(ASKED, "", False)
    jobs.begin(job.id)
    assert jobs.succeed(job.id, model_row())
    assert jobs.succeed(job.id, model_row())
    assert [one.reference for one in Models(tables).all()] == ["ada@1"]


def test_a_model_whose_row_is_refused_once_is_there_whole_when_it_is_written_again(
    jobs: Jobs, tables: Sessions
) -> None:
    """The same row, as when the database went away in the middle."""
    job = jobs.open(ASKED, "", False)
    jobs.begin(job.id)
    row = model_row()
    left = [OperationalError("insert", {}, Exception("server closed the connection"))]

    def refuse(connection: object, cursor: object, statement: str, *_: object) -> None:
        if left and statement.startswith("INSERT INTO model_details"):
            raise left.pop()

    event.listen(tables.kw["bind"], "before_cursor_execute", refuse)
    with pytest.raises(OperationalError):
        jobs.succeed(job.id, row)
    assert jobs.get(job.id).state == RUNNING
    assert jobs.succeed(job.id, row)
    assert Models(tables).get("ada").details.users == ("user 0", "user 1")


def test_what_remains_is_told_while_a_job_runs_and_counts_down(jobs: Jobs) -> None:
    job = jobs.open(ASKED, "", False)
    jobs.begin(job.id)
    assert not job_message(jobs.get(job.id)).HasField("remaining_seconds")
    jobs.note(job.id, Progress("fitting", 0.01, "One."), [], 100.0)
    assert 90 < job_message(jobs.get(job.id)).remaining_seconds <= 100
    jobs.note(job.id, Progress("fitting", 0.01, "One."), [], -5.0)
    assert job_message(jobs.get(job.id)).remaining_seconds == 0
    jobs.note(job.id, Progress("fitting", 0.02, "Two."), [], 100.0)
    jobs.ask_to_cancel(job.id)
    assert not job_message(jobs.get(job.id)).HasField("remaining_seconds")


def test_a_job_that_begins_again_remembers_no_estimate(jobs: Jobs) -> None:
    job = jobs.open(ASKED, "", False)
    jobs.begin(job.id)
    jobs.note(job.id, Progress("fitting", 0.9, "Nearly."), [], 3.0)
    jobs.begin(job.id)
    assert jobs.get(job.id).expected_at is None


def test_a_failure_says_why(jobs: Jobs) -> None:
    job = jobs.open(ASKED, "", False)
    jobs.begin(job.id)
    jobs.fail(job.id, Failure("REASON", "A sentence.", "dataset"))
    failed = jobs.get(job.id)
    assert (failed.state, failed.error_reason, failed.error_field) == (FAILED, "REASON", "dataset")
    assert jobs.under_way() == []


def test_pages_go_from_the_newest_to_the_oldest(jobs: Jobs) -> None:
    made = [jobs.open(ASKED, "", True) for _ in range(5)]
    first = jobs.page(None, 2)
    second = jobs.page(first[-1].number, 10)
    assert [one.id for one in first + second] == [one.id for one in reversed(made)]


def test_an_unknown_job_is_not_found(jobs: Jobs) -> None:
    with pytest.raises(NotFound) as caught:
        jobs.get("job_0")
    assert (caught.value.reason, caught.value.field) == ("JOB_NOT_FOUND", "job")
