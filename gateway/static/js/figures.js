// How a model does on a hold-out, as columns of a table. A row has an `evaluation`, or an `error` that says why it has none.

import { badge, element } from "./dom.js";
import { number, percent } from "./format.js";

export const interval = (one) => `${percent(one.accuracy_low)} – ${percent(one.accuracy_high)}`;

const figure = (title, show) => ({ title, number: true, cell: ({ evaluation }) => (evaluation ? show(evaluation) : "–") });

const share = (title, pick) => figure(title, (one) => percent(pick(one)));

const withSub = (text, sub) => element("span", {}, text, element("span", { className: "sub" }, sub));

export const ACCURACY = figure("Accuracy", (one) => withSub(percent(one.accuracy), interval(one)));
export const TOP3 = share("Among best 3", (one) => one.top3_accuracy);
export const PRECISION = share("Precision", (one) => one.macro_precision);
export const RECALL = share("Recall", (one) => one.macro_recall);
export const F1 = share("F1", (one) => one.macro_f1);
export const EQUAL_ERROR = share("Equal error", (one) => one.equal_error_rate);
export const FALSE_ACCEPTS = figure("False accepts", (one) =>
  withSub(percent(one.false_accept_rate), `set for ${percent(one.stated_false_accept_rate)} of strangers’`));
export const FALSE_REJECTS = share("False rejects", (one) => one.false_reject_rate);
export const UNKNOWN = share("Unknown", (one) => one.unknown_rate);
export const LOG_LOSS = figure("Log loss", (one) => one.log_loss.toFixed(3));
export const CALIBRATION = share("Calibration error", (one) => one.calibration_error);
export const ATTEMPTS = figure("Attempts", (one) => number(one.attempts));

// `seen` is how many of the attempts a row's model saw; what is said of a row beyond that is `more`.
export const notes = (seen, more = () => "") => ({
  title: "Notes",
  class: "text",
  cell: (row) => {
    if (row.error) return element("span", {}, badge(row.error.reason), element("span", { className: "sub" }, row.error.message));
    return seen(row) ? element("span", { className: "badge warn" }, `LEAK: saw ${number(seen(row))} of these attempts`) : more(row);
  },
});
