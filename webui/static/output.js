// What tasks print. Columns stay columns: it is shown unfolded and scrolls sideways, unless its lines are
// as long as prose on one line is; a button changes that.

import { make } from "./dom.js";

const NARROW = 40; // so many letters fit at 360 pixels
const PROSE = 200;
const chosen = new Map(); // key -> whether it is folded, once somebody chose

export function output(key, text) {
  const longest = text.split("\n").reduce((most, line) => Math.max(most, line.length), 0);
  const folded = () => chosen.get(key) ?? longest > PROSE;
  const element = make("pre", { class: "output", tabindex: "0", role: "group", "aria-label": "output", "data-folded": String(folded()) }, text);
  const label = () => (folded() ? "unfold lines" : "fold lines");
  const button = make("button", { class: "link", "data-focus": "fold", onclick: () => {
    chosen.set(key, !folded());
    element.dataset.folded = folded();
    button.textContent = label();
  } }, label());
  return [element, longest > NARROW ? button : null];
}
