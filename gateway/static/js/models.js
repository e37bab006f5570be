// Models: all versions, what is chosen of them, and one of them in full.
// ?compare=a@1,b@2 and ?model=a@1 in the address find both again; &on= says what the comparison is measured on.

import { api, listed, query } from "./api.js";
import { aliasForm } from "./aliases.js";
import { compare, hideComparison } from "./comparison.js";
import { confirmed } from "./confirm.js";
import { announce, byId, element, empty, fill, table } from "./dom.js";
import { ACCURACY, EQUAL_ERROR, UNKNOWN } from "./figures.js";
import { ago, number, percent, plural } from "./format.js";
import { clearProblems, parameters, showProblem as showBeside } from "./forms.js";
import { describe, reference } from "./model.js";

const MOST = 8;
const MEASURED_ON = { dataset: "on", holdout: "on", split: "on", seed: "on" };
const ticked = new Set();
let models = [];

function showProblem(problem) {
  byId("problem").hidden = false;
  byId("problem").textContent = problem.message;
}

async function list() {
  models = await listed("/v1/models", "models");
  const known = new Set(models.map(reference));
  for (const name of ticked) if (!known.has(name)) ticked.delete(name);
  byId("compare").parentElement.hidden = models.length === 0;
  fill(byId("models"), models.length === 0
    ? empty("There is no model yet.", "/train", "Train the first one.")
    : table("All versions", [
      { title: "Model", cell: nameCell, class: "name" },
      ACCURACY, EQUAL_ERROR, UNKNOWN,
      { title: "Hold-out", cell: (one) => `${percent(one.holdout, 0)} ${one.split.toLowerCase()}`, number: true },
      { title: "Learner", cell: (one) => one.learner },
      { title: "People", cell: (one) => number(one.user_count), number: true },
      { title: "Size", cell: (one) => `${number(one.size_kib)} KiB`, number: true },
      { title: "Aliases", cell: (one) => element("span", {}, ...one.aliases.map((alias) => element("span", { className: "badge busy" }, alias))) },
      { title: "When", cell: (one) => ago(one.created_at) },
    ], models, (one) => (reference(one) === parameters().model ? "this" : "")));
  tell();
}

function nameCell(model) {
  const name = reference(model);
  const box = element("input", { type: "checkbox", checked: ticked.has(name), ariaLabel: `Compare ${name}` });
  box.addEventListener("change", () => {
    if (box.checked) ticked.add(name);
    else ticked.delete(name);
    tell();
  });
  return element("span", { className: "check" }, box, element("a", { href: `/models${query({ ...parameters(), model: name })}` }, name));
}

function tell() {
  const many = ticked.size;
  byId("compare").disabled = many < 1 || many > MOST;
  byId("ticked").textContent = many === 0 ? "Nothing is ticked."
    : many > MOST ? `At most ${MOST} can be compared; ${many} are ticked.`
      : `${plural(many, "version is", "versions are")} ticked.`;
}

byId("compare").addEventListener("click", () => go({ compare: [...ticked].join(","), on: "" }));
byId("on").addEventListener("change", () => go({ on: byId("on").value }));

function go(changes) {
  history.pushState(null, "", `/models${query({ ...parameters(), ...changes })}`);
  showComparison();
}

async function showComparison() {
  const wish = parameters();
  clearProblems(byId("comparison"));
  if (!wish.compare) return hideComparison();
  try {
    await compare(wish.compare.split(","), wish.on ?? "");
  } catch (problem) {
    showBeside(byId("comparison"), problem, MEASURED_ON);
  }
}

async function showOne() {
  const wish = parameters();
  byId("one").hidden = true;
  if (!wish.model) return;
  const model = await api("GET", `/v1/models/${encodeURIComponent(wish.model)}`);
  const name = reference(model);
  byId("one-title").textContent = name;
  byId("predict").href = `/evaluate${query({ model: name })}`;
  byId("export").href = `/v1/models/${encodeURIComponent(name)}/package`;
  fill(byId("about-model"), ...describe(model));
  byId("delete").onclick = () => remove(name, `Delete ${name}?`);
  byId("delete-all").onclick = () => remove(model.name, `Delete every version of ${model.name}?`);
  byId("delete-all").hidden = models.filter((one) => one.name === model.name).length < 2;
  await aliasForm(model, list);
  byId("one").hidden = false;
}

async function remove(name, question) {
  if (!(await confirmed(question, "It is deleted for good, with its aliases; whoever asks for it gets no answer. Datasets stay.", "Delete"))) return;
  try {
    await api("DELETE", `/v1/models/${encodeURIComponent(name)}`);
    const gone = (one) => one === name || one.startsWith(`${name}@`);
    const wish = parameters();
    const rest = (wish.compare ?? "").split(",").filter((one) => one && !gone(one)).join(",");
    history.replaceState(null, "", `/models${query({ ...wish, model: "", compare: rest })}`);
    announce(`${name} is deleted.`);
    await begin();
  } catch (problem) {
    showProblem(problem);
  }
}

async function begin() {
  const wish = parameters();
  ticked.clear();
  for (const name of (wish.compare ?? "").split(",").filter(Boolean)) ticked.add(name);
  try {
    await list();
    await Promise.all([showComparison(), showOne()]);
    if (wish.model) byId("one-title").scrollIntoView({ block: "start" });
  } catch (problem) {
    showProblem(problem);
  }
}

window.addEventListener("popstate", () => location.reload());
begin();
