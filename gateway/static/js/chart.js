// Charts in the page's own colours, light or dark, with their words for those who do not see them.

import { plotly } from "./plotly.js";

const drawn = new Map();
const CONFIG = { displayModeBar: false, responsive: true, locale: "en" };
const NARROW = 420;
const HEIGHT = 300;
const LONGEST_NAME = 20;
const MOST_NAMES = 60;
const MOST_NAMES_NARROW = 18;

// Draws into `place` and says what it shows in `label`.
// `make(colours)` gives {traces, layout}, the layout's height in px included, and is asked again when the colours change.
export async function chart(place, label, make) {
  drawn.set(place, make);
  place.setAttribute("role", "img");
  place.setAttribute("aria-label", label);
  const Plotly = await plotly();
  if (drawn.get(place) === make) await render(Plotly, place, make);
}

// What others wrote, as text and not as Plotly's markup.
export const plain = (text) => text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");

// A name as a picture has room for it.
export function short(name) {
  const letters = [...name];
  return plain(letters.length > LONGEST_NAME ? `${letters.slice(0, LONGEST_NAME - 1).join("")}…` : name);
}

// An axis along which names stand, each of them `plain`; of more than there is room for some are written.
export function along(names, axis = {}) {
  const most = innerWidth < NARROW ? MOST_NAMES_NARROW : MOST_NAMES;
  const written = names.filter((_, place) => place % Math.ceil(names.length / most) === 0);
  return { type: "category", tickvals: written.map(plain), ticktext: written.map(short), ...axis };
}

async function render(Plotly, place, make) {
  const colours = palette();
  const { traces, layout: { height = HEIGHT, ...layout } } = make(colours);
  // Plotly fills its place, also when the window changes.
  place.style.height = `${height}px`;
  await Plotly.react(place, traces, whole(layout, colours, place.clientWidth), CONFIG);
}

function palette() {
  const style = getComputedStyle(document.documentElement);
  const colour = (name) => style.getPropertyValue(`--${name}`).trim();
  const named = ["ink", "muted", "line", "surface", "sunken", "accent", "second", "good", "warn", "bad"];
  return {
    ...Object.fromEntries(named.map((name) => [name, colour(name)])),
    series: [1, 2, 3, 4, 5, 6, 7, 8].map((number) => colour(`series-${number}`)),
  };
}

function whole(layout, colours, width) {
  const size = width < NARROW ? 11 : 13;
  const titled = (axis = {}) => ({ ...axis, title: { standoff: 10, font: { size }, ...axis.title } });
  const axis = {
    gridcolor: colours.line, linecolor: colours.line, zerolinecolor: colours.line, tickcolor: colours.line,
    automargin: true, fixedrange: true,
  };
  const { xaxis, yaxis, ...rest } = layout;
  return {
    paper_bgcolor: "transparent",
    plot_bgcolor: "transparent",
    font: { family: getComputedStyle(document.body).fontFamily, size, color: colours.muted },
    margin: { l: 8, r: 12, t: 8, b: 8 },
    autosize: true,
    dragmode: false,
    hovermode: "x unified",
    hoverlabel: { bgcolor: colours.surface, bordercolor: colours.line, font: { color: colours.ink } },
    legend: { orientation: "h", yanchor: "bottom", y: 1.02, x: 0, font: { color: colours.ink } },
    bargap: 0.25,
    ...rest,
    xaxis: { ...axis, zeroline: false, showgrid: false, ...titled(xaxis) },
    yaxis: { ...axis, zeroline: false, ...titled(yaxis) },
  };
}

matchMedia("(prefers-color-scheme: dark)").addEventListener("change", async () => {
  const Plotly = await plotly();
  for (const [place, make] of drawn) if (place.isConnected) await render(Plotly, place, make);
});
