// Follows a dataset or a job until it has come to an end.

import { api, Problem } from "./api.js";

const UNDER_WAY = new Set(["IMPORTING", "CANCELLING", "PENDING", "RUNNING"]);
const POLL_MS = 1500;

export const underWay = (resource) => UNDER_WAY.has(resource.state);

// Calls `onChange` with the resource now and whenever it changes, and resolves to the final one.
// `name` is the name of its events. Where server-sent events are refused it asks again and again instead.
export async function watch(path, name, onChange) {
  const now = await api("GET", path);
  onChange(now);
  if (!underWay(now)) return now;
  return (await byEvents(path, name, onChange)) ?? (await byPolling(path, onChange));
}

function byEvents(path, name, onChange) {
  return new Promise((resolve, reject) => {
    const source = new EventSource(`${path}/events`);
    const end = (settle, value) => {
      source.close();
      settle(value);
    };
    source.addEventListener(name, (event) => {
      const resource = JSON.parse(event.data);
      onChange(resource);
      if (!underWay(resource)) end(resolve, resource);
    });
    source.addEventListener("problem", (event) => {
      const problem = new Problem(JSON.parse(event.data));
      // A service that is restarting or busy comes back; polling finds it.
      if (problem.status === 503 || problem.status === 429) end(resolve, null);
      else end(reject, problem);
    });
    source.addEventListener("error", () => {
      if (source.readyState === EventSource.CLOSED) end(resolve, null);
    });
  });
}

async function byPolling(path, onChange) {
  for (;;) {
    await new Promise((wake) => setTimeout(wake, POLL_MS));
    let now;
    try {
      now = await api("GET", path);
    } catch (problem) {
      if (problem.status === 503 || problem.status === 0 || problem.status === 429) continue;
      throw problem;
    }
    onChange(now);
    if (!underWay(now)) return now;
  }
}
