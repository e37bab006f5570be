// Small helpers to make elements; text only ever becomes text.

// Tells those who listen instead of looking.
export function announce(text) {
  byId("announce").textContent = text;
}

export const byId = (id) => document.getElementById(id);

export function element(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === undefined || value === null || value === false) continue;
    if (name in node && name !== "list") node[name] = value;
    else node.setAttribute(name, value);
  }
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}

export function fill(node, ...children) {
  node.replaceChildren(...children.filter((child) => child !== null && child !== undefined));
}

// A table in a region that scrolls by keyboard too.
// columns: [{title, cell: (row) => Node | string, number?: bool, class?: string}]; the first cell names the row.
export function table(label, columns, rows, rowClass = () => "") {
  const head = columns.map((column) =>
    element("th", { scope: "col", className: classOf(column) }, column.title));
  return element("div", { className: "scroll", tabIndex: 0, role: "region", ariaLabel: label },
    element("table", {},
      element("thead", {}, element("tr", {}, ...head)),
      element("tbody", {}, ...tableRows(columns, rows, rowClass))));
}

// The rows of such a table, for more of them later.
export function tableRows(columns, rows, rowClass = () => "") {
  return rows.map((row) =>
    element("tr", { className: rowClass(row) }, ...columns.map((column, index) =>
      element(index === 0 ? "th" : "td", {
        scope: index === 0 ? "row" : undefined,
        className: classOf(column),
      }, column.cell(row) ?? ""))));
}

const classOf = (column) => column.class ?? (column.number ? "number" : "");

// Counts as a table with bars. entries: [{name, count, tone: "good" | "warn" | "bad" | ""}]
export function shares(label, nameTitle, entries, total, number) {
  return table(label, [
    { title: nameTitle, cell: (entry) => entry.name },
    { title: "Attempts", cell: (entry) => number(entry.count), number: true },
    { title: "Share", cell: (entry) => percentOf(entry.count, total), number: true },
    {
      title: "", class: "bar",
      cell: (entry) => element("progress", {
        className: `share ${entry.tone ?? ""}`, max: total || 1, value: entry.count, ariaLabel: `Share of ${entry.name}`,
      }),
    },
  ], entries);
}

// Counts by reason, one a line.
export function reasons(counts, number) {
  return element("span", {}, ...byCount(counts).map(([name, count]) => element("span", { className: "line" }, `${number(count)} ${name}`)));
}

// The most frequent first, equal ones by name: the order of a map is nobody's.
export const byCount = (counts) =>
  Object.entries(counts).sort(([name, one], [next, other]) => other - one || name.localeCompare(next));

const percentOf = (part, whole) => (whole ? `${((100 * part) / whole).toFixed(1)} %` : "–");

export function tiles(facts) {
  return facts.map(([name, value]) =>
    element("div", { className: "tile" }, element("b", {}, value), element("span", {}, name)));
}

const TONES = {
  READY: "good", SUCCEEDED: "good", IDENTIFIED: "good",
  INCOMPLETE: "warn", UNKNOWN: "warn", CANCELLED: "", INVALID: "bad", FAILED: "bad",
  IMPORTING: "busy", RUNNING: "busy", PENDING: "busy", CANCELLING: "busy",
};

export function badge(state) {
  return element("span", { className: `badge ${TONES[state] ?? ""}` }, state);
}

export function empty(text, href, link) {
  return element("p", { className: "empty" }, `${text} `, href ? element("a", { href }, link) : null);
}
