// Asks before what cannot be undone.

import { element } from "./dom.js";

// Whether somebody said yes to `question`; `yes` is what the button says.
export function confirmed(question, details, yes) {
  const dialog = element("dialog", {},
    element("form", { method: "dialog" },
      element("h2", { id: "confirm-title" }, question),
      element("p", {}, details),
      element("div", { className: "actions" },
        element("button", { value: "yes", className: "danger" }, yes),
        element("button", { value: "no", autofocus: true }, "Keep"))));
  dialog.setAttribute("aria-labelledby", "confirm-title");
  document.body.append(dialog);
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(dialog.returnValue === "yes");
    });
  });
}
