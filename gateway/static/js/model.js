// One model, told in full: what it learned from, how it did, how sure it has to be, and its files.

import { element, table } from "./dom.js";
import { interval } from "./figures.js";
import { instant, number, percent, seconds } from "./format.js";

export const reference = (model) => `${model.name}@${model.version}`;

export function describe(model) {
  const people = model.evaluation.users;
  return [
    table("About this model", [
      { title: "What", cell: ([name]) => name, class: "label" },
      { title: "", cell: ([, value]) => value, class: "text" },
    ], facts(model).filter(([, value]) => value)),
    element("h3", {}, "How sure it has to be"),
    element("p", { className: "hint" }, "An attempt is believed to be somebody’s from this probability on. The rate is an estimate of how many of strangers’ claims to be one person are believed then."),
    table("Thresholds by false accept rate", [
      { title: "False accepts", cell: (one) => percent(one.false_accept_rate, 2), number: true },
      { title: "Believed from", cell: (one) => (one.threshold > 1 ? "never" : percent(one.threshold, 2)), number: true },
      { title: "", cell: (one) => (one.false_accept_rate === model.decision.default_false_accept_rate ? "unless asked for another" : "") },
    ], model.decision.thresholds),
    element("h3", {}, "Person by person, on its hold-out"),
    table("People on its hold-out", [
      { title: "Person", cell: (one) => one.user, class: "name" },
      { title: "Precision", cell: (one) => percent(one.precision), number: true },
      { title: "Recall", cell: (one) => percent(one.recall), number: true },
      { title: "Attempts", cell: (one) => number(one.support), number: true },
      { title: "Equal error", cell: (one) => percent(one.equal_error_rate), number: true },
    ], people),
    element("h3", {}, "Files"),
    table("Files of its package", [
      { title: "File", cell: (one) => one.name },
      { title: "Bytes", cell: (one) => number(one.size), number: true },
    ], model.files),
  ];
}

function facts(model) {
  const measured = model.evaluation;
  const times = model.release_times ? ", with release times" : "";
  return [
    ["Model", reference(model)],
    ["Aliases", model.aliases.join(", ")],
    ["Published", instant(model.created_at)],
    ["Learner", `${model.learner}: ${pairs(model.params)}`],
    ["Features", `${model.feature_set.name} ${model.feature_set.version}${times}`],
    ["Phrase", model.phrase],
    ["Dataset", `${model.dataset}, fingerprint ${model.fingerprint}`],
    ["Trained on", `${number(model.training_attempts)} attempts in ${seconds(model.fit_seconds)}, seed ${model.seed}`],
    ["Hold-out", `${model.split.toLowerCase()} ${percent(model.holdout, 0)}, ${number(measured.attempts)} attempts`],
    ["Accuracy", `${percent(measured.accuracy)} (${interval(measured)})`],
    ["Among the best three", percent(measured.top3_accuracy)],
    ["Log loss, calibration error", `${measured.log_loss.toFixed(3)}, ${percent(measured.calibration_error)}`],
    ["Unknown", `${percent(measured.unknown_rate)} of its people’s attempts`],
    ["Strangers", strangers(measured.open_set)],
    ["Temperature", model.temperature.toPrecision(3)],
    ["Size", `${number(model.size_kib)} KiB`],
    ["Digest", model.digest],
    ["Libraries", pairs(model.libraries)],
  ];
}

function strangers(found) {
  if (!found) return "";
  return `${percent(found.false_accept_rate)} of the claims in ${number(found.attempts)} attempts by ${number(found.impostors.length)} were believed`
    + ` (set for ${percent(found.stated_false_accept_rate)}), and ${percent(found.false_positive_identification_rate)} of the attempts taken for somebody`;
}

const pairs = (values) => Object.entries(values).sort().map(([name, value]) => `${name}=${value}`).join(", ");
