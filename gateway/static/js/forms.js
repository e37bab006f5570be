// Forms: which error belongs where, and being busy.

import { Problem } from "./api.js";
import { element } from "./dom.js";

const SOURCES = ["dataset", "url", "files"];

// Puts the API's sentence beside the field that it names, or at the form's end.
// `names` maps the API's field names to the form's where they differ.
export function showProblem(form, problem, names = {}) {
  const place = findPlace(form, names[problem.field] ?? problem.field) ?? form.querySelector("[data-form-error]");
  place.textContent = problem.message;
  place.hidden = false;
  const control = place.closest("[data-field]")?.querySelector("input, select");
  if (control && control.offsetParent !== null) {
    control.setAttribute("aria-invalid", "true");
    control.focus();
  } else {
    place.setAttribute("role", "alert");
    place.scrollIntoView({ block: "nearest" });
  }
}

// The error's place of a field, if the field can be seen.
function findPlace(form, name) {
  if (!name) return null;
  const field = form.querySelector(`[data-field="${CSS.escape(name)}"]`);
  // What is wrong in a part that has no field of its own is wrong in the whole: "params.x" in "params".
  if (!field) return findPlace(form, name.split(".").slice(0, -1).join("."));
  field.closest("details")?.setAttribute("open", "");
  if (field.closest("[hidden]") !== null && !field.matches(".error")) {
    // A dataset may have come by its URL, or as files, and then that is what can be mended.
    return SOURCES.includes(name) ? form.querySelector("[data-panel]:not([hidden]) .error") : null;
  }
  return field.matches(".error") ? field : field.querySelector(".error");
}

export function clearProblems(form) {
  for (const place of form.querySelectorAll(".error")) {
    place.hidden = true;
    place.textContent = "";
  }
  for (const control of form.querySelectorAll("[aria-invalid]")) control.removeAttribute("aria-invalid");
}

export function busy(form, on) {
  for (const button of form.querySelectorAll("button[type=submit]")) button.disabled = on;
}

// Said before an import of minutes and not after it; the sentence is the API's.
export function checkFirstN(text) {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1 || value > 1000) {
    throw new Problem({ reason: "PAGE_SIZE_INVALID", field: "first_n", detail: "The number of rows must be a whole number from 1 to 1000." });
  }
}

// A browser gives a number field that holds no number as an empty one.
export function checkNumbers(form) {
  const wrong = [...form.querySelectorAll("input[type=number]")].find((input) => input.validity.badInput && input.closest("[data-panel][hidden], [data-import][hidden]") === null);
  if (wrong) throw new Problem({ reason: "NOT_A_NUMBER", field: wrong.closest("[data-field]").dataset.field, detail: "That is no number." });
}

// What the API would take for its default is no choice of anybody's here.
export function checkImport(form) {
  if (form.elements.phrase.value === "") {
    throw new Problem({ reason: "PHRASE_INVALID", field: "phrase", detail: "What did everybody type?" });
  }
  const least = Number(form.elements.min_attempts.value);
  if (!Number.isInteger(least) || least < 1) {
    throw new Problem({ reason: "MIN_ATTEMPTS_INVALID", field: "min_attempts", detail: "The least number of attempts must be a whole number, 1 or more." });
  }
}

// What a number field holds, as the API should see it: nothing is nothing, and text stays text to be refused.
export function numeric(text) {
  const trimmed = text.trim();
  return trimmed !== "" && Number.isFinite(Number(trimmed)) ? Number(trimmed) : trimmed;
}

export function options(select, entries, chosen) {
  select.replaceChildren(...entries.map(([value, label]) =>
    element("option", { value, selected: value === chosen }, label)));
}

// A key that makes a repeated request the same request.
export function requestId() {
  return [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

export function parameters() {
  return Object.fromEntries(new URLSearchParams(location.search));
}
