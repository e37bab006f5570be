// Type: who is at the keyboard. What was typed and learnt is found again in this browser after leaving.

import { api, Problem } from "./api.js";
import { confirmed } from "./confirm.js";
import { announce, byId, element, fill } from "./dom.js";
import { clearProblems, requestId, showProblem } from "./forms.js";
import { checkEnrolled, crowd, enrol, train, unlearn } from "./learning.js";
import { now, Recorder, toSource } from "./recorder.js";
import { drawRhythm, duration } from "./rhythm.js";
import { Running } from "./running.js";
import { forget, load, onElsewhere, save } from "./session.js";
import { showVerdict } from "./verdict.js";

const WANTED = 8;
const LONGEST_NAME = 40;
const MADE_UP = /^typist\d+$/i;
// What ingest refuses in a label; the joiners U+200C and U+200D are parts of words and of emoji.
const UNPRINTABLE = /[\p{Cc}\p{Cs}\p{Co}\p{Cn}\p{Zl}\p{Zp}]|(?![\u200c\u200d])\p{Cf}|(?! )\p{Zs}/u;
const SHOWN = 8;

const form = byId("form");
const field = byId("typed");
const live = byId("live");
const phrase = field.dataset.phrase;
const learning = new Running(byId("learning"));
const recorder = new Recorder(field, phrase, { changed, done, refused });
let session = load();
// What is shown of earlier attempts: {label, keystrokes}, the latest first.
let strips = [];

const enrolling = () => session.enrolling !== null && session.enrolling.attempts.length < WANTED;
const learnable = () => session.enrolling !== null && session.enrolling.attempts.length >= WANTED;
const knows = () => session.people.length > 0;

// Keeps the session in this browser, or says that it cannot.
function keep() {
  byId("unsaved").hidden = save(session);
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  clearProblems(form);
  const name = form.elements.name.value.trim();
  try {
    check(name);
  } catch (problem) {
    showProblem(form, problem);
    return;
  }
  byId("failed").hidden = true;
  form.reset();
  if (learnable()) {
    session.enrolling.name = name;
    keep();
    show();
    learn();
    return;
  }
  session.enrolling = { name, attempts: [] };
  session.model ||= `type-${requestId().slice(0, 8)}`;
  keep();
  // It takes a second, and there is time until the eighth attempt.
  crowd(phrase).catch(() => {});
  show();
});

function check(name) {
  const wrong = (detail) => new Problem({ reason: "NAME_INVALID", field: "name", detail });
  if (!name) throw wrong("What should you be called?");
  if (name.length > LONGEST_NAME) throw wrong(`A name has at most ${LONGEST_NAME} characters.`);
  if (session.people.includes(name)) throw wrong(`${name} is known already; who are you?`);
  if (MADE_UP.test(name)) throw wrong("That is what the made-up typists are called.");
  if (UNPRINTABLE.test(name) || /^[\u200c\u200d]+$/.test(name)) throw wrong("A character in this name cannot be seen; please leave it out.");
}

// Puts every part of the page where the session stands.
function show() {
  const wanted = enrolling();
  const typing = wanted || (knows() && session.enrolling === null);
  byId("who").hidden = typing || session.enrolling !== null;
  byId("typing").hidden = !typing;
  byId("people").hidden = !knows();
  byId("answer").hidden = !knows() || session.enrolling !== null;
  byId("again").hidden = session.enrolling !== null;
  byId("stop").parentElement.hidden = !wanted;
  byId("back").parentElement.hidden = true;
  mark(wanted ? "type" : session.enrolling ? "learn" : knows() ? "know" : "who");
  fill(byId("known"), ...session.people.map((name) => element("li", { className: "badge good" }, name)));
  byId("earlier").hidden = !typing;
  if (wanted) byId("headline").hidden = true;
  if (!typing) return;
  strips = wanted
    ? session.enrolling.attempts.map((keystrokes, index) => ({ label: `${index + 1}`, keystrokes })).reverse()
    : strips.filter(({ sentence }) => sentence);
  const count = wanted ? session.enrolling.attempts.length : 0;
  byId("typing-title").textContent = wanted ? `${session.enrolling.name}: attempt ${count + 1} of ${WANTED}` : "Who is typing?";
  byId("dots").hidden = !wanted;
  fill(byId("dots"), ...Array.from({ length: WANTED }, (_, index) => element("i", { className: index < count ? "done" : "" })));
  byId("typing-hint").textContent = wanted
    ? "Type it as you always type. A slip may be corrected with the backspace key."
    : "Type it once more, and let somebody else do so too.";
  drawPhrase();
  drawStrips();
  field.focus({ preventScroll: true });
}

// Which step this is.
function mark(step) {
  for (const one of byId("steps").children) {
    if (one.dataset.step === step) one.setAttribute("aria-current", "step");
    else one.removeAttribute("aria-current");
  }
}

// Asks for a name, from where there is a way back.
function ask(name) {
  clearProblems(form);
  byId("who").hidden = false;
  byId("back").parentElement.hidden = false;
  mark("who");
  form.elements.name.value = name;
  form.elements.name.focus();
}

// How far the phrase is, and where it differs.
function drawPhrase() {
  const text = recorder.text();
  [...byId("phrase").querySelectorAll("[data-at]")].forEach((letter, index) => {
    letter.className = index >= text.length ? (index === text.length ? "next" : "") : text[index] === phrase[index] ? "right" : "wrong";
  });
  byId("slip").hidden = phrase.startsWith(text);
}

function span() {
  return Math.max(...strips.slice(0, SHOWN).map(({ keystrokes }) => duration(keystrokes)), duration(recorder.keystrokes, now()));
}

let frame = 0;

function drawLive() {
  frame = 0;
  const held = new Set(recorder.down.values());
  // The last attempt stays until the next one begins.
  const shown = recorder.keystrokes.length > 0 ? recorder.keystrokes : strips[0]?.keystrokes ?? [];
  drawRhythm(live, shown, { span: span(), letters: true, now: now(), held });
  if (held.size > 0) frame = requestAnimationFrame(drawLive);
}

function drawStrips() {
  const rows = strips.slice(0, SHOWN).map(({ label, keystrokes, sentence }) => {
    const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    svg.setAttribute("class", "rhythm-strip");
    const seconds = `${(duration(keystrokes) / 1000).toFixed(1)} s`;
    return { svg, keystrokes, row: element("li", {}, element("span", { className: "strip-label" }, sentence ?? label), svg, element("span", { className: "number sub" }, seconds)) };
  });
  byId("earlier").hidden = rows.length === 0 || byId("typing").hidden;
  fill(byId("strips"), ...rows.map(({ row }) => row));
  for (const { svg, keystrokes } of rows) drawRhythm(svg, keystrokes, { span: span() });
  drawLive();
}

function changed(keystrokes) {
  if (keystrokes.length === 1) byId("refused").hidden = true;
  drawPhrase();
  if (!frame) frame = requestAnimationFrame(drawLive);
}

function refused(why) {
  byId("refused").hidden = false;
  byId("refused").textContent = why;
  drawPhrase();
  drawLive();
}

async function done(keystrokes) {
  drawPhrase();
  if (!enrolling()) {
    await tell(keystrokes);
    return;
  }
  session.enrolling.attempts.push(keystrokes);
  keep();
  const left = WANTED - session.enrolling.attempts.length;
  announce(left > 0 ? `${left} to go.` : "That was the last one.");
  show();
  if (left === 0) await learn();
}

async function learn() {
  if (!learnable()) return;
  byId("failed").hidden = true;
  const { enrolling: person, model } = session;
  const title = `Learning how ${person.name} types`;
  try {
    learning.show(title, "Making up typists to tell you apart from.");
    const dataset = await enrolled(person, () => learning.show(title, "Reading what you typed."));
    if (!session.made.includes(dataset.id)) session.made.push(dataset.id);
    keep();
    await checkEnrolled(dataset, person.name);
    const job = await train(dataset.id, model, (now) => learning.job(now, title));
    session = { ...session, dataset: dataset.id, version: job.version, enrolling: null, people: [...new Set([...session.people, person.name])] };
    keep();
    strips = [];
    byId("headline").hidden = true;
    fill(byId("verdict"), element("p", { className: "hint" }, "Type the phrase, and what spoke for the answer is here."));
    announce(`Done: ${person.name} is known now. Type the phrase once more.`);
    show();
  } catch (problem) {
    byId("failed").hidden = false;
    byId("failed-text").textContent = problem.message;
  } finally {
    learning.hide();
  }
}

// The dataset of everybody known and this person; of this person alone if what it is to stand on was deleted elsewhere.
async function enrolled(person, onChange) {
  if (session.dataset) {
    try {
      return await enrol(session.dataset, phrase, person, onChange);
    } catch (problem) {
      if (problem.reason !== "DATASET_NOT_FOUND" || problem.field !== "base_dataset") throw problem;
      byId("lost").textContent = `What was typed here before has been deleted, so ${person.name} is learned anew and alone: please enrol ${session.people.join(" and ")} again.`;
      byId("lost").hidden = false;
      session = { ...session, dataset: "", people: [] };
      keep();
    }
  }
  return enrol((await crowd(phrase)).id, phrase, person, onChange);
}

async function tell(keystrokes) {
  const entry = { label: "…", keystrokes, sentence: "…" };
  strips = [entry, ...strips].slice(0, SHOWN);
  drawStrips();
  try {
    const answer = await api("POST", `/v1/models/${session.model}@${session.version}:identify`, { attempt: toSource(keystrokes), explain: true });
    entry.sentence = showVerdict(byId("headline"), byId("verdict"), answer, session.people);
    announce(entry.sentence);
    drawStrips();
  } catch (problem) {
    strips = strips.filter((one) => one !== entry);
    drawStrips();
    refused(problem.reason === "MODEL_NOT_FOUND" ? "What was learned here has been deleted. Forget everybody below, and begin anew." : problem.message);
  }
}

byId("another").addEventListener("click", () => {
  for (const part of ["typing", "answer", "earlier"]) byId(part).hidden = true;
  byId("again").hidden = true;
  ask("");
});

byId("back").addEventListener("click", () => {
  form.reset();
  show();
});

for (const button of document.querySelectorAll("[data-stop]")) {
  button.addEventListener("click", () => {
    session.enrolling = null;
    keep();
    recorder.clear();
    byId("failed").hidden = true;
    show();
  });
}

byId("retry").addEventListener("click", learn);

byId("rename").addEventListener("click", () => ask(session.enrolling.name));

for (const button of document.querySelectorAll("[data-forget]")) {
  button.addEventListener("click", async () => {
    const sure = await confirmed("Forget everybody?", "What was typed here, its datasets and its models are deleted, for good.", "Forget");
    if (!sure) return;
    try {
      await unlearn(session);
      session = forget();
      strips = [];
      recorder.clear();
      for (const part of ["failed", "lost"]) byId(part).hidden = true;
      show();
      announce("Everything is forgotten.");
    } catch (problem) {
      refused(problem.message);
    }
  });
}

onElsewhere(() => location.reload());
window.addEventListener("resize", () => byId("typing").hidden || drawStrips());

show();
learn();
