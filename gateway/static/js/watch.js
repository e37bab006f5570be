// Follows a dataset or a job until it has come to an end.

import { api, Problem } from "./api.js";

const UNDER_WAY = new Set(["IMPORTING", "CANCELLING", "PENDING", "RUNNING"]);
const POLL_MS = 1500;
// A service that is silent for longer is told.
const PATIENCE_MS = 4000;
const SERVICES = { dataset: "ingest", job: "training" };

export const underWay = (resource) => UNDER_WAY.has(resource.state);

// Calls `onChange` with the resource now and whenever it changes, and resolves to the final one.
// `name` is the name of its events. Where server-sent events are refused it asks again and again instead.
export async function watch(path, name, onChange) {
  const now = await api("GET", path);
  onChange(now);
  if (!underWay(now)) return now;
  const silence = new Silence(`The ${SERVICES[name]} service`);
  try {
    return (await byEvents(path, name, onChange, silence)) ?? (await byPolling(path, onChange, silence));
  } finally {
    silence.ends();
  }
}

// Says on the page who does not answer, for as long as it does not.
class Silence {
  constructor(service) {
    this.service = service;
    this.line = document.createElement("p");
    this.line.className = "notice warn silence";
    this.line.setAttribute("role", "status");
    this.waiting = 0;
  }

  // `who`: the service, or the gateway before it.
  begins(who) {
    this.line.textContent = `${who} does not answer; asking again.`;
    this.waiting ||= setTimeout(() => {
      document.querySelector(".running:not([hidden])")?.after(this.line);
    }, PATIENCE_MS);
  }

  ends() {
    clearTimeout(this.waiting);
    this.waiting = 0;
    this.line.remove();
  }
}

function byEvents(path, name, onChange, silence) {
  return new Promise((resolve, reject) => {
    const source = new EventSource(`${path}/events`);
    const end = (settle, value) => {
      source.close();
      settle(value);
    };
    source.addEventListener(name, (event) => {
      const resource = JSON.parse(event.data);
      silence.ends();
      onChange(resource);
      if (!underWay(resource)) end(resolve, resource);
    });
    source.addEventListener("open", () => silence.ends());
    source.addEventListener("problem", (event) => {
      const problem = new Problem(JSON.parse(event.data));
      // A service that is restarting or busy comes back; polling finds it.
      if (problem.status === 503 || problem.status === 429) end(resolve, null);
      else end(reject, problem);
    });
    source.addEventListener("error", () => {
      silence.begins("Keyprint");
      if (source.readyState === EventSource.CLOSED) end(resolve, null);
    });
  });
}

async function byPolling(path, onChange, silence) {
  for (;;) {
    await new Promise((wake) => setTimeout(wake, POLL_MS));
    let now;
    try {
      now = await api("GET", path);
    } catch (problem) {
      if (problem.status !== 503 && problem.status !== 0 && problem.status !== 429) throw problem;
      silence.begins(problem.status === 0 ? "Keyprint" : silence.service);
      continue;
    }
    silence.ends();
    onChange(now);
    if (!underWay(now)) return now;
  }
}
