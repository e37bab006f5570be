// What the Type page remembers in this browser, so that it can be left and found again.

const KEY = "keyprint.type";

const fresh = () => ({
  // People that the model knows, in the order in which they came.
  people: [],
  // The latest dataset, with the crowd and all of them; every one that was made, to be deleted with it.
  dataset: "",
  made: [],
  // The model's name; empty until there is one to be.
  model: "",
  version: 0,
  // Who is being enrolled: {name, attempts}, attempts as [{character, pressed, released}] in ms.
  enrolling: null,
});

export function load() {
  try {
    return { ...fresh(), ...JSON.parse(localStorage.getItem(KEY)) };
  } catch {
    return fresh();
  }
}

// Whether it could be kept: a browser may allow no storage, or have no room.
export function save(session) {
  try {
    localStorage.setItem(KEY, JSON.stringify(session));
  } catch {
    return false;
  }
  return true;
}

// Calls `changed` when another tab has gone on.
export function onElsewhere(changed) {
  window.addEventListener("storage", (event) => event.key === KEY && changed());
}

export function forget() {
  try {
    localStorage.removeItem(KEY);
  } catch {
    // What could not be kept is not there.
  }
  return fresh();
}
