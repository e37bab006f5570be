// Records one go at the phrase after another from a text field: what was pressed when, and released when.
// Times are in ms since 1970, by the page's high-resolution clock: the moment that the browser gives the event, which is on
// performance.now's clock and is not delayed by a busy page.

const BACKSPACE = "[backspace]";
const LAST_RELEASE_MS = 600;
const WAYS = new Set(["insertText", "insertCompositionText", "deleteContentBackward"]);

export class Recorder {
  // heard.changed(keystrokes): after every press and release; heard.done(keystrokes): the text reads as the phrase and
  // its keys are up; heard.refused(why): what was typed does not count, and the field is empty again.
  constructor(field, phrase, heard) {
    this.field = field;
    this.phrase = phrase;
    this.heard = heard;
    this.clear();
    const on = (name, does) => field.addEventListener(name, (event) => does.call(this, event));
    on("keydown", this.pressed);
    on("keyup", this.released);
    on("beforeinput", this.changing);
    on("input", this.changed);
    on("blur", this.left);
    on("paste", this.pasted);
    on("drop", this.pasted);
  }

  clear() {
    clearTimeout(this.ending);
    this.ending = 0;
    // {character, pressed, released}, released null while it is down or was never seen to go up.
    this.keystrokes = [];
    // The keys that are down: code to keystroke.
    this.down = new Map();
    // When a key without a name went down: keyboards on a screen tell what was typed only afterwards.
    this.nameless = null;
    this.field.value = "";
  }

  // What was typed, as the field should show it.
  text() {
    const kept = [];
    for (const { character } of this.keystrokes) {
      if (character === BACKSPACE) kept.pop();
      else kept.push(character);
    }
    return kept.join("");
  }

  pressed(event) {
    if (event.key === "Enter" || event.key.startsWith("Arrow") || ["Home", "End", "Delete"].includes(event.key)) {
      event.preventDefault();
      return;
    }
    if (event.key === "Escape") {
      this.refuse("Begun again.");
      return;
    }
    if (event.key === "Unidentified" || event.isComposing) {
      this.nameless = momentOf(event);
      return;
    }
    const erases = event.key === "Backspace";
    const command = (event.ctrlKey || event.metaKey) && !event.getModifierState("AltGraph");
    if (command || (!erases && [...event.key].length !== 1)) return;
    // A key that is held repeats itself, which is no press; what comes after the end is no part of it.
    if (event.repeat || this.ending || (erases && this.field.value === "")) {
      event.preventDefault();
      return;
    }
    this.field.setSelectionRange(this.field.value.length, this.field.value.length);
    // A key that goes down again was let go of where nobody saw it: its release stays unknown.
    this.down.delete(event.code);
    this.add(erases ? BACKSPACE : event.key, momentOf(event), event.code);
  }

  add(character, pressed, code) {
    const keystroke = { character, pressed, released: null };
    this.keystrokes.push(keystroke);
    if (code) this.down.set(code, keystroke);
    this.heard.changed(this.keystrokes);
  }

  released(event) {
    const code = event.key === "Unidentified" ? "nameless" : event.code;
    const keystroke = this.down.get(code);
    if (!keystroke) return;
    this.down.delete(code);
    keystroke.released = momentOf(event);
    this.heard.changed(this.keystrokes);
    if (this.ending && this.down.size === 0) this.end();
  }

  changing(event) {
    if (!WAYS.has(event.inputType)) event.preventDefault();
  }

  changed(event) {
    const { value } = this.field;
    const text = this.text();
    if (value !== text) {
      const at = this.nameless ?? momentOf(event);
      if (value.length === text.length + 1 && value.startsWith(text)) this.add(value.at(-1), at, "nameless");
      else if (value.length === text.length - 1 && text.startsWith(value)) this.add(BACKSPACE, at, "nameless");
      else {
        this.refuse("Only single keys can be measured, so this attempt does not count. Once more, please.");
        return;
      }
    }
    this.nameless = null;
    if (value !== this.phrase || this.ending) return;
    if (this.down.size === 0) this.end();
    else this.ending = setTimeout(() => this.end(), LAST_RELEASE_MS);
  }

  end() {
    const keystrokes = this.keystrokes;
    this.clear();
    this.heard.done(keystrokes);
  }

  left() {
    if (this.keystrokes.length > 0 && !this.ending) {
      this.refuse("The keyboard went elsewhere in the middle, so this attempt does not count. Once more, please.");
    }
  }

  pasted(event) {
    event.preventDefault();
    this.refuse("What is pasted has no rhythm. Please type it.");
  }

  refuse(why) {
    this.clear();
    this.heard.refused(why);
  }
}

// An attempt in the source format, times to the microsecond.
export function toSource(keystrokes) {
  return keystrokes.map(({ character, pressed, released }) => ({
    character,
    typed_at: timeOf(pressed),
    ...(released === null ? {} : { released_at: timeOf(released) }),
  }));
}

export const now = () => performance.timeOrigin + performance.now();

const momentOf = (event) => performance.timeOrigin + event.timeStamp;

function timeOf(ms) {
  const micros = Math.round(ms * 1000);
  const whole = new Date(Math.floor(micros / 1000)).toISOString().slice(0, -1);
  return `${whole}${String(micros % 1000).padStart(3, "0")}`;
}
