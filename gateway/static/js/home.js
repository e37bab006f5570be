import { api } from "./api.js";
import { badge, byId, element, empty, fill, table, tiles } from "./dom.js";
import { ago, number, shortUrl } from "./format.js";
import { underWay } from "./watch.js";

const SHOWN = 5;
const AGAIN_MS = 5000;

// What one service does not tell leaves the rest as it is.
async function refresh() {
  const [datasets, jobs, models] = await Promise.all([list("datasets"), list("training-jobs", "jobs"), list("models")]);
  fill(byId("tiles"), ...tiles([
    ["datasets", count(datasets)],
    ["attempts in them", count(datasets, (items) => items.reduce((sum, one) => sum + one.attempts, 0))],
    ["models", count(models)],
    ["imports running", count(datasets, running)],
    ["training now", count(jobs, running)],
  ]));
  show("datasets", datasets, "/analyze", "Import the first one.", () => table("Latest datasets", [
    { title: "Source", cell: (one) => element("a", { href: `/analyze?dataset=${one.id}`, title: one.source_url }, shortUrl(one.source_url)), class: "name" },
    { title: "State", cell: (one) => badge(one.state) },
    { title: "Valid", cell: (one) => number(one.valid_attempts), number: true },
    { title: "When", cell: (one) => ago(one.created_at) },
  ], datasets.items.slice(0, SHOWN)));
  show("jobs", jobs, "/train", "Train the first model.", () => table("Latest training", [
    { title: "Model", cell: (one) => element("a", { href: `/train?job=${one.id}` }, `${one.model}@${one.version}`), class: "name" },
    { title: "State", cell: (one) => badge(one.state) },
    { title: "Learner", cell: (one) => one.learner },
    { title: "When", cell: (one) => ago(one.created_at) },
  ], jobs.items.slice(0, SHOWN)));
  return [datasets, jobs, models].some(({ problem, items }) => problem || items.some(underWay));
}

// {items, more}, or {items, problem} where they are not told.
async function list(path, name = path) {
  try {
    const page = await api("GET", `/v1/${path}?page_size=1000`);
    return { items: page[name], more: page.next_page_token ? "+" : "" };
  } catch (problem) {
    return { items: [], problem };
  }
}

const running = (items) => items.filter(underWay).length;

const count = ({ items, more, problem }, of = (all) => all.length) => (problem ? "–" : number(of(items)) + more);

function show(id, { items, problem }, href, link, rows) {
  fill(byId(id), problem ? element("p", { className: "error form-error", role: "alert" }, problem.message)
    : items.length === 0 ? empty("None yet.", href, link)
      : rows());
}

async function keepFresh() {
  if (await refresh()) setTimeout(keepFresh, AGAIN_MS);
}

keepFresh();
