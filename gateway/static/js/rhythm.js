// A rhythm as a picture: time runs to the right, each key is a bar from its press to its release.
// Two lanes, so that keys which overlap are both seen.

const SVG = "http://www.w3.org/2000/svg";
const UNSEEN_MS = 60;
const LEAST_MS = 2500;

export function shape(name, attributes, text = "") {
  const node = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  node.textContent = text;
  return node;
}

// How long an attempt took, in ms; `now` stands for releases that are still to come.
export function duration(keystrokes, now = 0) {
  if (keystrokes.length === 0) return 0;
  const ends = keystrokes.map(({ pressed, released }) => released ?? Math.max(pressed + UNSEEN_MS, now));
  return Math.max(...ends) - keystrokes[0].pressed;
}

// Draws keystrokes into an svg; `span` ms fill its width. `held` are those that are down now.
export function drawRhythm(svg, keystrokes, { span, letters = false, now = 0, held = new Set() }) {
  const width = svg.clientWidth || 600;
  const height = svg.clientHeight || 60;
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  const top = letters ? 18 : 0;
  const lane = (height - top) / 2;
  const scale = (width - 2) / Math.max(span, LEAST_MS);
  const start = keystrokes[0]?.pressed ?? 0;
  const parts = [];
  let end = -Infinity;
  keystrokes.forEach((one, index) => {
    const until = one.released ?? (held.has(one) ? now : one.pressed + UNSEEN_MS);
    const x = 1 + (one.pressed - start) * scale;
    const erases = one.character === "[backspace]";
    const kind = erases ? "erases" : one.released === null && !held.has(one) ? "unseen" : "";
    parts.push(shape("rect", {
      x: x.toFixed(2), y: top + (index % 2) * lane + 1, rx: 2.5,
      width: Math.max(2, (until - one.pressed) * scale).toFixed(2), height: lane - 2, class: `key ${kind}`,
    }));
    if (letters && x > end + 3) {
      parts.push(shape("text", { x: x.toFixed(2), y: 12 }, erases ? "⌫" : one.character === " " ? "␣" : one.character));
      end = x + 8;
    }
  });
  svg.replaceChildren(...parts);
}
