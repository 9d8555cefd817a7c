// The page: what happens now, and why something waits or went wrong.

import { by, make, patch, refreshTimes, relative, span, time } from "./dom.js";
import { grouped, isOpened, toggleGroup } from "./firings.js";
import { output } from "./output.js";
import * as past from "./past.js";
import { post, Stream } from "./stream.js";

const stream = new Stream("/api/events");
const open = new Map(); // task id -> its detail, once fetched (null while it is on its way)
let filter = "all";
let seen = 0;
let stay = false; // what was opened stays in view
let pending = null; // the text and key of an input that was not acknowledged yet

const quoted = (word) => (/^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`);
const copyable = (text) => make("button", { class: "link", title: "copy", onclick: () => navigator.clipboard?.writeText(text) }, text);
const dot = (state) => make("i", { class: "state", "data-state": state, title: state, role: "img", "aria-label": state });

// -- actors, schedules, incidents

function tree(actors) {
  const children = Map.groupBy ? Map.groupBy(actors, (actor) => actor.parent) : new Map();
  if (!Map.groupBy) for (const actor of actors) children.set(actor.parent, [...(children.get(actor.parent) ?? []), actor]);
  const names = new Set(actors.map((actor) => actor.name));
  const flat = [];
  const visit = (actor, depth) => {
    flat.push([actor, depth]);
    for (const child of children.get(actor.name) ?? []) visit(child, depth + 1);
  };
  for (const actor of actors) if (!names.has(actor.parent)) visit(actor, 0);
  return flat;
}

function actorItem(actor, depth) {
  const trouble = actor.problem ?? (actor.phase === "running" ? null : actor.last_failure);
  const counts = [];
  if (actor.mailbox) counts.push(`${actor.mailbox} waiting`);
  if (actor.restarts) counts.push(`${actor.restarts}×`);
  const turns = actor.sequence === null ? null : make("button", { class: "link", title: "look back", "data-focus": "turns",
    "aria-label": `look back at ${actor.name}, turn ${actor.sequence}`, onclick: () => lookBack(actor.name) }, `#${actor.sequence}`);
  const title = [actor.actor_class, actor.phase, `${actor.restarts} restarts`, actor.last_failure && `last failure: ${actor.last_failure}`];
  const item = make("li", { title: title.filter(Boolean).join(" · ") },
    make("div", { class: "line" }, dot(actor.phase), make("span", { class: "name" }, actor.name),
      make("span", { class: "kind" }, actor.phase === "running" ? "" : actor.phase),
      make("span", { class: "number" }, counts.join("  "), turns ? " " : null, turns)),
    actor.mailbox ? make("div", { class: "mail" }) : null,
    trouble ? make("p", { class: "why" }, trouble) : null);
  item.style.setProperty("--depth", depth);
  item.style.setProperty("--full", `${Math.min(80, 8 * Math.log2(1 + actor.mailbox))}%`);
  return item;
}

function scheduleItem(schedule) {
  const when = schedule.cron ?? "once";
  const next = schedule.status === "enabled" && schedule.next_at ? time(schedule.next_at, stream.now()) : schedule.status;
  return make("li", {}, dot(schedule.status), " ", make("b", {}, schedule.title), make("div", { class: "muted" },
    make("code", {}, when), " ", schedule.timezone, " · ", next, ` · fired ${schedule.firings}×`));
}

const incidentItem = (incident) => make("li", {}, make("b", {}, incident.actor), " ", incident.text,
  make("div", { class: "muted" }, incident.kind, " · ", time(incident.at, stream.now())));

function renderStage() {
  const flat = tree([...stream.tables.actors.values()]);
  const depth = new Map(flat.map(([actor, level]) => [actor.id, level]));
  patch(by("actors"), flat.map(([actor]) => actor), (actor) => actorItem(actor, depth.get(actor.id)), (actor) => depth.get(actor.id));
  const schedules = [...stream.tables.schedules.values()].reverse();
  patch(by("schedules"), orEmpty(schedules), (row) => row.empty ? empty("None yet. Try ", '/every "*/5 * * * *" date') : scheduleItem(row));
  const incidents = [...stream.tables.incidents.values()].slice(-30).reverse();
  patch(by("incidents"), orEmpty(incidents), (row) => row.empty ? empty("Nothing went wrong.") : incidentItem(row));
  const dead = stream.system?.dead_letters ?? 0;
  by("dead").textContent = dead ? `${dead} dead letters` : "";
}

const NOTHING = { id: "empty", empty: true };
const orEmpty = (rows) => (rows.length ? rows : [NOTHING]);
const empty = (text, command) => make("li", { class: "empty" }, text, command ? make("code", {}, command) : null);

// -- tasks

const shown = { all: () => true, active: (task) => !task.finished_at, failed: (task) => task.status === "failed" };

function says(task) {
  if (task.status === "running") return task.canceling ? `being canceled: ${task.why}` : progress(live(task));
  if (task.retry_at) return `${task.why} · attempt ${task.attempts + 1} ${relative(task.retry_at, stream.now())}`;
  return [task.status, task.why].filter(Boolean).join(" · ");
}

// What a running attempt says of itself; nothing before it does.
function live(task) {
  const row = stream.tables.live.get(task.id);
  return task.status === "running" && row?.attempt === task.attempts ? row : null;
}

function progress(row) {
  const share = row && row.progress !== null ? `${Math.round(row.progress * 100)} %` : "";
  return ["running", share, row?.note].filter(Boolean).join(" · ");
}

function took(task) {
  if (!task.started_at) return "";
  return span((task.finished_at ?? stream.now()) - task.started_at);
}

function taskItem(task) {
  const isOpen = open.has(task.id);
  return make("li", { class: "task", "data-status": task.status, "data-id": task.id },
    make("button", { "aria-expanded": String(isOpen), "data-focus": "row", onclick: () => toggle(task.id) },
      dot(task.status), make("span", { class: "title" }, task.title),
      make("span", { class: "when", "data-running": task.status === "running" ? task.started_at : null }, took(task)),
      make("span", { class: "says" }, says(task))),
    isOpen ? taskDetail(task, open.get(task.id)) : null);
}

function taskDetail(task, detail) {
  const facts = [["id", copyable(task.id)], ["command", make("code", {}, task.command.map(quoted).join(" "))],
    ["attempts", String(task.attempts)], ["created", time(task.created_at, stream.now())]];
  if (task.exit_code !== null) facts.push(["exit code", String(task.exit_code)]);
  if (task.origin) facts.push(["asked by", task.origin]);
  if (task.schedule) facts.push(["schedule", task.schedule]);
  const now = live(task);
  const printed = now?.output ? { text: now.output, cut: now.output_bytes > new TextEncoder().encode(now.output).length } : detail?.output;
  const [text, fold] = printed ? output(task.id, (printed.cut ? "…\n" : "") + printed.text) : [null, null];
  const cancel = task.finished_at ? null : make("div", { class: "actions" }, make("button", { class: "small", "data-focus": "cancel",
    disabled: task.canceling || stream.state !== "connected", onclick: () => cancelTask(task.id) }, "Cancel"));
  return make("div", { class: "detail" },
    make("dl", {}, ...facts.flatMap(([name, value]) => [make("dt", {}, name), make("dd", {}, value)])),
    text,
    printed?.file ? make("p", { class: "muted" }, `${printed.total_bytes} bytes in all, in ${printed.file}`) : null,
    fold ? make("div", { class: "about" }, fold) : null,
    cancel);
}

async function toggle(id) {
  if (open.delete(id)) return schedule();
  open.set(id, null);
  schedule();
  await fetchDetail(id);
}

async function fetchDetail(id) {
  try {
    const response = await fetch(`/api/tasks/${encodeURIComponent(id)}`);
    if (response.ok && open.has(id)) open.set(id, await response.json());
  } catch { /* the connection's state says it */ }
  schedule();
}

async function cancelTask(id) {
  try { await post(`/api/tasks/${encodeURIComponent(id)}/cancel`); } catch (error) { problem(error.message); }
}

function renderTasks() {
  const all = [...stream.tables.tasks.values()].reverse();
  const active = all.filter(shown.active).length;
  by("tab-active").textContent = active;
  by("tab-active").hidden = !active;
  for (const task of all) {
    const detail = open.get(task.id);
    if (detail && detail.output_bytes !== task.output_bytes) { open.set(task.id, null); fetchDetail(task.id); }
  }
  const rows = all.filter(shown[filter]);
  patch(by("task-list"), orEmpty(rows), (row) => row.empty ? noTasks() : taskItem(row),
    (row) => `${open.has(row.id)} ${open.get(row.id)?.output_bytes} ${stream.state} ${JSON.stringify(row.empty ? null : live(row))}`);
}

function noTasks() {
  const item = filter === "all" ? empty("No tasks yet. Say ", "/run date") : empty(`No ${filter} tasks.`);
  item.style.padding = "1rem";
  return item;
}

// -- conversation

function messageItem(message) {
  const waits = message.role === "user" && !message.reply;
  const end = message.role !== "user" && message.task ? message.text.indexOf("\n") : -1; // behind it: what the task printed
  const [text, fold] = end >= 0 ? output(message.id, message.text.slice(end + 1)) : [null, null];
  return make("article", { class: "message", "data-role": message.role, "data-id": message.id },
    make("div", { class: "text" }, end >= 0 ? make("p", {}, message.text.slice(0, end)) : message.text, text),
    make("div", { class: "about" },
      message.role === "system" ? make("span", {}, "system") : null,
      message.task ? make("button", { class: "link", onclick: () => show(message.task) }, message.task) : null,
      waits ? make("span", {}, "waits for its reply") : null,
      time(message.at, stream.now()), fold));
}

function firingsItem(group) {
  const earlier = group.messages.slice(0, -1);
  const failed = earlier.filter((message) => stream.tables.tasks.get(message.task)?.status === "failed").length;
  const title = stream.tables.schedules.get(group.schedule)?.title;
  return make("div", { class: "firings", "data-schedule": group.schedule },
    make("button", { class: "small", "aria-expanded": String(isOpened(group)), "data-focus": "firings", onclick: () => { toggleGroup(group); stay = true; schedule(); } },
      `${earlier.length} earlier`, title ? make("span", {}, " of ", make("b", {}, title)) : group.messages.at(-1).task ? null : ", the same", failed ? make("span", { class: "bad" }, ` · ${failed} failed`) : null),
    isOpened(group) ? earlier.map(messageItem) : null,
    messageItem(group.messages.at(-1)));
}

function renderTalk() {
  const log = by("log");
  const rows = [...stream.tables.messages.values()];
  const atEnd = log.scrollHeight - log.scrollTop - log.clientHeight < 60;
  patch(log, orEmpty(grouped(rows, stream.tables.tasks)), (row) => row.empty ? welcome() : row.messages ? firingsItem(row) : messageItem(row),
    (row) => row.messages ? isOpened(row) : "");
  if (!stay && (atEnd || rows.at(-1)?.role === "user")) toEnd();
  else unseen(rows.length - seen);
  if (atEnd) seen = rows.length;
  stay = false;
}

const welcome = () => make("p", { class: "empty" }, "Nothing said yet. What you write here goes to the manager: try ",
  make("code", {}, "/run echo hello"), " or ", make("code", {}, "/help"), ".");

function toEnd() {
  by("log").scrollTop = by("log").scrollHeight;
  seen = stream.tables.messages.size;
  by("unseen").hidden = true;
}

function unseen(count) {
  by("unseen").hidden = count <= 0;
  by("unseen").textContent = `${count} new`;
}

function show(task) {
  filter = "all";
  view("tasks");
  if (!open.has(task)) toggle(task);
  renderAll();
  document.querySelector(`.task[data-id="${CSS.escape(task)}"] > button`)?.focus();
}

function problem(text) {
  by("problem").textContent = text ?? "";
  by("problem").hidden = !text;
}

async function submit(event) {
  event?.preventDefault();
  const text = by("input").value;
  if (!text.trim() || by("send").disabled) return;
  if (pending?.text !== text) pending = { text, key: crypto.randomUUID() };
  by("send").disabled = true;
  try {
    await post("/api/input", pending); // the key: sent again after a lost answer, it counts once
    pending = null;
    if (by("input").value === text) by("input").value = "";
    problem(null);
  } catch (error) {
    problem(`Not sent: ${error.message}`);
  }
  renderHeader();
  by("input").focus();
}

// -- the whole

function renderHeader() {
  const connection = by("connection");
  connection.dataset.state = stream.state;
  connection.lastElementChild.textContent = stream.state;
  by("retry").hidden = stream.state === "connected" || stream.state === "connecting";
  by("send").disabled = stream.state !== "connected";
  by("home").textContent = stream.system?.home ?? "";
  by("home").title = stream.system?.home ?? "";
  const manager = stream.manager;
  const busy = manager?.error ? `waits: ${manager.error}` : manager?.run ? "manager at work" : "";
  by("engine").textContent = [manager?.engine && `${manager.engine} engine`, busy].filter(Boolean).join(" · ");
  renderNotice();
}

const sentence = (text) => text.charAt(0).toUpperCase() + text.slice(1).replace(/\.$/, "") + ".";
const said = (halt, word) => `${halt.actor} is ${word} and takes nothing: ${halt.error}. ${sentence(halt.advice)}`;

function renderNotice() {
  const halts = stream.system?.halted ?? [];
  const blocked = stream.system?.blocked ?? [];
  const needy = [...halts.map((halt) => said(halt, "halted")), ...blocked.map((halt) => said(halt, "blocked"))];
  const away = stream.state === "connected" || stream.state === "connecting" ? "" : "Not connected: what you see may be old, and nothing can be sent until the server is back.";
  const text = [away, ...needy].filter(Boolean).join("\n");
  if (by("notice").dataset.text === text) return;
  by("notice").dataset.text = text;
  by("notice").hidden = !text;
  by("notice").replaceChildren(text);
  if (halts.length) by("notice").append(make("button", { class: "small", onclick: () => post("/api/resume").catch((error) => problem(error.message)) }, "Resume"));
}

function renderAll() {
  renderHeader();
  renderStage();
  renderTasks();
  renderTalk();
  past.follow(stream.tables.actors);
}

let scheduled = false;
function schedule() {
  if (scheduled) return;
  scheduled = true;
  requestAnimationFrame(() => { scheduled = false; renderAll(); });
}

function view(name) {
  document.querySelector("main").dataset.view = name;
  for (const tab of document.querySelectorAll(".tabs button")) tab.setAttribute("aria-pressed", String(tab.dataset.view === name));
  by("look-back").setAttribute("aria-pressed", String(name === "past"));
}

const looksBack = () => document.querySelector("main").dataset.view === "past";

function lookBack(actor) {
  view("past");
  if (actor) by("past-slider").focus();
  past.open(actor, () => stream.now());
}

function tick() {
  refreshTimes(stream.now());
  for (const element of document.querySelectorAll("[data-running]")) element.textContent = span(stream.now() - Number(element.dataset.running));
}

by("form").addEventListener("submit", submit);
by("input").addEventListener("keydown", (event) => {
  if (event.key === "Enter" && !event.shiftKey && !event.isComposing) submit(event);
});
by("unseen").addEventListener("click", toEnd);
by("log").addEventListener("scroll", () => { if (by("log").scrollHeight - by("log").scrollTop - by("log").clientHeight < 60) toEnd(); });
by("retry").addEventListener("click", () => stream.open());
by("filter").addEventListener("click", (event) => {
  const chosen = event.target.closest("[data-filter]");
  if (!chosen) return;
  filter = chosen.dataset.filter;
  for (const button of by("filter").children) button.setAttribute("aria-pressed", String(button === chosen));
  schedule();
});
document.querySelector(".tabs").addEventListener("click", (event) => {
  const tab = event.target.closest("[data-view]");
  if (tab?.dataset.view === "past") lookBack();
  else if (tab) { view(tab.dataset.view); toEnd(); }
});
by("look-back").addEventListener("click", () => { if (looksBack()) view("talk"); else lookBack(); });
past.listen();
document.addEventListener("keydown", (event) => {
  const writing = event.target.closest("input:not([type=range]), textarea, select");
  if (event.key === "Escape") document.activeElement.blur();
  if (writing || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === "/") { event.preventDefault(); view("talk"); by("input").focus(); }
  if (event.key === "j" || event.key === "k") (looksBack() ? past.step : move)(event.key === "j" ? 1 : -1);
});

function move(step) {
  const rows = [...document.querySelectorAll(".task > button")];
  const place = rows.indexOf(document.activeElement);
  rows[Math.max(0, Math.min(rows.length - 1, place + step))]?.focus();
}

stream.addEventListener("state", schedule);
stream.addEventListener("rows", schedule);
setInterval(tick, 1000);
renderHeader();
stream.open();
