// Learns one more person: their attempts over what was there before, then a model that knows all of them.
// Every step asked for twice is the same step, so that it can be gone through again after a reload.

import { api, listed, Problem } from "./api.js";
import { toSource } from "./recorder.js";
import { watch } from "./watch.js";

const ATTEMPTS_OF_CROWD = 10;
const PEOPLE_IN_CROWD = 16;
// One may turn out to be a copy; the rest of eight is enough.
const MIN_ATTEMPTS = 5;
const TRAINING = { learner: "extratrees", params: { trees: 100 }, holdout: 0.2 };

// Made-up typists for somebody to be told apart from; made when they are first asked for.
export async function crowd(phrase) {
  const made = await api("POST", "/v1/datasets:simulate", {
    phrase, users: PEOPLE_IN_CROWD, attempts_each: ATTEMPTS_OF_CROWD, min_attempts: MIN_ATTEMPTS,
  });
  return usable(made.id);
}

async function usable(id, onChange = () => {}) {
  const dataset = await watch(`/v1/datasets/${id}`, "dataset", onChange);
  if (dataset.state !== "READY") {
    throw new Problem(dataset.error ?? { reason: "DATASET_NOT_READY", detail: "The import was cancelled." });
  }
  return dataset;
}

// The dataset of `base` and this person's attempts.
export async function enrol(base, phrase, { name, attempts }, onChange) {
  const body = new FormData();
  body.append("phrase", phrase);
  body.append("min_attempts", MIN_ATTEMPTS);
  body.append("base_dataset", base);
  const document = JSON.stringify({ user_label: name, user_data: attempts.map(toSource) });
  body.append("files", new Blob([document], { type: "application/json" }), `${name} at the Type page.json`);
  return usable((await api("POST", "/v1/datasets:upload", body)).id, onChange);
}

// Returns if the dataset has enough of the person's attempts to learn from.
export async function checkEnrolled(dataset, name) {
  const people = await listed(`/v1/datasets/${dataset.id}/users`, "users");
  if (people.some((one) => one.user === name && one.enrolled)) return;
  throw new Problem({ reason: "PERSON_NOT_ENROLLED", detail: `Too few of ${name}’s attempts could be used to learn from; leave them out and enrol anew.` });
}

// The job that trained a model on the dataset.
export async function train(dataset, model, onChange) {
  const job = await api("POST", "/v1/training-jobs", { ...TRAINING, dataset, model, new_version: true },
    { "Idempotency-Key": `${model} ${dataset}` });
  const ended = await watch(`/v1/training-jobs/${job.id}`, "job", onChange);
  if (ended.state === "SUCCEEDED") return ended;
  throw new Problem(ended.error ?? { reason: "JOB_CANCELLED", detail: "Learning was cancelled." });
}

// Deletes what learning left here, as far as it is still there.
export async function unlearn({ model, made }) {
  const paths = made.map((id) => `/v1/datasets/${id}`);
  if (model) paths.push(`/v1/models/${model}`);
  for (const path of paths) {
    try {
      await api("DELETE", path);
    } catch (problem) {
      if (problem.status !== 404) throw problem;
    }
  }
}
