"use strict";
// Where frames come from: a recording in the page, or the operator that serves it, live and of the last hour.

const TABLES = ["racks", "elements", "zones", "budgets", "gangs"];

/** The later frame; rows that did not change are the same objects. */
function applied(frame, delta) {
  const next = { ...delta };
  for (const table of TABLES) {
    next[table] = { ...frame[table] };
    for (const [name, row] of Object.entries(delta[table] ?? {})) {
      if (row === null) delete next[table][name];
      else next[table][name] = row;
    }
  }
  return next;
}

const momentOf = (frame) => ({
  at: frame.at, gpus: frame.totals?.gpus ?? 0, used: frame.totals?.used ?? 0, waiting: frame.totals?.waiting ?? 0,
});

/** A series that is all there. */
class Recorded {
  constructor(recording) {
    this.layouts = recording.layouts;
    this.title = recording.title;
    this.frames = [recording.first];
    for (const delta of recording.deltas) this.frames.push(applied(this.frames.at(-1), delta));
  }
  get moments() { return this.frames.map(momentOf); }
  async frameAt(index) {
    const frame = this.frames[index];
    return [frame, this.layouts[frame.layout]];
  }
}

/** Told by server-sent events: a whole frame first, then what changes. */
class Live {
  /** Silence, in seconds, after which the connection counts as dead; the server says how often it beats. */
  silence = 20;
  pause = 1;

  constructor({ onFrame, onState, onMoments }) {
    Object.assign(this, { onFrame, onState, onMoments });
    this.layouts = {};
    this.moments = [];
    this.frame = null;
    this.connect();
    setInterval(() => this.watch(), 2000);
  }

  connect() {
    this.heard = Date.now();
    const source = (this.source = new EventSource("events"));
    const on = (type, handle) => source.addEventListener(type, (event) => {
      this.heard = Date.now();
      this.take(source, handle, JSON.parse(event.data));
    });
    this.tail = Promise.resolve();
    on("hello", (data) => {
      this.silence = data.beatSeconds * 2.5 + 2;
      this.pause = 1;
      this.onState(data.ready ? "live" : "wait", data.ready ? "live" : "the operator has not read the cluster yet");
      return this.loadMoments();
    });
    on("frame", (frame) => this.show(frame));
    on("delta", (delta) => (this.frame ? this.show(applied(this.frame, delta)) : null));
    on("beat", () => this.onState(this.frame ? "live" : "wait", this.frame ? this.said() : "the operator has not read the cluster yet"));
    source.onerror = () => this.again("connection lost, trying again");
  }

  /** In the order of the events: a layout may have to be fetched in between. */
  take(source, handle, data) {
    this.tail = this.tail.then(() => (source === this.source ? handle(data) : null)).catch(() => this.again("could not be read, trying again"));
  }

  /** By ourselves, and not as EventSource does: it gives up for good on an answer such as 503. */
  again(words) {
    if (!this.source) return;
    this.source.close();
    this.source = null;
    this.onState("lost", words);
    setTimeout(() => this.connect(), this.pause * 1000);
    this.pause = Math.min(this.pause * 2, 15);
  }

  watch() {
    if (this.source && Date.now() - this.heard > this.silence * 1000) this.again("no sign of the operator, trying again");
  }

  said() {
    return this.frame.mode === "Observe" ? "live, Observe" : this.frame.leading ? "live" : "live, from a standby";
  }

  async show(frame) {
    const layout = await this.layout(frame.layout);
    this.frame = frame;
    // The first frame of a connection is often the last of the history.
    if (!(frame.at <= this.moments.at(-1)?.at)) this.moments.push(momentOf(frame));
    if (this.moments.length > 3000) this.moments.shift();
    this.onState("live", this.said());
    this.onFrame(frame, layout);
  }

  async layout(id) {
    this.layouts[id] ??= await this.get(`layouts/${id}`);
    return this.layouts[id];
  }

  async loadMoments() {
    const known = await this.get("history");
    const last = known.at(-1)?.at ?? 0;
    this.moments = [...known, ...this.moments.filter((m) => m.at > last)];
    this.onMoments();
  }

  /** The frame of that moment as the operator has it; of an older one than it has the first there is. */
  async frameAt(index) {
    const frame = await this.get(`frames/${this.moments[index].at}`);
    return [frame, await this.layout(frame.layout)];
  }

  async get(path) {
    const answer = await fetch(path);
    if (!answer.ok) throw new Error(`${path}: ${answer.status}`);
    return answer.json();
  }
}
