// How a model learns: loss and accuracy, step by step, drawn again as they come.

import { chart } from "./chart.js";
import { byId } from "./dom.js";
import { percent } from "./format.js";

const CURVES = [
  { id: "loss", title: "Training loss", pick: (point) => point.loss, format: (value) => `${value.toFixed(3)} nats`, unit: "nats", scale: 1 },
  { id: "learnt", title: "Training accuracy", pick: (point) => point.accuracy, format: (value) => percent(value), unit: "%", scale: 100 },
];

// Of a job whose learner tells none there are no curves.
export function drawCurves(curve = []) {
  const drawn = CURVES.map(({ id, title, pick, format, unit, scale }) => {
    const points = curve.filter((point) => pick(point) !== undefined);
    byId(`${id}-figure`).hidden = points.length < 2;
    if (points.length < 2) return null;
    const says = `${title}: ${format(pick(points[0]))} at first, ${format(pick(points.at(-1)))} at step ${points.at(-1).step}.`;
    return chart(byId(id), says, (colours) => ({
      traces: [{
        type: "scatter", mode: "lines", name: title, line: { width: 2.5, color: id === "loss" ? colours.second : colours.accent },
        x: points.map((point) => point.step), y: points.map((point) => scale * pick(point)),
        hovertemplate: `%{y:.4~g} ${unit}<extra></extra>`,
      }],
      layout: { height: 240, xaxis: { title: { text: "step" } }, yaxis: { title: { text: unit } } },
    }));
  });
  return Promise.all(drawn);
}
