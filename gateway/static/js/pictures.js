// The pictures of a dataset: one person against everybody.

import { api, query } from "./api.js";
import { along, chart, plain, short } from "./chart.js";
import { drawChosen } from "./chosen.js";
import { byCount, byId, element, fill } from "./dom.js";
import { number, percent } from "./format.js";
import { clearProblems, parameters, showProblem } from "./forms.js";

const PEOPLE_SHOWN = 40;
const MOST_USERS = 1000;
const NOBODY = "";
const DAY_MS = 86_400_000;
const MOST_COUNTS = 16;
const FEW = 5;
let shown = "";

export async function showPictures(dataset) {
  shown = dataset.id;
  byId("pictures").hidden = dataset.valid_attempts === 0;
  if (dataset.valid_attempts === 0) return;
  const users = dataset.labelled
    ? (await api("GET", `/v1/datasets/${dataset.id}/users${query({ page_size: MOST_USERS })}`)).users
    : [];
  await Promise.all([choosePerson(dataset, users.filter((one) => one.valid_attempts)), drawValidity(dataset, users)]);
}

async function choosePerson(dataset, users) {
  const select = byId("user");
  select.closest(".row").hidden = !dataset.labelled;
  fill(select, element("option", { value: NOBODY }, "nobody"), ...users.map(({ user }) => element("option", { value: user }, user)));
  byId("user-hint").textContent = dataset.users > MOST_USERS ? `The first ${number(MOST_USERS)} of ${number(dataset.users)} people are in this list.` : "";
  const { user: wanted } = parameters();
  select.value = users.some(({ user }) => user === wanted) ? wanted : users[0]?.user ?? NOBODY;
  select.onchange = () => {
    history.replaceState(null, "", `/analyze${query({ ...parameters(), user: select.value })}`);
    clearProblems(byId("pictures"));
    draw(dataset, select.value).catch((problem) => showProblem(byId("pictures"), problem));
  };
  await draw(dataset, select.value);
}

async function draw(dataset, user) {
  const summary = await api("GET", `/v1/datasets/${dataset.id}/summary${query({ user })}`);
  if (shown !== dataset.id || byId("user").value !== user) return;
  const one = summary.user;
  await Promise.all([
    drawTime(summary, one),
    drawTimelines(summary, one, dataset.users),
    drawPair("speed", "Keys per second", summary, one, (profile) => profile.keys_per_second, (value) => value.toFixed(1)),
    drawPair("corrections", "Backspaces of all keystrokes", summary, one, (profile) => 100 * profile.correction_rate, (value) => `${value.toFixed(1)} %`),
    drawDna("latency", "The pause before each key", summary, one, "press_to_press_ms"),
    drawDna("hold", "How long each key is held", summary, one, "hold_ms"),
  ]);
}

// People from above to below, whoever was chosen the first of them; periods from left to right.
function drawTimelines({ periods, timelines }, one, people) {
  byId("timelines-figure").hidden = timelines.length === 0;
  if (timelines.length === 0) return null;
  const of = new Map(timelines.map(({ user, attempts }) => [user, attempts]));
  if (one) of.set(one.user, of.get(one.user) ?? spread(periods, one.periods));
  const names = [...new Set([...(one ? [one.user] : []), ...of.keys()])];
  const when = periods.map(({ first_day: first, last_day: last }) => (first === last ? first : `${first} to ${last}`));
  const ticks = periods.map((_, place) => place).filter((place) => place % Math.ceil(periods.length / FEW) === 0);
  const says = `Attempts of each person over time: ${number(people)} people in ${number(periods.length)} periods.`;
  return drawChosen("timelines", names, PEOPLE_SHOWN, (chosen) => chart(byId("timelines"), says, (colours) => {
    const z = chosen.map((name) => of.get(name));
    return {
      traces: [{
        type: "heatmap", z, x: when, y: chosen.map(plain), zmin: 0,
        colorscale: [[0, colours.sunken], [1, colours.accent]], zmax: Math.max(1, ...z.flat()), xgap: 1, ygap: 2, showscale: false,
        text: z.map((row) => row.map((count) => (count ? String(count) : ""))), texttemplate: when.length <= MOST_COUNTS ? "%{text}" : "",
        hovertemplate: "%{y}, %{x}: %{z}<extra></extra>",
      }],
      layout: {
        height: 80 + 20 * chosen.length, hovermode: "closest",
        xaxis: { type: "category", tickvals: ticks.map((place) => when[place]), ticktext: ticks.map((place) => periods[place].first_day) },
        yaxis: along(chosen, { autorange: "reversed", showgrid: false }),
      },
    };
  }), people);
}

// The counts of some periods, at their places among all.
function spread(periods, some) {
  const counts = new Map(some.map((period) => [period.first_day, period.attempts]));
  return periods.map((period) => counts.get(period.first_day) ?? 0);
}

function drawTime({ periods }, one) {
  const total = periods.reduce((sum, period) => sum + period.attempts, 0);
  const says = periods.length === 0 ? "no attempts"
    : `${number(total)} attempts from ${periods[0].first_day} to ${periods.at(-1).last_day}${one ? `, ${number(one.periods.reduce((sum, period) => sum + period.attempts, 0))} of them by ${one.user}` : ""}`;
  // Plotly makes bars as wide as the smallest gap between them.
  const width = 0.8 * Math.min(...periods.map(({ first_day: first, last_day: last }) => Date.parse(last) - Date.parse(first) + DAY_MS));
  const bars = (some, name, color) => ({
    type: "bar", name: short(name), marker: { color }, width,
    x: some.map((period) => period.first_day), y: some.map((period) => period.attempts),
    hovertemplate: "%{y}<extra>%{fullData.name}</extra>",
  });
  return chart(byId("time"), `Attempts over time: ${says}.`, (colours) => ({
    traces: [bars(periods, "everybody", colours.line), ...(one ? [bars(one.periods, one.user, colours.accent)] : [])],
    layout: { barmode: "overlay", xaxis: { type: "date", ...days(periods, width) }, yaxis: { title: { text: "attempts" } } },
  }));
}

// Of few days each has its date, and room around them; Plotly would go on to hours.
function days(periods, width) {
  if (periods.length === 0 || periods.length > FEW) return {};
  const room = (FEW - periods.length) * width;
  return {
    tickvals: periods.map((one) => one.first_day), tickformat: "%b %-d, %Y",
    range: [Date.parse(periods[0].first_day) - room - width, Date.parse(periods.at(-1).first_day) + room + width],
  };
}

function drawPair(id, title, { everyone }, one, pick, format) {
  const entries = [...(one ? [[one.user, pick(one.profile)]] : []), ["everybody", pick(everyone)]];
  const most = Math.max(...entries.map(([, value]) => value));
  // A figure stands in its bar where that has room.
  const within = entries.map(([, value]) => value > most / 5);
  return chart(byId(id), `${title}: ${entries.map(([name, value]) => `${name} ${format(value)}`).join(", ")}.`, (colours) => ({
    traces: [{
      type: "bar", orientation: "h", width: 0.5,
      y: entries.map(([name]) => plain(name)), x: entries.map(([, value]) => value),
      text: entries.map(([, value]) => format(value)), textposition: within.map((is) => (is ? "inside" : "outside")),
      marker: { color: entries.map(([name]) => (name === "everybody" ? colours.line : colours.accent)) },
      textfont: { color: entries.map(([name], place) => (name === "everybody" || !within[place] ? colours.ink : colours.surface)) },
      hoverinfo: "skip",
    }],
    layout: { height: 150, xaxis: { rangemode: "tozero", showticklabels: false, zeroline: true }, yaxis: along(entries.map(([name]) => name), { autorange: "reversed", showgrid: false }) },
  }));
}

function drawDna(id, title, { keys, everyone }, one, field) {
  byId(`${id}-figure`).hidden = !everyone[field];
  if (!everyone[field]) return null;
  // The first key has nothing before it.
  const from = field === "press_to_press_ms" ? 1 : 0;
  const places = keys.map((_, place) => place).slice(from);
  const labels = keys.map((key) => (key === " " ? "␣" : key)).slice(from);
  const profiles = [["everybody", everyone[field]], ...(one?.profile[field] ? [[one.user, one.profile[field]]] : [])];
  const slowest = (quartiles) => places.reduce((most, place) => (quartiles.median[place] > quartiles.median[most] ? place : most), from);
  const says = profiles.map(([name, quartiles]) => {
    const place = slowest(quartiles);
    return `${name} at most ${quartiles.median[place].toFixed(0)} ms, at key ${place + 1}, “${keys[place]}”`;
  }).join("; ");
  return chart(byId(id), `${title}, medians along the phrase: ${says}.`, (colours) => ({
    traces: profiles.flatMap(([name, quartiles], index) => {
      const colour = index === 0 ? colours.muted : colours.accent;
      const edge = { type: "scatter", mode: "lines", x: places, line: { width: 0 }, hoverinfo: "skip", showlegend: false };
      const cut = (values) => values.slice(from);
      return [
        { ...edge, y: cut(quartiles.lower) },
        { ...edge, y: cut(quartiles.upper), fill: "tonexty", fillcolor: soft(colour) },
        {
          type: "scatter", mode: "lines+markers", name: short(name), x: places, y: cut(quartiles.median),
          line: { width: index === 0 ? 1.5 : 2.5, color: colour }, marker: { size: index === 0 ? 3 : 6 },
          customdata: labels, hovertemplate: "%{y:.0f} ms<extra>%{fullData.name}</extra>",
        },
      ];
    }),
    layout: {
      height: 320,
      xaxis: { tickvals: places, ticktext: labels, tickfont: { family: "monospace" }, tickangle: 0, range: [from - 0.5, keys.length - 0.5] },
      yaxis: { title: { text: "ms" }, rangemode: "tozero" },
    },
  }));
}

// A colour like #0d6b66, to see through.
const soft = (colour) => `rgba(${[1, 3, 5].map((at) => parseInt(colour.slice(at, at + 2), 16)).join(",")},0.18)`;

function drawValidity(dataset, users) {
  const invalid = byCount(dataset.invalid);
  if (users.length === 0) {
    const kinds = [["valid", dataset.valid_attempts], ...invalid];
    return stacks(dataset, ["all attempts"], kinds.map(([name, count]) => [name, [count]]));
  }
  const of = new Map(users.map((one) => [one.user, one]));
  return drawChosen("reasons", [...of.keys()], PEOPLE_SHOWN, (names) => {
    const rows = names.map((name) => of.get(name));
    return stacks(dataset, names, [
      ["valid", rows.map((one) => one.valid_attempts - one.duplicate_attempts)],
      ...(dataset.duplicate_attempts ? [["DUPLICATE", rows.map((one) => one.duplicate_attempts)]] : []),
      ...invalid.map(([reason]) => [reason, rows.map((one) => one.invalid[reason] ?? 0)]),
    ]);
  }, dataset.users);
}

function stacks(dataset, names, kinds) {
  const says = [["valid", dataset.valid_attempts], ...byCount(dataset.invalid)]
    .map(([name, count]) => `${name} ${percent(count / dataset.attempts)}`).join(", ");
  return chart(byId("reasons"), `Attempts by validity: ${says}.`, (colours) => {
    const series = [colours.series[0], colours.series[1], colours.series[6], colours.series[3], colours.series[4], colours.series[2], colours.series[5]];
    return {
      traces: kinds.map(([name, counts], index) => ({
        type: "bar", name, x: names.map(plain), y: counts, marker: { color: series[index % series.length] },
        hovertemplate: "%{y}<extra>%{fullData.name}</extra>",
      })),
      // Few bars stay slim.
      layout: { barmode: "stack", bargap: Math.max(0.25, 1 - names.length / FEW), xaxis: along(names, { tickangle: names.length > 6 ? -45 : 0 }), yaxis: { title: { text: "attempts" } } },
    };
  });
}
