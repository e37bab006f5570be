import { api } from "./api.js";
import { badge, byId, element, empty, fill, table, tiles } from "./dom.js";
import { ago, number, shortUrl } from "./format.js";
import { underWay } from "./watch.js";

const SHOWN = 5;
const AGAIN_MS = 5000;

async function refresh() {
  const pages = await Promise.all(["datasets", "training-jobs", "models"].map((name) => api("GET", `/v1/${name}?page_size=1000`)));
  const [{ datasets }, { jobs }, { models }] = pages;
  const more = (page) => (page.next_page_token ? "+" : "");
  fill(byId("tiles"), ...tiles([
    ["datasets", number(datasets.length) + more(pages[0])],
    ["attempts in them", number(datasets.reduce((sum, one) => sum + one.attempts, 0)) + more(pages[0])],
    ["models", number(models.length) + more(pages[2])],
    ["imports running", number(datasets.filter(underWay).length)],
    ["training now", number(jobs.filter(underWay).length)],
  ]));
  fill(byId("datasets"), datasets.length === 0
    ? empty("None yet.", "/analyze", "Import the first one.")
    : table("Latest datasets", [
      { title: "Source", cell: (one) => element("a", { href: `/analyze?dataset=${one.id}`, title: one.source_url }, shortUrl(one.source_url)), class: "name" },
      { title: "State", cell: (one) => badge(one.state) },
      { title: "Valid", cell: (one) => number(one.valid_attempts), number: true },
      { title: "When", cell: (one) => ago(one.created_at) },
    ], datasets.slice(0, SHOWN)));
  fill(byId("jobs"), jobs.length === 0
    ? empty("None yet.", "/train", "Train the first model.")
    : table("Latest training", [
      { title: "Model", cell: (one) => element("a", { href: `/train?job=${one.id}` }, `${one.model}@${one.version}`) },
      { title: "State", cell: (one) => badge(one.state) },
      { title: "Learner", cell: (one) => one.learner },
      { title: "When", cell: (one) => ago(one.created_at) },
    ], jobs.slice(0, SHOWN)));
  return datasets.some(underWay) || jobs.some(underWay);
}

async function keepFresh() {
  const error = document.querySelector("[data-form-error]");
  try {
    const again = await refresh();
    error.hidden = true;
    if (again) setTimeout(keepFresh, AGAIN_MS);
  } catch (problem) {
    error.textContent = problem.message;
    error.hidden = false;
    setTimeout(keepFresh, AGAIN_MS);
  }
}

keepFresh();
