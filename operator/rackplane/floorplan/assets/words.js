"use strict";
// Figures as a reader wants them, what a tile's colour says, and making elements without ever parsing text as HTML.

const one = new Intl.NumberFormat("en", { maximumFractionDigits: 1 });
const two = new Intl.NumberFormat("en", { maximumFractionDigits: 2, minimumFractionDigits: 2 });
const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });

/** "1,150 kW", "22.4 kW", "19.10 MW". */
function power(watts) {
  const w = watts ?? 0;
  return Math.abs(w) >= 1e7 ? `${two.format(w / 1e6)} MW` : `${one.format(w / 1e3)} kW`;
}

/** "1,150.3 of 1,200 kW", both in one unit. */
function ofLimit(watts, limit) {
  const mega = Math.max(watts ?? 0, limit ?? 0) >= 1e7;
  const part = (w) => (mega ? two.format((w ?? 0) / 1e6) : one.format((w ?? 0) / 1e3));
  return `${part(watts)} of ${part(limit)} ${mega ? "MW" : "kW"}`;
}

/** The same where there is little room: "3,575 of 8,000 kW", "76.7 of 176 MW". */
function briefly(watts, limit) {
  const mega = Math.max(watts ?? 0, limit ?? 0) >= 1e7;
  const part = (w) => (mega ? one.format((w ?? 0) / 1e6) : whole.format((w ?? 0) / 1e3));
  return `${part(watts)} of ${part(limit)} ${mega ? "MW" : "kW"}`;
}

const count = (n, noun) => `${whole.format(n)} ${noun}${n === 1 ? "" : "s"}`;
/** Whole percent; what is over its limit is never 100. */
const percentage = (ratio) => (ratio > 1.0005 ? Math.max(101, Math.round(ratio * 100)) : Math.round(ratio * 100));
const percent = (ratio) => (Number.isFinite(ratio) ? `${percentage(ratio)} %` : "no capacity");

/** Parts of a limit; of no capacity at all the least load is too much. */
const share = (watts, limit) => (limit > 0 ? (watts ?? 0) / limit : watts > 0 ? Infinity : 0);

/** "losing ups-b: power domain ups-a 2,400 of 2,400 kW". */
function nearest(worst) {
  if (!worst) return "";
  const second = worst.secondTo?.length ? ` (a second loss: ${worst.secondTo.join(", ")} out)` : "";
  const when = worst.loss ? `losing ${worst.loss}${second}: ` : "now: ";
  return `${when}${worst.of} ${ofLimit(worst.watts, worst.limit)}`;
}

/** "12 s", "4 min", "2 h 5 min". */
function span(seconds) {
  const s = Math.max(0, Math.round(seconds));
  if (s < 90) return `${s} s`;
  if (s < 5400) return `${Math.round(s / 60)} min`;
  return `${Math.floor(s / 3600)} h ${Math.round((s % 3600) / 60)} min`;
}

const clock = (at) => new Date(at * 1000).toLocaleTimeString("en-GB");

/** "14:05:12", on another day "2026-11-23 14:05". */
function moment(at, now) {
  const [then, today] = [new Date(at * 1000), new Date(now * 1000)];
  if (then.toDateString() === today.toDateString()) return clock(at);
  return `${then.toLocaleDateString("sv-SE")} ${then.toLocaleTimeString("en-GB", { timeStyle: "short" })}`;
}

const parsed = (text) => (text ? Date.parse(text) / 1000 : NaN);

/** What is out of the ordinary with a rack; the first is the gravest. Each is a sign, and words for it. */
function marks(row) {
  const found = [];
  if (row.problem) found.push(["!", row.problem]);
  else if (!Object.keys(row.feeds ?? {}).length) found.push(["⊘", "no live feed reaches it"]);
  if ((row.headroom ?? 0) < 0) found.push(["▲", `must draw ${power(-row.headroom)} less`]);
  if (row.state && row.state !== "Active") found.push([row.state === "Draining" ? "D" : "M", row.state]);
  if (row.down) found.push(["×", `${count(row.down, "GPU")} on nodes that are not healthy`]);
  return found;
}

/** The heat of the zone of a rack that is nearest to what it can carry off: [zone, parts of its limit]. */
function hottest(place, frame) {
  let found = ["", null];
  for (const name of [place.liquid, place.air]) {
    const zone = name && frame.zones?.[name];
    if (!zone) continue;
    const part = share(zone.watts, zone.limit);
    if (found[1] === null || part > found[1]) found = [name, part];
  }
  return found;
}

/** By what tiles are coloured: a label, a part of a whole (null: does not apply), and the scale. */
const MEASURES = {
  gpus: { label: "GPUs", title: "GPUs in use", scale: "g", part: (row) => (row.gpus ? (row.used ?? 0) / row.gpus : null) },
  power: { label: "Power", title: "Watts of the rack's limit", scale: "l", part: (row) => share(row.watts, row.limit) },
  heat: { label: "Heat", title: "Heat of what its fullest cooling zone carries off", scale: "l",
    part: (row, place, frame) => hottest(place, frame)[1] },
  worst: { label: "Worst loss", title: "Load of the nearest limit after the worst loss", scale: "l",
    part: (row) => (row.worst ? share(row.worst.watts, row.worst.limit) : null) },
};
/** Least part of each step but the first. A load is over its limit beyond the last; half a watt in a thousand is noise. */
const STEPS = { g: [0.005, 0.2, 0.4, 0.6, 0.8, 0.995], l: [0.4, 0.6, 0.8, 0.9, 0.97, 1.0005] };
const LEGENDS = {
  g: ["none", "to 20 %", "40", "60", "80", "99", "all"],
  l: ["to 40 %", "60", "80", "90", "97", "100", "▲ over"],
};

function step(scale, part) {
  if (part === null || part === undefined) return "none";
  let n = 0;
  while (n < STEPS[scale].length && part >= STEPS[scale][n]) n += 1;
  return scale + n;
}

/** An element with attributes and children; text becomes text nodes. "on…" are listeners, `part` and the like CSS variables. */
function make(tag, attributes = {}, ...children) {
  const svg = ["svg", "g", "rect", "path", "text", "title", "tspan"].includes(tag);
  const element = svg ? document.createElementNS("http://www.w3.org/2000/svg", tag) : document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name.startsWith("--")) element.style.setProperty(name, value);
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined && child !== ""));
  return element;
}

const byId = (id) => document.getElementById(id);

/** Put these children in place of all others. */
const fill = (element, ...children) => element.replaceChildren(...children.flat().filter(Boolean));
