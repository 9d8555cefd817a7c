// The conversation's rows. What schedules fire between two words of a person is one row for each schedule.

const opened = new Set();
let before = new Map(); // the groups of the last time: one that did not change stays the same object

export const isOpened = (group) => opened.has(group.id);
export const toggleGroup = (group) => opened.delete(group.id) || opened.add(group.id);

// A reminder's message names no schedule: there the text, said again and unasked, tells.
function firedBy(message, tasks) {
  if (message.role !== "assistant" || message.in_reply_to.length) return null;
  if (!message.task) return `says ${message.text}`;
  return tasks.get(message.task)?.schedule ?? null;
}

export function grouped(messages, tasks) {
  const rows = [];
  const groups = new Map();
  let run = new Map();
  let anchor = "start";
  const end = () => {
    for (const group of run.values()) rows.push(group.messages.length > 1 ? same(group, groups) : group.messages[0]);
    run = new Map();
  };
  for (const message of messages) {
    const schedule = firedBy(message, tasks);
    if (schedule === null) {
      end();
      rows.push(message);
      anchor = message.id;
      continue;
    }
    const group = run.get(schedule) ?? { id: `${anchor} ${schedule}`, schedule, messages: [] };
    group.messages.push(message);
    run.delete(schedule); // the one that fired last comes last
    run.set(schedule, group);
  }
  end();
  before = groups;
  return rows;
}

function same(group, groups) {
  const old = before.get(group.id);
  const kept = old && old.messages.length === group.messages.length && old.messages.every((message, place) => message === group.messages[place]) ? old : group;
  groups.set(group.id, kept);
  return kept;
}
