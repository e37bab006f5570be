// The aliases of a model's name: where they point, and pointing them elsewhere.

import { api, query } from "./api.js";
import { announce, byId, fill, table } from "./dom.js";
import { instant } from "./format.js";
import { busy, clearProblems, showProblem } from "./forms.js";
import { reference } from "./model.js";

const form = byId("alias-form");

// Shows the form for one version; `changed` is called when an alias has been pointed at it.
export async function aliasForm(model, changed) {
  clearProblems(form);
  form.onsubmit = async (event) => {
    event.preventDefault();
    clearProblems(form);
    busy(form, true);
    const alias = form.elements.alias.value.trim();
    try {
      await api("PUT", `/v1/models/${encodeURIComponent(model.name)}/aliases/${encodeURIComponent(alias || "-")}`, { version: model.version });
      form.reset();
      announce(`${model.name}@${alias} is ${reference(model)} now.`);
      await Promise.all([showMoves(model), changed()]);
    } catch (problem) {
      showProblem(form, problem);
    } finally {
      busy(form, false);
    }
  };
  await showMoves(model);
}

async function showMoves({ name }) {
  const { moves } = await api("GET", `/v1/models/${encodeURIComponent(name)}/aliases${query({ page_size: 20 })}`);
  fill(byId("moves"), moves.length === 0 ? null : table(`Aliases of ${name}`, [
    { title: "Alias", cell: (one) => `${name}@${one.alias}` },
    { title: "Meant", cell: (one) => (one.version ? `version ${one.version}` : "nothing: that was deleted") },
    { title: "Since", cell: (one) => instant(one.moved_at) },
  ], moves));
}
