// Plotly, loaded when the first chart needs it, under a policy that allows no inline style.
// Its rules go into style sheets by script, which the policy allows; what it writes as text does not, so that is
// written by script too: style attributes here, and its style elements stay empty, for which the policy has a hash.

let loading = null;

// Plotly itself, once per page.
export function plotly() {
  loading ??= load(document.documentElement.dataset.plotly);
  return loading;
}

function load(address) {
  allowStyles();
  return new Promise((resolve, reject) => {
    const script = document.createElement("script");
    script.src = address;
    script.addEventListener("load", () => resolve(window.Plotly));
    script.addEventListener("error", () => reject(new Error("The charts cannot be loaded; is Keyprint still running?")));
    document.head.append(script);
  });
}

function allowStyles() {
  const setAttribute = Element.prototype.setAttribute;
  Element.prototype.setAttribute = function set(name, value) {
    if (name === "style") this.style.cssText = value;
    else setAttribute.call(this, name, value);
  };
  // Only its maps write rules as text, and there are none here.
  Object.defineProperty(HTMLStyleElement.prototype, "textContent", { set() {} });
}
