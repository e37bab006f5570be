// Some models side by side: figures with their intervals, and the pictures of them.

import { api, query } from "./api.js";
import { along, chart, plain } from "./chart.js";
import { drawChosen } from "./chosen.js";
import { announce, byId, fill, table } from "./dom.js";
import {
  ACCURACY, ATTEMPTS, CALIBRATION, EQUAL_ERROR, F1, FALSE_ACCEPTS, FALSE_REJECTS, interval, LOG_LOSS, notes, PRECISION, RECALL, TOP3, UNKNOWN,
} from "./figures.js";
import { percent } from "./format.js";
import { options } from "./forms.js";
import { reference } from "./model.js";

const FLOOR = 1e-4;
const RATES = [1e-4, 1e-3, 1e-2, 0.05, 0.2, 1];
const PEOPLE_SHOWN = 40;
const MATRIX_SHOWN = 60;
let latest = "";

export function hideComparison() {
  byId("comparison").hidden = true;
}

// names: references of models; on: that of the model on whose hold-out all are measured, or "" for each on its own.
export async function compare(names, on) {
  latest = `${names} ${on}`;
  const asked = latest;
  byId("comparison").hidden = false;
  const models = await Promise.all(names.map((name) => api("GET", `/v1/models/${encodeURIComponent(name)}`)));
  const rows = on ? await onOne(models, models.find((one) => reference(one) === on) ?? models[0]) : models.map(own);
  if (latest !== asked) return;
  options(byId("on"), [["", "each its own hold-out"], ...models.map((one) => [reference(one), `the hold-out of ${reference(one)}`])], on);
  tellUnfair(models, on);
  showMetrics(rows);
  const measured = rows.filter((row) => row.evaluation);
  await Promise.all([drawAccuracy(measured), drawDet(measured), drawCalibration(measured), drawUsers(measured), wireMatrix(measured)]);
  announce("The comparison is on the page.");
}

const own = (model) => ({ name: reference(model), learner: model.learner, evaluation: model.evaluation, labels: model.users, seen: 0 });

function onOne(models, { dataset, holdout, split, seed }) {
  const where = query({ dataset, holdout, split: split.toLowerCase(), seed });
  return Promise.all(models.map(async (model) => {
    const row = await api("GET", `/v1/models/${encodeURIComponent(reference(model))}/evaluation${where}`);
    return { ...own(model), evaluation: row.evaluation, seen: row.seen_attempts, error: row.error };
  }));
}

function tellUnfair(models, on) {
  const holdouts = new Set(models.map((one) => `${one.fingerprint} ${one.holdout} ${one.split} ${one.seed}`));
  const unfair = !on && holdouts.size > 1;
  byId("unfair").hidden = !unfair;
  byId("unfair").textContent = "These were measured on different hold-outs, so their figures cannot be set side by side. Choose one hold-out above for all of them.";
}

function showMetrics(rows) {
  fill(byId("metrics"), table("Metrics", [
    { title: "Model", cell: (row) => row.name, class: "name" },
    ACCURACY, TOP3, PRECISION, RECALL, F1, EQUAL_ERROR, FALSE_ACCEPTS, FALSE_REJECTS, UNKNOWN, LOG_LOSS, CALIBRATION, ATTEMPTS,
    notes((row) => row.seen),
  ], rows, (row) => (row.error ? "dim" : "")));
}

const series = (colours, index) => colours.series[index % colours.series.length];

function drawAccuracy(rows) {
  const says = rows.map(({ name, evaluation }) => `${name} ${percent(evaluation.accuracy)}, ${interval(evaluation)}`).join("; ");
  return chart(byId("accuracy"), `Accuracy: ${says}.`, (colours) => ({
    traces: [{
      type: "scatter", mode: "markers", orientation: "h", cliponaxis: false,
      x: rows.map((row) => 100 * row.evaluation.accuracy),
      y: rows.map((row) => row.name),
      marker: { size: 11, color: rows.map((_, index) => series(colours, index)) },
      error_x: {
        type: "data", symmetric: false, thickness: 2, width: 5, color: colours.muted,
        array: rows.map(({ evaluation }) => 100 * (evaluation.accuracy_high - evaluation.accuracy)),
        arrayminus: rows.map(({ evaluation }) => 100 * (evaluation.accuracy - evaluation.accuracy_low)),
      },
      hovertemplate: "%{y}: %{x:.1f} %<extra></extra>",
    }],
    layout: {
      hovermode: "closest",
      height: 90 + 44 * rows.length,
      margin: { l: 8, r: 28, t: 8, b: 8 },
      xaxis: { ticksuffix: " %", showgrid: true, maxallowed: 100, title: { text: "accuracy" } },
      yaxis: along(rows.map((row) => row.name), { autorange: "reversed", showgrid: false }),
    },
  }));
}

function drawDet(rows) {
  const says = rows.map(({ name, evaluation }) => `${name} ${percent(evaluation.equal_error_rate)}`).join("; ");
  const ticks = { type: "log", range: [-4.1, 0.05], tickvals: RATES, ticktext: RATES.map((rate) => `${100 * rate} %`), showgrid: true };
  return chart(byId("det"), `False accepts against false rejects of each model. Equal error rates: ${says}.`, (colours) => ({
    traces: rows.map(({ name, evaluation }, index) => ({
      // A model that makes no mistake is a point.
      type: "scatter", mode: evaluation.det.length > 2 ? "lines" : "markers", name: plain(name),
      line: { width: 2.5, color: series(colours, index), shape: "hv" }, marker: { size: 10, color: series(colours, index) },
      x: evaluation.det.map((point) => Math.max(FLOOR, point.false_accept_rate)),
      y: evaluation.det.map((point) => Math.max(FLOOR, point.false_reject_rate)),
      customdata: evaluation.det.map((point) => [100 * point.false_accept_rate, 100 * point.false_reject_rate, point.threshold]),
      hovertemplate: "false accepts %{customdata[0]:.2f} %, false rejects %{customdata[1]:.2f} % from %{customdata[2]:.3f}<extra>%{fullData.name}</extra>",
    })),
    layout: {
      height: 380, hovermode: "closest",
      xaxis: { ...ticks, title: { text: "false accepts" } }, yaxis: { ...ticks, title: { text: "false rejects" } },
    },
  }));
}

function drawCalibration(rows) {
  const says = rows.map(({ name, evaluation }) => `${name} is off by ${percent(evaluation.calibration_error)} on average`).join("; ");
  return chart(byId("calibration"), `How often each model is right when it is so sure: ${says}.`, (colours) => ({
    traces: [
      { type: "scatter", mode: "lines", x: [0, 100], y: [0, 100], line: { dash: "dot", width: 1, color: colours.muted }, hoverinfo: "skip", showlegend: false },
      ...rows.map(({ name, evaluation }, index) => ({
        type: "scatter", mode: "lines+markers", name: plain(name),
        line: { width: 1, color: series(colours, index) },
        marker: { size: evaluation.reliability.map((bin) => 5 + 14 * Math.sqrt(bin.attempts / evaluation.attempts)) },
        x: evaluation.reliability.map((bin) => 100 * bin.confidence),
        y: evaluation.reliability.map((bin) => 100 * bin.accuracy),
        customdata: evaluation.reliability.map((bin) => bin.attempts),
        hovertemplate: "%{x:.0f} % sure, right %{y:.0f} % of %{customdata} times<extra>%{fullData.name}</extra>",
      })),
    ],
    layout: {
      height: 380, hovermode: "closest",
      xaxis: { range: [0, 102], ticksuffix: " %", showgrid: true, title: { text: "how sure" } },
      yaxis: { range: [0, 104], ticksuffix: " %", title: { text: "how often right" } },
    },
  }));
}

function drawUsers(rows) {
  const people = [...new Set(rows.flatMap(({ evaluation }) => evaluation.users.filter((one) => one.support).map((one) => one.user)))];
  const worst = rows.map(({ name, evaluation }) => {
    const [last] = evaluation.users.filter((one) => one.support).sort((one, other) => one.recall - other.recall);
    return last ? `${name}: ${last.user} ${percent(last.recall, 0)}` : name;
  }).join("; ");
  return drawChosen("users", people, PEOPLE_SHOWN, (shown) => chart(byId("users"), `Share of each person’s attempts that is given to them. The least: ${worst}.`, (colours) => ({
    traces: rows.map(({ name, evaluation }, index) => {
      const found = new Map(evaluation.users.map((one) => [one.user, one]));
      return {
        type: "bar", name: plain(name), marker: { color: series(colours, index) },
        x: shown.map(plain), y: shown.map((user) => 100 * (found.get(user)?.recall ?? 0)),
        hovertemplate: "%{y:.0f} %<extra>%{fullData.name}</extra>",
      };
    }),
    layout: { height: 380, barmode: "group", xaxis: along(shown, { tickangle: -45 }), yaxis: { range: [0, 102], ticksuffix: " %" } },
  })));
}

async function wireMatrix(rows) {
  const select = byId("matrix");
  options(select, rows.map((row) => [row.name, row.name]), rows[0]?.name);
  const draw = () => drawMatrix(rows.find((row) => row.name === select.value));
  select.onchange = draw;
  byId("confusion-figure").hidden = rows.length === 0;
  if (rows.length > 0) await draw();
}

function drawMatrix({ name, evaluation, labels }) {
  const size = labels.length;
  const cells = matrix(evaluation, size);
  const present = labels.map((_, row) => row).filter((row) => cells[row].some((count) => count > 0));
  const wrong = present.flatMap((row) => labels.map((_, column) => ({ row, column, count: row === column ? 0 : cells[row][column] })))
    .filter((one) => one.count > 0).sort((one, other) => other.count - one.count);
  const often = wrong.slice(0, 3).map(({ row, column, count }) => `${labels[row]} for ${labels[column]} ${count} times`).join("; ");
  const says = `Confusion of ${name}. ${often ? `Most often taken wrongly: ${often}.` : "Nobody was taken for another."}`;
  const place = new Map(labels.map((label, row) => [label, row]));
  return drawChosen("confusion", present.map((row) => labels[row]), MATRIX_SHOWN, (people) => {
    const rows = people.map((one) => place.get(one));
    // Who was named stands there too, where not everybody does.
    const columns = labels.map((_, column) => column)
      .filter((column) => rows.length === present.length || rows.some((row) => row === column || cells[row][column]));
    return chart(byId("confusion"), says, (colours) => confusion(people, columns.map((column) => labels[column]),
      rows.map((row) => columns.map((column) => cells[row][column])), colours));
  });
}

const confusion = (typed, named, z, colours) => ({
  traces: [{
    type: "heatmap", z, x: named.map(plain), y: typed.map(plain),
    colorscale: [[0, colours.sunken], [1, colours.accent]], xgap: 1, ygap: 1, showscale: false,
    text: z.map((row) => row.map((count) => (count ? String(count) : ""))), texttemplate: typed.length <= 24 ? "%{text}" : "",
    hovertemplate: "%{y} taken for %{x}: %{z}<extra></extra>",
  }],
  layout: {
    height: Math.max(320, 110 + 24 * typed.length), hovermode: "closest",
    xaxis: along(named, { tickangle: -45, title: { text: "named" } }),
    yaxis: along(typed, { autorange: "reversed", title: { text: "typed" }, showgrid: false }),
  },
});

// Rows by who typed, columns by who was named.
function matrix({ confusion }, size) {
  const cells = Array.from({ length: size }, () => new Array(size).fill(0));
  confusion.count.forEach((count, at) => { cells[confusion.actual[at]][confusion.predicted[at]] = count; });
  return cells;
}
