// Evaluate: import if need be, predict, show. ?dataset=&model=&first_n= in the address finds it again.

import { api, listed, Problem, query } from "./api.js";
import { drawAnswers } from "./answers.js";
import { announce, badge, byId, element, fill, shares, table, tiles } from "./dom.js";
import { number, percent, plural, seconds } from "./format.js";
import { busy, checkFirstN, checkNumbers, clearProblems, options, parameters, showProblem } from "./forms.js";
import { describe, reference } from "./model.js";
import { Running } from "./running.js";
import { chosenSource, IMPORT_DONE, fillDatasets, startSource, tellUnchanged, wireSource } from "./source.js";
import { watch } from "./watch.js";

const form = byId("form");
const importing = new Running(byId("importing"));
const predicting = new Running(byId("predicting"));
const MODELS_AGAIN_MS = 10_000;
let models = [];
let current = "";

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  clearProblems(form);
  busy(form, true);
  try {
    const model = form.elements.model.value;
    if (!model) throw new Problem({ reason: "MODEL_NOT_FOUND", field: "model", detail: "There is no model yet; train one first." });
    checkNumbers(form);
    checkFirstN(form.elements.first_n.value);
    const dataset = await startSource(form, { phrase: chosenModel().phrase }, importing);
    const wish = { dataset, model, first_n: form.elements.first_n.value };
    history.pushState(null, "", `/evaluate${query({ ...wish, go: 1 })}`);
    await importThenPredict(wish);
  } catch (problem) {
    showProblem(form, problem);
  } finally {
    busy(form, false);
  }
});

const chosenModel = () => models.find((one) => reference(one) === form.elements.model.value);

// New data is read with the phrase that the model was trained on.
function showPhrase() {
  const model = chosenModel();
  byId("phrase-note").textContent = model && chosenSource(form) !== "dataset" ? `It is read with the model’s phrase: ${model.phrase}` : "";
}

// Told when somebody wants to know, and again when they choose another.
async function showAbout() {
  const name = form.elements.model.value;
  if (!byId("about").open || !name) return;
  try {
    const model = await api("GET", `/v1/models/${encodeURIComponent(name)}`);
    if (form.elements.model.value === name) fill(byId("about-model"), ...describe(model));
  } catch (problem) {
    showProblem(form, problem);
  }
}

async function importThenPredict(wish) {
  const watched = JSON.stringify(wish);
  current = watched;
  byId("result").hidden = true;
  byId("unchanged").hidden = true;
  const path = `/v1/datasets/${encodeURIComponent(wish.dataset)}`;
  const dataset = await watch(path, "dataset", (now) => current === watched && importing.dataset(now));
  if (current !== watched) return;
  tellUnchanged(wish.dataset, dataset);
  if (!IMPORT_DONE.has(dataset.state)) {
    throw new Problem(dataset.error ?? { reason: "DATASET_NOT_READY", field: "dataset", detail: "The import was cancelled, so there is nothing to predict." });
  }
  const began = performance.now();
  predicting.show(`Predicting with ${wish.model}`, "A model is loaded when it is first used; that takes a moment.");
  try {
    const { rows } = await api("GET", `/v1/models/${encodeURIComponent(wish.model)}/predictions${query({ dataset: wish.dataset, first_n: wish.first_n })}`);
    if (current !== watched) return;
    show(wish, dataset, rows, (performance.now() - began) / 1000);
    await drawAnswers(rows.filter((row) => !row.reason), chosenModel()?.evaluation.threshold);
  } finally {
    predicting.hide();
  }
}

function show(wish, dataset, rows, took) {
  byId("result").hidden = false;
  byId("result-title").textContent = `${wish.model} on ${plural(rows.length, "attempt", "attempts")}`;
  announce(`${plural(rows.length, "attempt is", "attempts are")} predicted.`);
  byId("result-note").textContent = rows.length < dataset.attempts
    ? `The first ${number(rows.length)} of ${number(dataset.attempts)} attempts, predicted in ${seconds(took)}. The CSV holds all of them.`
    : `All attempts of the dataset, predicted in ${seconds(took)}.`;
  const whole = (kind, values = {}) => `/v1/models/${encodeURIComponent(wish.model)}/predictions.${kind}${query({ dataset: wish.dataset, ...values })}`;
  byId("csv").href = whole("csv");
  byId("parquet").href = whole("parquet");
  byId("csv-keystrokes").href = whole("csv", { rows: "keystrokes" });

  const share = (part) => (rows.length ? `${number(part)} (${percent(part / rows.length, 0)})` : "0");
  const decided = (decision) => rows.filter((row) => row.decision === decision).length;
  fill(byId("facts"), ...tiles([
    ["identified", share(decided("IDENTIFIED"))],
    ["unknown", share(decided("UNKNOWN"))],
    ["not valid", share(decided("INVALID"))],
    ...(rows.some((row) => row.flags) ? [["suspected", share(rows.filter((row) => row.flags).length)]] : []),
  ]));
  const decisions = count(rows.map((row) => (row.reason ? `INVALID: ${row.reason}` : row.decision)));
  const tone = (name) => ({ IDENTIFIED: "good", UNKNOWN: "warn" })[name] ?? "bad";
  fill(byId("decisions"), shares("Attempts by decision", "Decision", decisions.map(([name, many]) => ({ name, count: many, tone: tone(name) })), rows.length, number));

  fill(byId("rows"), table("Predictions", [
    { title: "Attempt", cell: (row) => number(row.attempt), number: true },
    { title: "Predicted user", cell: (row) => row.predicted_user || "–", class: "label" },
    { title: "Probability", cell: (row) => (row.reason ? "–" : percent(row.probability)), number: true },
    { title: "Second choice", cell: (row) => row.second_choice || "–", class: "label" },
    { title: "Decision", cell: (row) => badge(row.decision) },
    { title: "Suspicion", cell: (row) => element("span", {}, ...flagsOf(row).map((flag) => element("span", { className: "badge warn" }, flag))) },
    { title: "Not valid because", cell: (row) => row.reason },
  ], rows, (row) => (row.reason ? "dim" : "")));
}

// What is odd about an attempt, which changes no decision: REPLAY_SUSPECTED, SYNTHETIC_SUSPECTED.
const flagsOf = (row) => (row.flags ? row.flags.split(" ") : []);

// A link's own error would take the place of this page, so the API is asked for one row first.
for (const id of ["csv", "parquet", "csv-keystrokes"]) {
  byId(id).addEventListener("click", async (event) => {
    event.preventDefault();
    const { href } = event.currentTarget;
    byId("download-error").hidden = true;
    const { pathname, searchParams } = new URL(href);
    try {
      await api("GET", `${pathname.replace(/\.\w+$/, "")}${query({ dataset: searchParams.get("dataset"), first_n: 1 })}`);
      location.assign(href);
    } catch (problem) {
      byId("download-error").textContent = problem.message;
      byId("download-error").hidden = false;
    }
  });
}

// [value, times], the most frequent first.
function count(values) {
  const times = new Map();
  for (const value of values) times.set(value, (times.get(value) ?? 0) + 1);
  return [...times].sort(([, one], [, other]) => other - one);
}

async function fillModels(chosen) {
  const found = await listed("/v1/models", "models");
  if (found.map(reference).join() === models.map(reference).join() && found.length > 0) return;
  models = found;
  if (chosen && !models.some((one) => reference(one) === chosen)) tellGone(chosen);
  options(form.elements.model, models.map((one) => [
    reference(one),
    `${reference(one)} · ${one.learner} · ${percent(one.evaluation?.accuracy ?? 0)} on its hold-out`,
  ]), chosen);
  byId("model-hint").replaceChildren(...(models.length === 0
    ? ["There is no model yet. ", element("a", { href: "/train" }, "Train the first one.")]
    : ["Every model that was trained is here, the newest first."]));
  showPhrase();
}

// Not to focus it: somebody may be at another field.
function tellGone(name) {
  byId("model-error").textContent = `${name} has been deleted, or never was; another one is chosen.`;
  byId("model-error").hidden = false;
}

// A model that is trained while this page is open appears by itself.
async function keepModels() {
  if (!document.hidden) await fillModels(form.elements.model.value).catch(() => {});
  setTimeout(keepModels, MODELS_AGAIN_MS);
}

async function begin() {
  const wish = parameters();
  if (wish.first_n) form.elements.first_n.value = wish.first_n;
  setTimeout(keepModels, MODELS_AGAIN_MS);
  try {
    await Promise.all([fillModels(wish.model), fillDatasets(form, { labelled: false, chosen: wish.dataset })]);
    if (wish.go) await importThenPredict({ dataset: wish.dataset, model: wish.model, first_n: wish.first_n });
  } catch (problem) {
    showProblem(form, problem);
  }
}

form.elements.model.addEventListener("change", () => { showPhrase(); showAbout(); });
byId("about").addEventListener("toggle", showAbout);
wireSource(form, showPhrase);
window.addEventListener("popstate", () => location.reload());
begin();
