"""What another backend does with Keyprint, in an environment that holds the wheel's base install and no more.

usage: python client_job.py INGEST TRAINING INFERENCE SOURCE_URL TEST_DOCUMENT MODEL

It imports, trains an AdaBoost, identifies each attempt of a document without names, and prints the answers as JSON.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from keyprint.client import InferenceClient, IngestClient, TrainingClient
from keyprint.source import attempt_from_source
from keyprint.v1 import inference_pb2, ingest_pb2, training_pb2


def main(ingest: str, training: str, inference: str, source_url: str, document: str, model: str) -> None:
    """Does it, and prints {"users": number, "named": [user, ...], "decisions": [decision, ...]}."""
    with IngestClient(ingest) as client:
        *_, dataset = client.watch_dataset(client.create_dataset(source_url).id)
    if dataset.state != ingest_pb2.Dataset.STATE_READY:
        sys.exit(str(dataset.error))
    with TrainingClient(training) as client:
        job = client.create_training_job(dataset.id, "adaboost", model, 0.2, params={"trees": 50})
        *_, job = client.watch_training_job(job.id)
    if job.state != training_pb2.TrainingJob.STATE_SUCCEEDED:
        sys.exit(str(job.error))
    attempts = json.loads(Path(document).read_text())["attempts"]
    with InferenceClient(inference) as client:
        answers = [client.identify(model, attempt_from_source(attempt)) for attempt in attempts]
    told = {
        "users": dataset.users,
        "named": [answer.candidates[0].user if answer.candidates else "" for answer in answers],
        "decisions": [inference_pb2.Decision.Name(answer.decision) for answer in answers],
    }
    sys.stdout.write(json.dumps(told) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
