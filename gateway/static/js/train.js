// Train: import if need be, train, compare. The address holds what is under way:
// ?job= a job; ?dataset=&…&request= an import whose job is asked for when it is done; ?dataset= a choice.

import { api, listed, Problem, query } from "./api.js";
import { drawCurves } from "./curves.js";
import { announce, badge, byId, element, empty, fill, table, tiles } from "./dom.js";
import { ACCURACY, EQUAL_ERROR, F1, FALSE_ACCEPTS, FALSE_REJECTS, notes, PRECISION, RECALL, UNKNOWN } from "./figures.js";
import { ago, number, percent, seconds } from "./format.js";
import { busy, checkImport, checkNumbers, clearProblems, numeric, options, parameters, requestId, showProblem } from "./forms.js";
import { Running } from "./running.js";
import { chosenSource, IMPORT_DONE, fillDatasets, startSource, tellUnchanged, wireSource } from "./source.js";
import { underWay, watch } from "./watch.js";

const form = byId("form");
const importing = new Running(byId("importing"));
const training = new Running(byId("training"));
const importFields = form.querySelector("[data-import]");
// The requests that this tab made; an address with another one is only a filled-in form.
const MADE = "keyprint.train";
const PLAIN = ["learner", "model", "holdout", "split", "features", "impostors", "seed"];
let learners = [];
let current = "";

wireSource(form, (source) => { importFields.hidden = source === "dataset"; });

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  clearProblems(form);
  busy(form, true);
  try {
    checkNumbers(form);
    if (chosenSource(form) !== "dataset") checkImport(form);
    const dataset = await startSource(form, {
      phrase: form.elements.phrase.value,
      min_attempts: numeric(form.elements.min_attempts.value),
    }, importing);
    const wish = { ...readForm(), dataset, request: requestId() };
    remember(wish.request);
    history.pushState(null, "", `/train${query(wish)}`);
    await importThenTrain(wish);
  } catch (problem) {
    showProblem(form, problem);
  } finally {
    busy(form, false);
  }
});

function remember(request) {
  try {
    sessionStorage.setItem(MADE, JSON.stringify([...remembered(), request]));
  } catch {
    // Whoever comes back is asked, then.
  }
}

function remembered() {
  try {
    return JSON.parse(sessionStorage.getItem(MADE)) ?? [];
  } catch {
    return [];
  }
}

// The form as flat text, so that it fits in the address.
function readForm() {
  const values = Object.fromEntries(PLAIN.map((name) => [name, form.elements.namedItem(name).value]));
  values.new_version = form.elements.new_version.checked ? "1" : "";
  for (const input of byId("params").querySelectorAll("input")) values[input.name] = input.value;
  return values;
}

function writeForm(values) {
  if (values.learner) {
    form.elements.learner.value = values.learner;
    showLearner();
  }
  for (const [name, value] of Object.entries(values)) {
    const control = form.elements.namedItem(name);
    if (name === "new_version") control.checked = value === "1";
    else if (control instanceof HTMLElement) control.value = value;
  }
}

async function importThenTrain(wish) {
  const watched = `import ${wish.request}`;
  current = watched;
  byId("unchanged").hidden = true;
  const dataset = await watch(`/v1/datasets/${encodeURIComponent(wish.dataset)}`, "dataset", (now) => importing.dataset(now));
  if (current !== watched) return;
  tellUnchanged(wish.dataset, dataset);
  if (!IMPORT_DONE.has(dataset.state)) {
    throw new Problem(dataset.error ?? { reason: "DATASET_NOT_READY", field: "dataset", detail: "The import was cancelled, so nothing was trained." });
  }
  const params = Object.entries(wish).filter(([name, value]) => name.startsWith("params.") && value !== "");
  const job = await api("POST", "/v1/training-jobs", {
    dataset: dataset.id,
    learner: wish.learner,
    model: wish.model ?? "",
    holdout: numeric(wish.holdout ?? ""),
    split: wish.split,
    features: wish.features ?? "",
    seed: numeric(wish.seed ?? "0"),
    impostors: numeric(wish.impostors ?? "0"),
    new_version: wish.new_version === "1",
    params: Object.fromEntries(params.map(([name, value]) => [name.slice("params.".length), numeric(value)])),
  }, { "Idempotency-Key": wish.request });
  history.replaceState(null, "", `/train?job=${job.id}`);
  // The form is free for the next one while this one runs.
  followJob(job.id, true).catch((problem) => showProblem(form, problem));
}

async function followJob(id, fresh) {
  current = id;
  byId("comparison").hidden = true;
  let seen = false;
  const job = await watch(`/v1/training-jobs/${encodeURIComponent(id)}`, "job", (now) => {
    if (current !== id) return;
    showJob(now);
    if (!seen && fresh) byId("job-title").scrollIntoView({ block: "start" });
    seen = true;
  });
  if (current !== id) return;
  listEarlier();
  if (job.state === "FAILED") throw new Problem(job.error);
  if (job.state === "SUCCEEDED") await compare(job);
}

function showJob(job) {
  byId("job").hidden = false;
  byId("job-title").textContent = `${job.model}@${job.version}`;
  fill(byId("state"), badge(job.state));
  const notice = byId("started");
  const text = {
    PENDING: "Training has been queued and starts by itself. You can leave this page and come back to it.",
    RUNNING: "Training has started. You can leave this page and come back to it.",
    CANCELLED: "Training was cancelled. It left no model, and its name is free.",
    FAILED: job.error?.message,
    SUCCEEDED: "Training is done, and the model can be used.",
  }[job.state];
  notice.hidden = !text;
  notice.className = `notice ${job.state === "FAILED" ? "bad" : ""}`;
  if (text && notice.textContent !== text) notice.textContent = text;
  training.job(job);
  drawCurves(job.curve).catch((problem) => showProblem(form, problem));
  fill(byId("facts"), ...tiles([
    ["learner", job.learner],
    ["held out", `${percent(job.holdout, 0)} ${job.split.toLowerCase()}`],
    ["features", job.features],
    ...(job.impostors ? [["impostors", percent(job.impostors, 0)]] : []),
    ...(job.finished_at && job.started_at ? [["took", seconds((Date.parse(job.finished_at) - Date.parse(job.started_at)) / 1000)]] : []),
  ]));
}

async function compare(job) {
  byId("comparison").hidden = false;
  byId("comparison-note").textContent = "Evaluating every model on this hold-out…";
  fill(byId("comparison-table"));
  const comparison = await api("GET", `/v1/comparisons${query({
    dataset: job.dataset, holdout: job.holdout, split: job.split.toLowerCase(), seed: job.seed,
  })}`);
  if (current !== job.id) return;
  byId("comparison-note").textContent =
    `${number(comparison.attempts)} attempts that were kept from training: ${percent(comparison.holdout, 0)} of each person’s, `
    + `${comparison.split === "LATE" ? "the latest" : "chosen at random"}. A model that saw some of them is marked: its figures flatter it. `
    + "False accepts are these people’s claims to be each other that a model believes at its own threshold, which is set for strangers’ claims; unknown is the share of their attempts for which it names nobody.";
  fill(byId("comparison-table"), table("Models on this hold-out", [
    { title: "Model", cell: (row) => modelCell(row, job), class: "name" },
    { title: "Learner", cell: (row) => row.learner },
    ACCURACY, PRECISION, RECALL, F1, EQUAL_ERROR, FALSE_ACCEPTS, FALSE_REJECTS, UNKNOWN,
    notes((row) => row.seen_attempts, likelihood),
  ], comparison.rows, (row) => `${isThis(row, job) ? "this" : ""} ${row.error ? "dim" : ""}`));
  announce("Training is done; the comparison is on the page.");
  byId("evaluate-link").href = `/evaluate${query({ model: `${job.model}@${job.version}` })}`;
}

const isThis = (row, job) => row.name === job.model && row.version === job.version;

function modelCell(row, job) {
  const name = `${row.name}@${row.version}`;
  return element("span", {}, element("a", { href: `/models${query({ model: name })}` }, name),
    isThis(row, job) ? element("span", { className: "sub" }, "this one") : null);
}

function likelihood({ p_value: p }) {
  if (p === undefined) return "";
  return p < 0.05 ? "worse than the first, surely" : "may equal the first";
}

function showLearner() {
  const learner = learners.find((one) => one.name === form.elements.learner.value);
  byId("learner-hint").textContent = learner?.description ?? "";
  fill(byId("params"), ...(learner?.parameters ?? []).map(parameterField));
}

function parameterField(parameter) {
  const name = `params.${parameter.name}`;
  return element("div", { className: "field", "data-field": name },
    element("label", { htmlFor: name }, parameter.name.replaceAll("_", " ")),
    element("input", {
      id: name, name, type: "number", min: parameter.minimum, max: parameter.maximum,
      step: parameter.kind === "INTEGER" ? 1 : "any", defaultValue: parameter.default,
      "aria-describedby": `${name}-hint ${name}-error`,
    }),
    element("p", { className: "hint", id: `${name}-hint` }, `${parameter.description} ${parameter.minimum} to ${number(parameter.maximum)}.`),
    element("p", { className: "error", id: `${name}-error`, hidden: true }));
}

async function fillForm() {
  const [learnerList, featureList] = await Promise.all([api("GET", "/v1/learners"), api("GET", "/v1/feature-sets")]);
  learners = learnerList.learners;
  options(form.elements.learner, learners.map((one) => [one.name, one.title]));
  const sets = featureList.feature_sets;
  options(form.elements.features, sets.map((one) => [one.name, one.name]));
  const describe = () => {
    byId("features-hint").textContent = sets.find((one) => one.name === form.elements.features.value)?.description ?? "";
  };
  form.elements.features.addEventListener("change", describe);
  form.elements.learner.addEventListener("change", showLearner);
  describe();
  showLearner();
}

async function listEarlier() {
  const jobs = await listed("/v1/training-jobs", "jobs");
  fill(byId("earlier"), jobs.length === 0
    ? empty("Nothing yet: the first training shows up here.")
    : table("Training before", [
      { title: "Model", cell: (one) => element("a", { href: `/train?job=${one.id}` }, `${one.model}@${one.version}`), class: "name" },
      { title: "State", cell: (one) => badge(one.state) },
      { title: "Learner", cell: (one) => one.learner },
      { title: "Hold-out", cell: (one) => `${percent(one.holdout, 0)} ${one.split.toLowerCase()}`, number: true },
      { title: "Progress", cell: (one) => (underWay(one) ? percent(one.progress, 0) : ""), number: true },
      { title: "When", cell: (one) => ago(one.created_at) },
    ], jobs));
}

async function begin() {
  const wish = parameters();
  try {
    await Promise.all([fillForm(), fillDatasets(form, { labelled: true, chosen: wish.dataset }), listEarlier()]);
    if (wish.job) await followJob(wish.job, false);
    else if (wish.request) {
      writeForm(wish);
      if (!remembered().includes(wish.request)) {
        throw new Problem({ reason: "REQUEST_UNKNOWN", detail: "This form was filled in by the address that brought you here, and nothing is trained yet. Press Train if that is what you want." });
      }
      await importThenTrain(wish);
    }
  } catch (problem) {
    showProblem(form, problem);
  }
}

window.addEventListener("popstate", () => location.reload());
begin();
