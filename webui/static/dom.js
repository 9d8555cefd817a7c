// Small helpers: elements, lists that are patched in place, times.

export const by = (id) => document.getElementById(id);

export function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value !== undefined && value !== null && value !== false) element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return element;
}

// Give `parent` one child for each row, in order. A child is made anew only when its row is another
// object (`extra` says what else it shows), and moved only when it stands elsewhere.
export function patch(parent, rows, build, extra = () => "") {
  const shown = (parent.shown ??= new Map());
  const wanted = new Set();
  let place = parent.firstElementChild;
  for (const row of rows) {
    wanted.add(row.id);
    const more = extra(row);
    let entry = shown.get(row.id);
    if (!entry || entry.row !== row || entry.more !== more) {
      const element = build(row);
      if (entry) {
        const focused = entry.element.contains(document.activeElement) ? document.activeElement.dataset.focus : null;
        entry.element.replaceWith(element);
        if (place === entry.element) place = element;
        if (focused) element.querySelector(`[data-focus="${focused}"]`)?.focus();
      }
      entry = { row, more, element };
      shown.set(row.id, entry);
    }
    if (place === entry.element) place = place.nextElementSibling;
    else parent.insertBefore(entry.element, place);
  }
  for (const [id, entry] of shown) {
    if (!wanted.has(id)) { entry.element.remove(); shown.delete(id); }
  }
}

const STEPS = [[60, 1, "s"], [3600, 60, "min"], [86400, 3600, "h"], [Infinity, 86400, "d"]];

export function span(seconds) {
  const size = Math.abs(seconds);
  if (size < 0.1) return "< 0.1 s";
  if (size < 10 && size % 1) return `${size.toFixed(1)} s`;
  const [, unit, name] = STEPS.find(([limit]) => size < limit);
  return `${Math.floor(size / unit)} ${name}`;
}

export function relative(at, now) {
  const ago = now - at;
  if (Math.abs(ago) < 5) return "now";
  return ago > 0 ? `${span(Math.floor(ago))} ago` : `in ${span(Math.ceil(-ago))}`;
}

export function time(at, now) {
  return make("time", { datetime: new Date(at * 1000).toISOString(), title: new Date(at * 1000).toLocaleString(), "data-at": at }, relative(at, now));
}

export function refreshTimes(now) {
  for (const element of document.querySelectorAll("time[data-at]")) {
    const text = relative(Number(element.dataset.at), now);
    if (element.textContent !== text) element.textContent = text;
  }
}
