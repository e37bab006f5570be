// The API as a function. Every failure is a Problem with the API's own sentence.

export class Problem extends Error {
  // `document` is an RFC 9457 problem document, or the {reason, field, message} on a dataset or a job.
  constructor(document) {
    super(document.detail ?? document.message);
    this.reason = document.reason;
    this.field = document.field ?? "";
    this.status = document.status ?? 0;
  }
}

export async function api(method, path, body, headers = {}) {
  const options = { method, headers: { Accept: "application/json", ...headers } };
  if (body instanceof FormData) {
    options.body = body;
  } else if (body !== undefined) {
    options.body = JSON.stringify(body);
    options.headers["Content-Type"] = "application/json";
  }
  let response;
  try {
    response = await fetch(path, options);
  } catch {
    throw new Problem({ reason: "GATEWAY_UNREACHABLE", detail: "Keyprint does not answer; is it still running?" });
  }
  if (response.status === 204) return null;
  let document = null;
  try {
    document = await response.json();
  } catch {
    throw new Problem({ reason: "ANSWER_INVALID", detail: "Keyprint’s answer broke off; try again.", status: response.status });
  }
  if (!response.ok) throw new Problem({ ...document, status: response.status });
  return document;
}

// A URL's query from an object; empty values are left out.
export function query(values) {
  const pairs = Object.entries(values).filter(([, value]) => value !== "" && value !== undefined && value !== null);
  return pairs.length ? `?${new URLSearchParams(pairs)}` : "";
}

// All that a list holds, page after page.
export async function listed(path, name) {
  const found = [];
  let token = "";
  do {
    const page = await api("GET", `${path}${query({ page_size: 1000, page_token: token })}`);
    found.push(...page[name]);
    token = page.next_page_token;
  } while (token);
  return found;
}
