// What a model says of one attempt: who it was, how sure that is, and what each key said.

import { badge, element, fill } from "./dom.js";
import { percent } from "./format.js";
import { shape } from "./rhythm.js";

const HALF = 26;
const TOLD = 3;

// answer: of identify, explained; `people` are those who were enrolled, the others are made up. Gives the answer in words.
export function showVerdict(headline, place, answer, people) {
  const [best] = answer.candidates;
  const sentence = best ? sentenceOf(best, answer.decision, people) : "That does not read as the phrase";
  headline.hidden = false;
  fill(headline, element("p", { className: "headline-name" }, sentence),
    badge(best && !people.includes(best.user) ? "UNKNOWN" : answer.decision));
  if (best) fill(place, candidates(answer, people), explanation(answer.explanation, people));
  // How sure it is of somebody made up says nothing of those who are known.
  return best && people.includes(best.user) ? `${sentence}, ${percent(best.probability, 0)}` : sentence;
}

function sentenceOf(best, decision, people) {
  if (!people.includes(best.user)) return people.length === 1 ? `Not ${people[0]}` : "None of you";
  return decision === "IDENTIFIED" ? best.user : `Perhaps ${best.user}`;
}

const nameOf = (user, people) => (people.includes(user) ? user : `${user}, made up`);

function candidates(answer, people) {
  const rows = answer.candidates.map(({ user, probability }) =>
    element("li", { className: people.includes(user) ? "known" : "" },
      element("span", { className: "who" }, nameOf(user, people)),
      element("progress", { className: "share", max: 1, value: probability, ariaLabel: `Probability of ${user}` }),
      element("span", { className: "number" }, percent(probability, 0))));
  return element("div", { className: "candidates" },
    element("h3", {}, "How likely"),
    element("ol", { className: "bars" }, ...rows),
    element("p", { className: "hint" }, `Believed from ${percent(answer.threshold, 0)} on.`));
}

function explanation({ user, keys }, people) {
  const most = Math.max(0.5, ...keys.map((key) => Math.max(Math.abs(key.latency), Math.abs(key.hold))));
  const who = nameOf(user, people);
  return element("div", { className: "explanation" },
    element("h3", {}, `What spoke for and against ${who}`),
    element("div", { className: "phrase-keys", ariaHidden: "true" }, ...words(keys).map((word) =>
      element("span", { className: "word" }, ...word.map((key) => column(key, most))))),
    element("p", { className: "legend" },
      element("span", { className: "swatch latency" }), "the pause before the key",
      element("span", { className: "swatch hold" }), "how long it was held · up: for, down: against"),
    element("p", { className: "hint" }, inWords(keys, who)));
}

function words(keys) {
  const found = [[]];
  for (const key of keys) {
    found.at(-1).push(key);
    if (key.character === " ") found.push([]);
  }
  return found;
}

function column(key, most) {
  const svg = shape("svg", { viewBox: `0 0 18 ${2 * HALF}` });
  svg.append(shape("line", { x1: 0, x2: 18, y1: HALF, y2: HALF, class: "zero" }));
  for (const [kind, x] of [["latency", 3], ["hold", 10]]) {
    const height = (Math.abs(key[kind]) / most) * (HALF - 1);
    svg.append(shape("rect", {
      x, width: 5, rx: 1, y: (key[kind] > 0 ? HALF - height : HALF).toFixed(2), height: height.toFixed(2),
      class: `${kind} ${key[kind] > 0 ? "for" : "against"}`,
    }));
  }
  return element("span", { className: "phrase-key" }, svg, element("span", {}, key.character === " " ? "␣" : key.character));
}

function inWords(keys, who) {
  const said = keys.flatMap((key, place) => ["latency", "hold"].map((kind) => (
    { weight: key[kind], text: `${kind === "latency" ? "the pause before" : "the hold of"} “${key.character}” (key ${place + 1})` })));
  said.sort((one, other) => other.weight - one.weight);
  const list = (some) => some.map((one) => one.text).join(", ");
  const most = list(said.filter((one) => one.weight > 0).slice(0, TOLD));
  const least = list(said.filter((one) => one.weight < 0).slice(-TOLD).reverse());
  return [most && `Most for ${who}: ${most}.`, least && `Most against: ${least}.`].filter(Boolean).join(" ");
}
