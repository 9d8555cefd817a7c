// Look back: an actor's state as it was after a turn, what that turn was, and what it changed.

import { by, make, time } from "./dom.js";
import { fields, indented, items, seen, shortened } from "./json.js";

const STATE_CHARACTERS = 64 * 1024;
const EVENT_CHARACTERS = 4000;
const OPEN_CHARACTERS = 600;
const EVENTS = 50;
const VALUE_CHARACTERS = 400;
const CHANGES = 200;
const REST_MS = 200; // a slider that moves asks for nothing

const SIGNS = { add: ["+", "added"], remove: ["−", "removed"], replace: ["~", "changed"] };

let journals = new Map(); // name -> what `/api/journals` says of it
let name = "";
let seq = 0;
let since = null; // the turn to compare with; null is the one before
let going = null; // aborts what is on its way; who is not the newest shows nothing
let timer;
let clock = () => Date.now() / 1000;

const address = (what, query) => `/api/journals/${encodeURIComponent(name)}/${what}?${new URLSearchParams(query)}`;
const kept = () => journals.get(name) ?? { first_seq: 0, last_seq: 0 };
const raw = (path, text) => make("a", { href: path, target: "_blank", rel: "noopener" }, text);

async function ask(path, signal) {
  let response;
  let text;
  try {
    response = await fetch(path, { signal, headers: { Accept: "application/json" } });
    text = await response.text();
  } catch (error) {
    return { problem: signal.aborted ? "" : `No answer: ${error.message}` };
  }
  if (response.ok) return { path, text };
  let said = {};
  try { said = JSON.parse(text); } catch { /* then the status has to do */ }
  return { problem: said.detail ?? `${response.status} ${response.statusText}`, code: said.code };
}

// -- asking

export async function open(wanted, now) {
  clock = now ?? clock;
  const mine = begin();
  const answer = await ask("/api/journals", mine.signal);
  if (mine.signal.aborted) return;
  if (answer.problem) return settle([answer.problem]);
  journals = new Map(JSON.parse(answer.text).journals.map((row) => [row.name, row]));
  const known = (one) => (one && journals.has(one) ? one : null);
  const chosen = known(wanted) ?? known(name) ?? known("manager") ?? journals.keys().next().value;
  by("past-journal").replaceChildren(...[...journals.values()].map((row) => make("option", { value: row.name }, row.running ? row.name : `${row.name} (not running)`)));
  if (!chosen) return settle(["No actor has a journal yet."]);
  if (wanted || chosen !== name) choose(chosen);
  else go(seq);
}

function choose(chosen) {
  name = chosen;
  since = null;
  by("past-since").value = "";
  go(kept().last_seq);
}

function begin() {
  going?.abort();
  clearTimeout(timer);
  by("past").setAttribute("aria-busy", "true");
  return (going = new AbortController());
}

function go(wanted, pause = 0) {
  seq = wanted;
  const mine = begin();
  controls();
  timer = setTimeout(() => load(mine.signal), pause);
}

async function load(signal) {
  const from = since ?? seq - 1;
  const hasLine = seq > 0;
  const hasChanges = since !== null || seq > kept().first_seq;
  const asked = [
    ask(address("state", { at: seq }), signal),
    hasLine ? ask(address("lines", { after: seq - 1, limit: 1 }), signal) : null,
    hasChanges ? ask(address("diff", { a: from, b: seq }), signal) : null,
  ];
  const [state, line, changes] = await Promise.all(asked);
  if (signal.aborted) return;
  const answers = [state, line, changes].filter(Boolean);
  if (answers.some((answer) => answer.code === "seq_not_kept")) await refresh(signal);
  if (signal.aborted) return;
  showLine(line, hasLine);
  showChanges(changes, from);
  showState(state);
  by("past-status").textContent = `Turn ${seq}. ${by("past-changed").textContent}`; // without the time, which moves
  settle(answers.map((answer) => answer.problem).filter(Boolean));
}

// What is kept has changed meanwhile: lines were removed, or are more than we knew.
async function refresh(signal) {
  const answer = await ask("/api/journals", signal);
  if (answer.problem || signal.aborted) return;
  for (const row of JSON.parse(answer.text).journals) journals.set(row.name, row);
  controls();
}

// -- showing

function settle(problems) {
  by("past").setAttribute("aria-busy", "false");
  by("past-problem").textContent = [...new Set(problems)].join("\n");
  by("past-problem").hidden = !problems.length;
}

function controls() {
  const { first_seq: first, last_seq: last } = kept();
  by("past-journal").value = name;
  const slider = by("past-slider");
  slider.min = first;
  slider.max = last;
  slider.value = seq;
  slider.setAttribute("aria-valuetext", `turn ${seq} of ${last}`);
  if (document.activeElement !== by("past-seq") || !by("past-seq").dataset.typing) by("past-seq").value = seq;
  by("past-kept").textContent = `of ${first}–${last}`;
  for (const [id, off] of [["past-first", seq <= first], ["past-back", seq <= first], ["past-on", seq >= last], ["past-last", seq >= last]]) by(id).setAttribute("aria-disabled", off);
}

function cutNote(answer, what) {
  return make("p", { class: "muted" }, `${what} `, raw(answer.path, "The whole answer"));
}

function showLine(answer, hasLine) {
  const [text] = answer?.text ? items(fields(answer.text).lines) : [];
  const line = text ? fields(text) : null;
  const fits = line && Number(line.seq) === seq;
  const events = fits ? items(line.events) : [];
  const sends = fits ? items(line.sends) : [];
  const types = events.map((event) => JSON.parse(fields(event).type));
  by("past-said").replaceChildren(`Turn ${seq}`, ...(fits ? [" · ", time(Number(line.ts) / 1e6, clock()), ` · ${types.slice(0, 5).map(seen).join(", ")}${types.length > 5 ? " …" : ""}`] : []));
  const none = hasLine ? "Its line is not kept." : "Before the first turn.";
  by("past-line").replaceChildren(...(fits ? [
    make("p", { class: "muted" }, "cause ", make("code", {}, seen(JSON.parse(line.cause)) || "none")),
    ...events.slice(0, EVENTS).map((event) => entry(fields(event).type, fields(event).data)),
    ...sends.slice(0, EVENTS).map((send) => entry(fields(send).type, fields(send).data, fields(send).to)),
    cutNote(answer, `${counted(events.length, "event")}, ${counted(sends.length, "send")}.`),
  ] : answer?.problem ? [] : [make("p", { class: "muted" }, none)]));
}

const counted = (count, word) => `${count} ${word}${count === 1 ? "" : "s"}`;

function entry(type, data, to) {
  const { text, cut } = indented(data, EVENT_CHARACTERS);
  return make("details", { class: "entry", open: text.length <= OPEN_CHARACTERS }, make("summary", {}, make("b", {}, seen(JSON.parse(type))), to ? ` to ${seen(JSON.parse(to))}` : null),
    make("pre", {}, cut ? `${text}…` : text));
}

function showChanges(answer, from) {
  const found = answer?.text ? fields(answer.text) : null;
  const all = found ? items(found.changes) : [];
  const total = found ? all.length + Number(found.more) : 0;
  by("past-changed").textContent = found ? `Changed since turn ${from}: ${total || "nothing"}` : answer?.problem ? "" : seq ? "The turn before it is not kept." : "There is no turn before it.";
  by("past-changes").replaceChildren(...all.slice(0, CHANGES).map(changeItem));
  const rest = total - Math.min(all.length, CHANGES);
  by("past-more").replaceChildren(...(rest > 0 ? [cutNote(answer, `And ${rest} more.`)] : []));
}

function changeItem(text) {
  const change = fields(text);
  const op = JSON.parse(change.op);
  const [sign, word] = SIGNS[op];
  const path = seen(JSON.parse(change.path)) || "the whole state";
  const value = (one) => make("code", { class: "value" }, shortened(one, VALUE_CHARACTERS));
  const values = { add: [value(change.after)], remove: [value(change.before)], replace: [value(change.before), " → ", value(change.after)] };
  return make("li", { "data-op": op }, make("span", { class: "sign", "aria-hidden": "true" }, sign), make("span", { class: "visually-hidden" }, `${word}: `),
    make("div", {}, make("span", { class: "path" }, path), " ", values[op]));
}

function showState(answer) {
  const text = answer.text?.slice(answer.text.indexOf('"state":') + 8, answer.text.lastIndexOf("}"));
  const { text: shown, cut } = text ? indented(text, STATE_CHARACTERS) : { text: "", cut: false };
  by("past-after").textContent = `State after turn ${seq}`;
  by("past-state").textContent = cut ? `${shown}…` : shown;
  for (const id of ["past-state", "past-after"]) by(id).hidden = !text;
  by("past-whole").replaceChildren(...(text ? [cutNote(answer, cut ? `The first ${shown.length.toLocaleString("en")} characters of ${text.length.toLocaleString("en")}.` : "")] : []));
}

// -- what a person does

export function step(turns) {
  const { first_seq: first, last_seq: last } = kept();
  const wanted = Math.max(first, Math.min(last, seq + turns));
  if (wanted !== seq) go(wanted);
}

// The actors go on: more turns can be looked at. What is shown stays.
export function follow(actors) {
  let grown = false;
  for (const row of journals.values()) {
    const end = actors.get(row.name)?.watermark ?? 0;
    if (end > row.last_seq) { row.last_seq = end; grown = true; }
  }
  if (grown && name) controls();
}

const turn = (text) => (/^\d{1,15}$/.test(text.trim()) ? Number(text) : null);

function typed(input, use) {
  const wanted = turn(input.value);
  if (wanted === null) return settle([`Expected the number of a turn, got ${input.value || "nothing"}.`]);
  use(wanted);
}

export function listen() {
  by("past-journal").addEventListener("change", (event) => choose(event.target.value));
  by("past-slider").addEventListener("input", (event) => go(Number(event.target.value), REST_MS));
  by("past-seq").addEventListener("input", (event) => { event.target.dataset.typing = "yes"; });
  by("past-seq").addEventListener("change", (event) => { delete event.target.dataset.typing; typed(event.target, go); });
  by("past-since").addEventListener("change", (event) => {
    const use = (wanted) => { since = wanted; go(seq); };
    if (event.target.value.trim()) typed(event.target, use);
    else use(null);
  });
  by("past-first").addEventListener("click", () => step(-Infinity));
  by("past-back").addEventListener("click", () => step(-1));
  by("past-on").addEventListener("click", () => step(1));
  by("past-last").addEventListener("click", () => step(Infinity));
}
