// Numbers and times for people.

const WHOLE = new Intl.NumberFormat("en");

export const number = (value) => WHOLE.format(value);
export const percent = (value, digits = 1) => `${(100 * value).toFixed(digits)} %`;
export const ms = (value) => (value === undefined ? "" : value.toFixed(1));
export const plural = (count, one, many) => `${number(count)} ${count === 1 ? one : many}`;

export function seconds(value) {
  if (value < 90) return `${Math.max(1, Math.round(value))} s`;
  if (value < 5400) return `${Math.round(value / 60)} min`;
  return `${(value / 3600).toFixed(1)} h`;
}

export function ago(time) {
  const elapsed = (Date.now() - Date.parse(time)) / 1000;
  if (elapsed < 60) return "just now";
  if (elapsed < 172800) return `${seconds(elapsed)} ago`;
  return new Date(time).toLocaleDateString("en", { dateStyle: "medium" });
}

// "2019-06-30T15:05:44.743893Z" to "2019-06-30 15:05:44.743893".
export const moment = (time) => (time ? time.replace("T", " ").replace("Z", "") : "");

// The same to the second.
export const instant = (time) => moment(time).slice(0, "2019-06-30 15:05:44".length);

// The end of a URL, which is what tells sources apart.
export function shortUrl(url) {
  const parts = url.split("/");
  const tail = parts.slice(-2).join("/");
  return parts.length > 4 ? `…/${tail}` : url;
}
