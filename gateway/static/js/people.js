// Who typed: a page of them at first, the next ones on request.

import { api, query } from "./api.js";
import { announce, byId, element, empty, fill, reasons, table, tableRows } from "./dom.js";
import { number, plural } from "./format.js";

const PAGE = 100;

export const fetchPeople = (dataset, token = "") =>
  api("GET", `/v1/datasets/${encodeURIComponent(dataset)}/users${query({ page_size: PAGE, page_token: token })}`);

// `page` is the first one.
export function showPeople(dataset, page) {
  byId("enrolment").textContent = enrolment(dataset);
  if (!dataset.labelled) {
    fill(byId("users"), empty("These documents do not say who typed. A model can:", `/evaluate?dataset=${dataset.id}`, "Evaluate"));
    return;
  }
  const columns = columnsOf(dataset);
  const shown = table("People", columns, page.users);
  const body = shown.querySelector("tbody");
  const text = element("span", {});
  const button = element("button", { type: "button" }, "Show more");
  const line = element("p", { className: "actions", id: "more-people" }, button, text);
  let token = "";
  const tell = (latest) => {
    token = latest.next_page_token;
    text.textContent = `${number(body.rows.length)} of ${plural(dataset.users, "person", "people")} are shown.`;
    line.hidden = token === "";
  };
  button.addEventListener("click", async () => {
    button.disabled = true;
    try {
      const next = await fetchPeople(dataset.id, token);
      body.append(...tableRows(columns, next.users));
      tell(next);
      announce(text.textContent);
    } catch (problem) {
      text.textContent = problem.message;
    } finally {
      button.disabled = false;
    }
  });
  tell(page);
  fill(byId("users"), shown, line);
}

const columnsOf = (dataset) => [
  { title: "Person", cell: (one) => one.user, class: "name" },
  { title: "Enrolment", cell: (one) => enrolled(one, dataset) },
  { title: "Attempts", cell: (one) => number(one.attempts), number: true },
  { title: "Valid", cell: (one) => number(one.valid_attempts), number: true },
  { title: "Copies", cell: (one) => number(one.duplicate_attempts), number: true },
  { title: "Not valid", cell: (one) => reasons(one.invalid, number) },
  { title: "Warnings", cell: (one) => reasons(one.warnings, number) },
];

function enrolment(dataset) {
  if (!dataset.labelled) return "";
  const least = plural(dataset.min_attempts, "valid attempt", "valid attempts");
  const rule = `A person is enrolled with at least ${least}. Copies, which repeat another attempt’s timing exactly, do not count.`;
  const left = dataset.users - dataset.enrolled_users;
  if (left === 0) return rule;
  return `${rule} Not enrolled and left out of training: ${number(left)} of ${plural(dataset.users, "person", "people")}.`;
}

function enrolled(one, dataset) {
  if (one.enrolled) return element("span", { className: "badge good" }, "enrolled");
  const usable = one.valid_attempts - one.duplicate_attempts;
  return element("span", {},
    element("span", { className: "badge warn" }, "not enrolled"),
    element("span", { className: "sub" }, `${number(usable)} of ${number(dataset.min_attempts)} attempts`));
}
