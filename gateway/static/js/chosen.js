// Whom a picture of many people shows: so many at once, the next ones, or those whose names hold a text.

import { byId, element } from "./dom.js";
import { number, plural } from "./format.js";

// Draws the first `most` of `names` by `draw(names)`, and others where somebody asks for them beside the chart `id`.
// `of` is how many people there are, where `names` are only the first of them.
export function drawChosen(id, names, most, draw, of = names.length) {
  const figure = byId(`${id}-figure`);
  figure.querySelector(".chosen")?.remove();
  if (of <= most) return draw(names);
  const text = element("p", { className: "hint", role: "status" });
  const back = element("button", { type: "button", className: "quiet", ariaLabel: "People before these" }, "←");
  const on = element("button", { type: "button", className: "quiet", ariaLabel: "People after these" }, "→");
  const find = element("input", { type: "search", placeholder: "Find a name", ariaLabel: "Show people whose names hold" });
  let from = 0;
  const show = () => {
    const wanted = find.value.trim().toLowerCase();
    const found = wanted ? names.filter((name) => name.toLowerCase().includes(wanted)) : names;
    const people = found.slice(from, from + most);
    back.disabled = from === 0;
    on.disabled = from + most >= found.length;
    text.textContent = told(people.length, from, wanted ? found.length : of, wanted);
    return people.length ? draw(people) : null;
  };
  const go = (place) => {
    from = place;
    return show();
  };
  back.addEventListener("click", () => go(from - most));
  on.addEventListener("click", () => go(from + most));
  find.addEventListener("input", () => go(0));
  figure.querySelector("figcaption").after(element("div", { className: "chosen" }, text, back, on, find));
  return show();

  function told(shown, first, all, wanted) {
    const among = names.length < of ? ` among the first ${number(names.length)}` : "";
    const whose = wanted ? ` with “${wanted}” in their names${among}` : "";
    if (shown === 0) return `There is nobody${whose}.`;
    if (shown === all) return `All ${plural(all, "person", "people")}${whose} are shown.`;
    return `People ${number(first + 1)} to ${number(first + shown)} of ${number(all)}${whose} are shown.`;
  }
}
