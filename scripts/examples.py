"""Records what a Keyprint answers, as the examples of its OpenAPI document: python scripts/examples.py

Made-up typists are learned and predicted in a house of its own, each call is made once as it should be and a few times
as it should not, and gateway/examples.json is written anew.  Long lists keep their first entries.
"""

from __future__ import annotations

import json
import os
import tempfile
import time
from pathlib import Path
from typing import Any

import httpx

from keyprint import processes, simulate
from keyprint.attempts import DEFAULT_PHRASE

PATH = Path(__file__).parent.parent / "gateway" / "examples.json"
MOST = 2
"""Entries of a list, and of an object whose keys are anybody's."""
KEYSTROKE = {"typed_at": "2019-06-30T15:05:44.743893", "character": "B"}

Recorded = dict[str, dict[str, Any]]


def main() -> None:
    """Writes the file."""
    addresses = processes.free_addresses()
    with tempfile.TemporaryDirectory() as home:
        tree = processes.Tree(addresses, processes.checkout(), Path(home), 1.0, dict(os.environ))
        with tree, httpx.Client(base_url=addresses["gateway"].url.rstrip("/"), timeout=300) as http:
            tree.wait(lambda part: None)
            found = record(http)
    PATH.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n")


def record(http: httpx.Client) -> Recorded:
    """Every call, by its operation id: its answer, and its problems."""
    found: Recorded = {}

    def keep(operation: str, answer: httpx.Response) -> Any:
        said = answer.json()
        kept = found.setdefault(operation, {"problems": []})
        if answer.is_success:
            kept["answer"] = shortened(said)
        else:
            kept["problems"].append(said)
        return said

    simulated = {"users": 4, "attempts_each": 25, "seed": 7}
    dataset = keep("simulate_dataset", http.post("/v1/datasets:simulate", json=simulated))["id"]
    ended(http, f"/v1/datasets/{dataset}")
    keep("simulate_dataset", http.post("/v1/datasets:simulate", json={"users": 1}))
    keep("create_dataset", http.post("/v1/datasets", json={"url": "https://example.org/user_0.json"}))
    keep("create_dataset", http.post("/v1/datasets", json={"url": "user_0.json"}))
    keep("create_dataset", http.post("/v1/datasets", json={"url": "https://example.org/", "phrase": "B"}))
    document = json.dumps({"attempts": [[KEYSTROKE]]})
    keep("upload_dataset", http.post("/v1/datasets:upload", files={"files": ("typed.json", document)}))
    keep("upload_dataset", http.post("/v1/datasets:upload", files={"other": ("typed.json", document)}))
    keep("list_datasets", http.get("/v1/datasets"))
    keep("list_datasets", http.get("/v1/datasets", params={"page_size": 1001}))
    for operation, rest in (
        ("get_dataset", ""),
        ("list_users", "/users"),
        ("list_records", "/records"),
        ("summarize_dataset", "/summary"),
        ("watch_dataset", "/events"),
    ):
        if operation != "watch_dataset":
            keep(operation, http.get(f"/v1/datasets/{dataset}{rest}"))
        keep(operation, http.get(f"/v1/datasets/ds_none{rest}"))
    keep("cancel_dataset", http.post(f"/v1/datasets/{dataset}:cancel"))
    keep("cancel_dataset", http.post("/v1/datasets/ds_none:cancel"))
    keep("delete_dataset", http.delete("/v1/datasets/ds_none"))

    keep("list_learners", http.get("/v1/learners"))
    keep("list_feature_sets", http.get("/v1/feature-sets"))
    keep("list_feature_sets", http.get("/v1/feature-sets", params={"phrase": "B"}))
    job = {"dataset": dataset, "learner": "adaboost", "model": "ada", "holdout": 0.2, "params": {"trees": 40}}
    made = keep("create_training_job", http.post("/v1/training-jobs", json=job))["id"]
    ended(http, f"/v1/training-jobs/{made}")
    for changes in (
        {},
        {"model": "a", "learner": "magic"},
        {"model": "b", "holdout": 1},
        {"model": "c", "dataset": "ds_none"},
    ):
        keep("create_training_job", http.post("/v1/training-jobs", json={**job, **changes}))
    keep("list_training_jobs", http.get("/v1/training-jobs"))
    keep("list_training_jobs", http.get("/v1/training-jobs", params={"page_token": "none"}))
    keep("get_training_job", http.get(f"/v1/training-jobs/{made}"))
    keep("cancel_training_job", http.post(f"/v1/training-jobs/{made}:cancel"))
    for operation, call in (("get_training_job", ""), ("watch_training_job", "/events")):
        keep(operation, http.get(f"/v1/training-jobs/job_none{call}"))
    keep("cancel_training_job", http.post("/v1/training-jobs/job_none:cancel"))

    holdout: dict[str, Any] = {"dataset": dataset, "holdout": 0.2}
    for operation, address in (("compare_models", "/v1/comparisons"), ("evaluate_model", "/v1/models/ada/evaluation")):
        keep(operation, http.get(address, params=holdout))
        keep(operation, http.get(address, params={**holdout, "dataset": "ds_none"}))
        keep(operation, http.get(address, params={**holdout, "holdout": 1}))
    keep("list_models", http.get("/v1/models"))
    keep("list_models", http.get("/v1/models", params={"page_size": 1001}))
    keep("get_model", http.get("/v1/models/ada"))
    keep("set_model_alias", http.put("/v1/models/ada/aliases/champion"))
    keep("set_model_alias", http.put("/v1/models/ada/aliases/7"))
    keep("list_alias_moves", http.get("/v1/models/ada/aliases"))
    for operation, rest in (("get_model", ""), ("export_model", "/package"), ("list_alias_moves", "/aliases")):
        keep(operation, http.get(f"/v1/models/none{rest}"))
    keep("delete_model", http.delete("/v1/models/none"))

    _, typed = next(simulate.documents(1, 1, DEFAULT_PHRASE, 7))
    attempt = json.loads(typed)["user_data"][0]
    keep("identify", http.post("/v1/models/ada:identify", json={"attempt": attempt}))
    keep("identify", http.post("/v1/models/ada:identify", json={}))
    keep("verify", http.post("/v1/models/ada:verify", json={"attempt": attempt, "user": "typist00"}))
    keep("verify", http.post("/v1/models/ada:verify", json={"attempt": attempt, "user": "eve"}))
    for operation in ("identify", "verify"):
        user = {"user": "eve"} if operation == "verify" else {}
        keep(operation, http.post(f"/v1/models/none:{operation}", json={"attempt": attempt, **user}))
        keep(operation, http.post(f"/v1/models/ada:{operation}", json={"attempt": [KEYSTROKE], **user}))
    for operation, kind in (("predict", ""), ("predict_csv", ".csv"), ("predict_parquet", ".parquet")):
        if not kind:
            keep(operation, http.get("/v1/models/ada/predictions", params={"dataset": dataset}))
        keep(operation, http.get(f"/v1/models/none/predictions{kind}", params={"dataset": dataset}))
        keep(operation, http.get(f"/v1/models/ada/predictions{kind}", params={"dataset": "ds_none"}))
    return dict(sorted(found.items()))


def ended(http: httpx.Client, address: str) -> None:
    """Waits for what runs."""
    while http.get(address).json()["state"] in ("IMPORTING", "PENDING", "RUNNING"):
        time.sleep(0.2)


def shortened(value: Any) -> Any:
    """The same with fewer entries."""
    if isinstance(value, list):
        return [shortened(one) for one in value[:MOST]]
    if isinstance(value, dict):
        return {key: shortened(one) for key, one in value.items()}
    return value


if __name__ == "__main__":
    main()
