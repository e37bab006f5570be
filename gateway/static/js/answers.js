// The pictures of predictions: how sure they are, and who was named.

import { along, chart, plain } from "./chart.js";
import { drawChosen } from "./chosen.js";
import { byId } from "./dom.js";
import { number, percent } from "./format.js";

const BINS = 20;
const PEOPLE_SHOWN = 40;

// rows: the valid attempts' predictions; threshold: the model's own.
export function drawAnswers(rows, threshold) {
  for (const id of ["confidence", "who"]) byId(`${id}-figure`).hidden = rows.length === 0;
  if (rows.length === 0) return null;
  return Promise.all([drawConfidence(rows, threshold), drawWho(rows)]);
}

const DECISIONS = [["IDENTIFIED", "accent"], ["UNKNOWN", "second"]];

function drawConfidence(rows, threshold) {
  const sorted = rows.map((row) => row.probability).sort((one, other) => one - other);
  const median = sorted[Math.floor(sorted.length / 2)];
  const centres = Array.from({ length: BINS }, (_, bin) => (100 * (bin + 0.5)) / BINS);
  const counts = (decision) => {
    const bins = new Array(BINS).fill(0);
    for (const row of rows) if (row.decision === decision) bins[Math.min(BINS - 1, Math.floor(row.probability * BINS))] += 1;
    return bins;
  };
  return chart(byId("confidence"), `How sure the answers are: half of them at least ${percent(median)}.`, (colours) => ({
    traces: DECISIONS.map(([name, colour]) => ({
      type: "bar", name, x: centres, y: counts(name), width: 100 / BINS - 0.6, marker: { color: colours[colour] },
      hovertemplate: "%{y}<extra>%{fullData.name}</extra>",
    })),
    layout: {
      barmode: "stack", height: 320,
      xaxis: { range: [0, 100], ticksuffix: " %", title: { text: "probability" } }, yaxis: { title: { text: "attempts" } },
      shapes: threshold === undefined || threshold > 1 ? [] : [{
        type: "line", x0: 100 * threshold, x1: 100 * threshold, yref: "paper", y0: 0, y1: 1, line: { color: colours.ink, width: 1.5, dash: "dot" },
      }],
    },
  }));
}

function drawWho(rows) {
  const people = [...new Set(rows.map((row) => row.predicted_user))].sort((one, other) => of(rows, other) - of(rows, one));
  const says = `${number(people.length)} people are named, most often ${people[0]}, ${number(of(rows, people[0]))} times.`;
  return drawChosen("who", people, PEOPLE_SHOWN, (shown) => chart(byId("who"), says, (colours) => ({
    traces: DECISIONS.map(([name, colour]) => ({
      type: "bar", name, x: shown.map(plain), marker: { color: colours[colour] },
      y: shown.map((user) => rows.filter((row) => row.predicted_user === user && row.decision === name).length),
      hovertemplate: "%{y}<extra>%{fullData.name}</extra>",
    })),
    layout: { barmode: "stack", height: 320, xaxis: along(shown, { tickangle: -45 }), yaxis: { title: { text: "attempts" } } },
  })));
}

const of = (rows, user) => rows.filter((row) => row.predicted_user === user).length;
