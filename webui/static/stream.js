// The page's copy of the read model: a snapshot, then every change in order.

const TABLES = ["tasks", "live", "messages", "schedules", "actors", "incidents"];
const KEPT_ROWS = 500;
const REST_MS = 60_000;

export class Stream extends EventTarget {
  constructor(path) {
    super();
    this.path = path;
    this.state = "connecting";
    this.lastId = "";
    this.tables = Object.fromEntries(TABLES.map((name) => [name, new Map()]));
    this.manager = null;
    this.system = null;
    this.skew = 0; // the server's clock minus ours, in seconds
    this.attempts = 0;
    document.addEventListener("visibilitychange", () => this.#visibility());
  }

  // The browser reconnects by itself after a lost connection, but not after an answer that is no stream:
  // then we do, with pauses that grow.
  open() {
    clearTimeout(this.timer);
    this.source?.close();
    const after = this.lastId ? `?after=${encodeURIComponent(this.lastId)}` : "";
    const source = (this.source = new EventSource(this.path + after));
    source.addEventListener("open", () => { this.attempts = 0; this.#become("connected"); });
    source.addEventListener("snapshot", (event) => this.#snapshot(event));
    source.addEventListener("change", (event) => this.#change(event));
    source.addEventListener("error", () => {
      if (source !== this.source) return;
      if (source.readyState === EventSource.CLOSED) this.#later();
      else this.#become("reconnecting");
    });
  }

  #later() {
    this.attempts += 1;
    this.#become(this.attempts > 5 ? "disconnected" : "reconnecting");
    const pause = Math.min(1000 * 2 ** (this.attempts - 1), 30_000);
    this.timer = setTimeout(() => this.open(), pause);
  }

  #visibility() {
    clearTimeout(this.rest);
    if (document.hidden) {
      this.rest = setTimeout(() => { this.source?.close(); this.resting = true; }, REST_MS);
    } else if (this.resting) {
      this.resting = false;
      this.open();
    }
  }

  #become(state) {
    if (this.state === state) return;
    this.state = state;
    this.dispatchEvent(new Event("state"));
  }

  #snapshot(event) {
    const snapshot = JSON.parse(event.data);
    this.lastId = event.lastEventId;
    this.skew = snapshot.time - Date.now() / 1000;
    for (const name of TABLES) this.tables[name] = new Map(snapshot[name].map((row) => [row.id, row]));
    this.manager = snapshot.manager;
    this.system = snapshot.system;
    this.dispatchEvent(new Event("rows"));
  }

  #change(event) {
    const { table, id, row } = JSON.parse(event.data);
    this.lastId = event.lastEventId;
    if (table === "manager" || table === "system") this[table] = row;
    else if (row) this.tables[table]?.set(id, row);
    else this.tables[table]?.delete(id);
    this.#forget(this.tables[table]);
    this.dispatchEvent(new Event("rows"));
  }

  // A page that stays open for weeks keeps what a fresh one would get, and a little more.
  #forget(rows) {
    if (!rows || rows.size <= KEPT_ROWS || rows === this.tables.actors) return;
    for (const [id, row] of rows) {
      if (rows.size <= KEPT_ROWS - 100) return;
      if (!("status" in row) || row.finished_at) rows.delete(id);
    }
  }

  now() { return Date.now() / 1000 + this.skew; }
}

export async function post(path, body) {
  const response = await fetch(path, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(body ?? {}),
  });
  const answer = await response.json();
  if (!response.ok) throw new Error(answer.detail ?? answer.title ?? response.statusText);
  return answer;
}
