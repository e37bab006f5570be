// The box that shows long work: a bar, a sentence, a way to stop.

import { api } from "./api.js";
import { element, fill } from "./dom.js";
import { number, plural, seconds } from "./format.js";
import { underWay } from "./watch.js";

export class Running {
  constructor(box) {
    this.box = box;
    this.bar = box.querySelector("progress");
    this.cancelPath = null;
    this.button = box.querySelector("[data-cancel]");
    this.button.addEventListener("click", () => this.cancel());
  }

  // share: 0 to 1, or null when nobody can tell.
  show(title, text, share = null, cancelPath = null) {
    this.box.hidden = false;
    fill(this.box.querySelector("[data-title]"), title);
    const line = this.box.querySelector("[data-text]");
    if (line.textContent !== text) line.textContent = text;
    if (share === null) this.bar.removeAttribute("value");
    else this.bar.value = share;
    this.cancelPath = cancelPath;
    this.button.hidden = cancelPath === null;
  }

  hide() {
    this.box.hidden = true;
  }

  async cancel() {
    this.button.disabled = true;
    try {
      await api("POST", this.cancelPath);
    } catch (problem) {
      this.box.querySelector("[data-text]").textContent = problem.message;
    } finally {
      this.button.disabled = false;
    }
  }

  dataset(dataset) {
    if (!underWay(dataset)) return this.hide();
    const read = [
      plural(dataset.documents, "document", "documents"),
      plural(dataset.attempts, "attempt", "attempts"),
      dataset.downloaded_kib ? `${number(dataset.downloaded_kib)} KiB` : "from the cache",
    ].join(", ");
    const stopping = dataset.state === "CANCELLING";
    const title = element("span", {}, stopping ? "Stopping the import" : "Importing ", stopping ? null : element("code", {}, dataset.source_url));
    return this.show(title, `${read} so far.`, null, stopping ? null : `/v1/datasets/${dataset.id}:cancel`);
  }

  // `title` stands for the job's stage, where somebody waits for more than the job.
  job(job, title = "") {
    if (!underWay(job)) return this.hide();
    const last = job.curve?.at(-1);
    const stage = STAGES[job.stage] ?? job.stage;
    const message = (job.message || stage).replace(/\.$/, "");
    const parts = !title && message === stage ? [] : [message];
    if (last?.loss !== undefined) parts.push(`loss ${last.loss.toFixed(3)}`);
    if (last?.accuracy !== undefined) parts.push(`training accuracy ${(100 * last.accuracy).toFixed(1)} %`);
    if (job.remaining_seconds !== undefined) parts.push(`about ${seconds(job.remaining_seconds)} left`);
    const stopping = job.state === "CANCELLING";
    return this.show(stopping ? "Stopping" : title || stage, parts.join(" · "), job.progress,
      stopping ? null : `/v1/training-jobs/${job.id}:cancel`);
  }
}

const STAGES = {
  queued: "Waiting for its turn",
  reading: "Reading the attempts",
  fitting: "Training",
  calibrating: "Calibrating",
  exporting: "Exporting",
  evaluating: "Evaluating on the hold-out",
  publishing: "Publishing",
  done: "Done",
};
