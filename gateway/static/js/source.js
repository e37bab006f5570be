// Where data comes from: a dataset that is there, a URL, or files.

import { api, listed, Problem } from "./api.js";
import { byId } from "./dom.js";
import { underWay } from "./watch.js";
import { plural, shortUrl } from "./format.js";
import { options } from "./forms.js";

export const IMPORT_DONE = new Set(["READY", "INCOMPLETE"]);

export function chosenSource(form) {
  return form.elements.namedItem("source").value;
}

// Shows the panel of the chosen source; `onChange` hears of it.
export function wireSource(form, onChange = () => {}) {
  const show = () => {
    const chosen = chosenSource(form);
    for (const panel of form.querySelectorAll("[data-panel]")) panel.hidden = panel.dataset.panel !== chosen;
    onChange(chosen);
  };
  for (const radio of form.querySelectorAll("input[name=source]")) radio.addEventListener("change", show);
  show();
}

export function choose(form, source) {
  const radio = form.querySelector(`input[name=source][value=${source}]`);
  radio.checked = true;
  radio.dispatchEvent(new Event("change"));
}

export const datasets = () => listed("/v1/datasets", "datasets");

// A refresh that finds nothing new ends in the dataset from before, which has another id than the one `asked` for.
export function tellUnchanged(asked, dataset) {
  byId("unchanged").hidden = dataset.id === asked;
}

// Fills the list of datasets that can be used. Without any, a URL is the way.
export async function fillDatasets(form, { labelled, chosen }) {
  const usable = (await datasets()).filter((one) =>
    (IMPORT_DONE.has(one.state) || underWay(one)) && (!labelled || one.labelled || underWay(one)));
  options(form.elements.namedItem("dataset"), usable.map((one) => [one.id, describe(one)]), chosen);
  if (usable.length === 0) choose(form, "url");
  return usable;
}

function describe(dataset) {
  const who = dataset.labelled ? `${plural(dataset.users, "person", "people")}, ` : "";
  return `${shortUrl(dataset.source_url)} · ${who}${plural(dataset.attempts, "attempt", "attempts")} · ${dataset.id}`;
}

// Files that are being sent are lost with the page, which asks before it is left.
async function sent(body, files, running) {
  const stay = (event) => event.preventDefault();
  window.addEventListener("beforeunload", stay);
  const mebibytes = files.reduce((sum, file) => sum + file.size, 0) / 2 ** 20;
  running.show(`Sending ${plural(files.length, "file", "files")}`, `${mebibytes.toFixed(1)} MiB. Stay on this page until they are sent.`);
  try {
    return await api("POST", "/v1/datasets:upload", body);
  } finally {
    window.removeEventListener("beforeunload", stay);
    running.hide();
  }
}

// The chosen dataset's id, or that of the import which this begins; `running` tells that files are being sent.
export async function startSource(form, values, running) {
  const source = chosenSource(form);
  if (source === "dataset") {
    const id = form.elements.namedItem("dataset").value;
    if (!id) throw new Problem({ reason: "DATASET_NOT_FOUND", field: "dataset", detail: "There is no dataset yet; give a URL or files." });
    return id;
  }
  if (source === "files") {
    const body = new FormData();
    // The API sends files on as they come, so it must know the rest before.
    for (const [name, value] of Object.entries(values)) body.append(name, value);
    const { files } = form.elements.namedItem("files");
    for (const file of files) body.append("files", file);
    return (await sent(body, [...files], running)).id;
  }
  const url = form.elements.namedItem("url").value.trim();
  const refresh = form.elements.namedItem("refresh").checked;
  return (await api("POST", "/v1/datasets", { url, refresh, ...values })).id;
}
