// Analyze: import, then look. `?dataset=` in the address finds the work again.

import { api, Problem, query } from "./api.js";
import { announce, badge, byCount, byId, element, empty, fill, reasons, shares, table, tiles } from "./dom.js";
import { ago, moment, ms, number, plural, shortUrl } from "./format.js";
import { busy, checkFirstN, checkImport, checkNumbers, clearProblems, numeric, parameters, showProblem } from "./forms.js";
import { fetchPeople, showPeople } from "./people.js";
import { showPictures } from "./pictures.js";
import { Running } from "./running.js";
import { choose, datasets, IMPORT_DONE, startSource, tellUnchanged, wireSource } from "./source.js";
import { watch } from "./watch.js";

const form = byId("form");
const running = new Running(byId("running"));
// A later look at another dataset makes the answers of an earlier one stale.
let current = "";

wireSource(form);

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  clearProblems(form);
  busy(form, true);
  try {
    const firstN = form.elements.first_n.value;
    checkNumbers(form);
    checkFirstN(firstN);
    checkImport(form);
    const dataset = await startSource(form, {
      phrase: form.elements.phrase.value,
      min_attempts: numeric(form.elements.min_attempts.value),
    }, running);
    history.pushState(null, "", `/analyze${query({ dataset, first_n: firstN })}`);
    // The form is free for another import while this one runs.
    follow(dataset, firstN).catch((problem) => current === dataset && showProblem(form, problem));
  } catch (problem) {
    showProblem(form, problem);
  } finally {
    busy(form, false);
  }
});

// `met` is called with the dataset as it is found.
async function follow(id, firstN, met = () => {}) {
  current = id;
  byId("result").hidden = true;
  const path = `/v1/datasets/${encodeURIComponent(id)}`;
  const dataset = await watch(path, "dataset", (now) => {
    if (current !== id) return;
    running.dataset(now);
    met(now);
    met = () => {};
  });
  if (current !== id) return;
  listEarlier();
  tellUnchanged(id, dataset);
  showDataset(dataset);
  if (!IMPORT_DONE.has(dataset.state)) {
    if (dataset.error) throw new Problem(dataset.error);
    return;
  }
  const [people, { records }] = await Promise.all(
    [fetchPeople(dataset.id), api("GET", `${path}/records${query({ first_n: firstN })}`)]);
  if (current !== id) return;
  showPeople(dataset, people);
  showRecords(records);
  await showPictures(dataset);
  announce(`The import is done: ${plural(dataset.valid_attempts, "valid attempt", "valid attempts")} of ${number(dataset.attempts)}.`);
}

// Whoever comes back finds the form as it was sent.
function fillForm(dataset) {
  const fetched = /^https?:/.test(dataset.source_url);
  choose(form, fetched ? "url" : "files");
  // What stands for a secret is no part of a URL.
  if (fetched && !dataset.source_url.includes("…")) form.elements.url.value = dataset.source_url;
  form.elements.phrase.value = dataset.phrase;
  form.elements.min_attempts.value = dataset.min_attempts;
}

function showDataset(dataset) {
  byId("result").hidden = false;
  const usable = IMPORT_DONE.has(dataset.state);
  for (const part of byId("result").children) part.hidden = part !== byId("result").firstElementChild && !usable;
  byId("result-title").textContent = shortUrl(dataset.source_url);
  byId("result-title").title = dataset.source_url;
  fill(byId("state"), badge(dataset.state));
  const cancelled = dataset.state === "CANCELLED";
  byId("notice").hidden = !dataset.error && !cancelled;
  byId("notice").className = `notice ${dataset.state === "FAILED" ? "bad" : "warn"}`;
  byId("notice").textContent = cancelled ? "The import was cancelled. Press Analyze to begin it again." : dataset.error ? `${dataset.error.message}${usable ? " What was read before that is here." : ""}` : "";
  fill(byId("facts"), ...tiles(usable ? [
    ["documents", number(dataset.documents)],
    ["attempts", number(dataset.attempts)],
    ["valid", number(dataset.valid_attempts)],
    ...(dataset.labelled ? [["people", number(dataset.users)], ["enrolled", number(dataset.enrolled_users)]] : []),
    ["release times", dataset.release_times ? "yes" : "no"],
  ] : []));
  byId("train-link").href = `/train?dataset=${dataset.id}`;
  byId("train-link").hidden = !usable || !dataset.labelled || dataset.enrolled_users === 0;
  byId("evaluate-link").href = `/evaluate?dataset=${dataset.id}`;
  byId("evaluate-link").hidden = !usable;
  if (!usable) return;
  fill(byId("validity"), shares("Attempts by validity", "Attempts", [
    { name: "valid", count: dataset.valid_attempts, tone: "good" },
    ...byCount(dataset.invalid).map(([name, count]) => ({ name, count, tone: "bad" })),
    ...byCount(dataset.warnings).map(([name, count]) => ({ name: `${name} (still valid)`, count, tone: "warn" })),
    ...(dataset.duplicate_attempts ? [{ name: "DUPLICATE (kept from training)", count: dataset.duplicate_attempts, tone: "warn" }] : []),
  ], dataset.attempts, number));
}

function showRecords(records) {
  fill(byId("records"), records.length === 0
    ? empty("No keystrokes.")
    : table("Keystrokes", [
      { title: "Attempt", cell: (one) => number(one.attempt), number: true },
      { title: "User", cell: (one) => one.user || "–", class: "label" },
      { title: "typed_at", cell: (one) => moment(one.typed_at), class: "number" },
      { title: "Key", cell: (one) => element("kbd", {}, keyName(one.character)) },
      { title: "Index", cell: (one) => one.character_index, number: true },
      { title: "Hold", cell: (one) => ms(one.hold_ms), number: true },
      { title: "Latency", cell: (one) => ms(one.press_to_press_ms), number: true },
      { title: "Flight", cell: (one) => ms(one.flight_ms), number: true },
      ...["year", "month", "day", "hour", "minute", "second", "microsecond"].map((name) => (
        { title: name[0].toUpperCase() + name.slice(1), cell: (one) => one[name], number: true })),
      { title: "Left out because", cell: leftOut },
    ], records, (one) => `${one.erased ? "erased" : ""} ${leftOut(one) ? "dim" : ""}`));
}

const leftOut = (record) => (record.duplicate ? "DUPLICATE" : record.reason);

const keyName = (character) => ({ " ": "␣", "[backspace]": "⌫" })[character] ?? character;

async function listEarlier() {
  const all = await datasets();
  fill(byId("earlier"), all.length === 0
    ? empty("Nothing yet: the first import shows up here.")
    : table("Imported before", [
      { title: "Source", cell: (one) => element("a", { href: `/analyze?dataset=${one.id}`, title: one.source_url }, shortUrl(one.source_url)), class: "name" },
      { title: "State", cell: (one) => badge(one.state) },
      { title: "Phrase", cell: (one) => one.phrase, class: "text" },
      { title: "People", cell: (one) => (one.labelled ? number(one.users) : "–"), number: true },
      { title: "Attempts", cell: (one) => number(one.attempts), number: true },
      { title: "Valid", cell: (one) => number(one.valid_attempts), number: true },
      { title: "Copies", cell: (one) => number(one.duplicate_attempts), number: true },
      { title: "Not valid", cell: (one) => reasons(one.invalid, number) },
      { title: "When", cell: (one) => ago(one.created_at) },
    ], all));
}

async function begin() {
  const { dataset, first_n: firstN = "100" } = parameters();
  form.elements.first_n.value = firstN;
  try {
    await Promise.all([listEarlier(), dataset ? follow(dataset, firstN, fillForm) : null]);
  } catch (problem) {
    showProblem(form, problem);
  }
}

window.addEventListener("popstate", () => location.reload());
begin();
