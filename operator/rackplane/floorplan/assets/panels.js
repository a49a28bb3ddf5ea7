"use strict";
// Beside the floor: sums, what is selected with its figures, and who waits for what.

class Totals {
  constructor() {
    this.element = byId("totals");
  }

  show(frame, layout) {
    const totals = frame.totals ?? {};
    const used = share(totals.used, totals.gpus);
    const tightest = this.tightest(frame, layout);
    const out = layout.elements.filter((e) => frame.elements[e.name]?.live === false).map((e) => e.name);
    fill(this.element,
      figure(`${whole.format(totals.used ?? 0)} / ${whole.format(totals.gpus ?? 0)}`, `GPUs in use, ${percent(used)}`),
      figure(power(totals.watts), "racks draw"),
      tightest && figure(percent(tightest.part), `${tightest.name}, ${tightest.row.worst.loss ? `if ${tightest.row.worst.loss} is lost` : "fullest now"}`, tightest.part > 1.0005),
      out.length ? figure(cut(out.join(", "), 24), "out of service", true) : null,
      totals.down ? figure(whole.format(totals.down), "GPUs down", true) : null,
      figure(whole.format(totals.running ?? 0), "gangs run"),
      figure(whole.format(totals.waiting ?? 0), totals.waitingGpus ? `wait, ${count(totals.waitingGpus, "GPU")}` : "wait"));
  }

  /** What is over its limit, or else the fullest of those that feed racks: what feeds only pumps is as full as it was built. */
  tightest(frame, layout) {
    if (this.feedingOf !== layout.id) {
      this.feedingOf = layout.id;
      this.feeding = elementsAbove(layout, layout.racks.flatMap((rack) => rack.feeds ?? []));
    }
    let found = null;
    for (const [name, row] of Object.entries(frame.elements)) {
      const part = row.live !== false && row.worst ? share(row.worst.watts, row.worst.limit) : -1;
      if ((part > 1.0005 || this.feeding.has(name)) && part > (found?.part ?? -1)) found = { name, part, row };
    }
    return found;
  }
}

const figure = (value, words, bad) => make("div", { class: bad ? "bad" : null }, make("dt", {}, words), make("dd", {}, bad ? `▲ ${value}` : value));

class Details {
  constructor(view) {
    this.view = view;
    this.body = byId("detail-body");
    this.clear = byId("clear");
    this.clear.addEventListener("click", () => view.select({}));
  }

  show(frame) {
    const { rack, racks, element, gang, name } = this.view.selection;
    this.clear.hidden = !(rack || racks || element || gang);
    // Who reads on with the keyboard stays where they are.
    const focused = this.body.contains(document.activeElement) ? document.activeElement.dataset.key : null;
    if (rack) this.rack(rack, frame);
    else if (racks) this.group(name, racks, frame);
    else if (element) this.element(element, frame);
    else if (gang) this.gang(gang, frame);
    else this.nothing(frame);
    if (focused) this.body.querySelector(`[data-key="${CSS.escape(focused)}"]`)?.focus();
  }

  nothing(frame) {
    const budgets = Object.entries(frame.budgets ?? {});
    const zones = Object.entries(frame.zones ?? {}).map(([name, row]) => ({ name, row, part: share(row.watts, row.limit) }));
    zones.sort((a, b) => b.part - a.part);
    fill(this.body,
      make("p", { class: "hint" }, "Choose a rack, an element of the power path or a gang to see what it carries and what would be worst for it."),
      zones.length ? make("h3", {}, zones.length > 6 ? "Fullest cooling zones" : "Cooling zones") : null,
      zones.length ? make("dl", { class: "figures" }, ...zones.slice(0, 6).flatMap(({ name, row, part }) => metered(name, row.watts, row.limit, part))) : null,
      budgets.length ? make("h3", {}, "Power budgets in force") : null,
      budgets.length ? make("dl", { class: "figures" }, ...budgets.flatMap(([name, row]) => metered(name, row.watts, row.limit))) : null);
  }

  rack(name, frame) {
    const row = frame.racks[name] ?? {};
    const place = this.view.layout.racks.find((r) => r.name === name) ?? { name };
    const where = [place.site, place.hall, place.row, place.position && `position ${place.position}`].filter(Boolean).join(", ");
    const on = Object.entries(frame.gangs).filter(([, gang]) => gang.racks?.[name]);
    fill(this.body,
      make("h3", {}, `Rack ${name}`),
      make("p", { class: "hint" }, [where, place.profile].filter(Boolean).join(" · ")),
      ...marks(row).map(([sign, words]) => make("p", { class: "alarm" }, `${sign} ${words}`)),
      make("dl", { class: "figures" },
        ...pair("GPUs in use", `${row.used ?? 0} of ${row.gpus ?? 0}`), bar("g", share(row.used, row.gpus)),
        ...metered("Power", row.watts, row.limit),
        ...pair("May add", power(row.headroom)),
        ...Object.entries(row.feeds ?? {}).flatMap(([feed, watts]) => pair(`From ${feed}`, power(watts))),
        ...pair("Heat, liquid / air", `${power(row.liquid)} / ${power(row.air)}`),
        ...[place.liquid, place.air].filter((z) => z && frame.zones[z]).flatMap((z) => metered(z, frame.zones[z].watts, frame.zones[z].limit))),
      this.nearest(row.worst),
      row.dropped?.length ? make("p", { class: "said" }, `No feed reaches it after the loss of ${row.dropped.join(", or of ")}.`) : null,
      this.gangs(on, (gang) => gang.racks[name]));
  }

  group(name, racks, frame) {
    const rows = racks.map((rack) => frame.racks[rack] ?? {});
    const sum = (key) => rows.reduce((total, row) => total + (row[key] ?? 0), 0);
    const on = Object.entries(frame.gangs).filter(([, gang]) => racks.some((rack) => gang.racks?.[rack]));
    fill(this.body, make("h3", {}, name), make("p", { class: "hint" }, count(racks.length, "rack")),
      make("dl", { class: "figures" }, ...pair("GPUs in use", `${sum("used")} of ${sum("gpus")}`), bar("g", share(sum("used"), sum("gpus"))), ...metered("Power", sum("watts"), sum("limit"))),
      this.gangs(on, (gang) => racks.reduce((total, rack) => total + (gang.racks[rack] ?? 0), 0)));
  }

  element(name, frame) {
    const row = frame.elements[name] ?? {};
    const place = this.view.layout.elements.find((e) => e.name === name) ?? {};
    const below = this.view.powerPath.below(name);
    const later = row.worst ? share(row.worst.watts, row.worst.limit) : null;
    fill(this.body,
      make("h3", {}, `${place.type || "PowerDomain"} ${name}`),
      make("p", { class: "hint" }, [place.tag && `feed ${place.tag}`, `above ${count(below.size, "rack")}`].filter(Boolean).join(" · ")),
      row.live === false ? make("p", { class: "alarm" }, "▲ out of service, or without a live feed") : null,
      make("dl", { class: "figures" }, ...metered("Now", row.watts, row.limit), ...pair("Left now", power(row.headroom)),
        ...(later === null ? [] : metered("In the worst case", row.worst.watts, row.worst.limit)),
        ...Object.entries(row.sources ?? {}).flatMap(([from, watts]) => pair(`From ${from}`, power(watts))),
        ...(place.standby ?? []).flatMap((from) => pair(`Standby ${from}`, "on loss"))),
      this.nearest(row.worst),
      row.survives === undefined ? null : make("p", { class: row.survives ? "said" : "said alarm" },
        row.survives ? "If it is lost, everything goes on within its limits." : "▲ If it is lost, something is over a limit, or racks have no feed."));
  }

  gang(key, frame) {
    const gang = frame.gangs[key];
    if (!gang) {
      fill(this.body, make("h3", {}, `Gang ${key}`), make("p", { class: "hint" }, "It is over, or not there at this time."));
      return;
    }
    const racks = Object.entries(gang.racks ?? {}).sort(([a], [b]) => a.localeCompare(b, "en", { numeric: true }));
    fill(this.body, make("h3", {}, `Gang ${key}`),
      make("dl", { class: "figures" }, ...pair("Phase", gang.phase), ...pair("Queue", gang.queue ?? ""), ...pair("GPUs", `${whole.format(gang.gpus ?? 0)} in ${count(gang.slots ?? 0, "slot")}`),
        ...(gang.watts ? pair("Adds", power(gang.watts)) : []), ...(gang.profile ? pair("Power profile", gang.profile) : []),
        ...(gang.shed ? pair("Gives way", gang.shed) : []),
        ...(gang.started ? pair("Runs for", span(frame.at - parsed(gang.started))) : gang.submitted ? pair("Waits for", span(frame.at - parsed(gang.submitted))) : []),
        ...(gang.position ? pair("Place in the queue", gang.position) : []),
        ...(gang.estimate ? pair("Could start", moment(parsed(gang.estimate), frame.at)) : [])),
      gang.message ? make("p", { class: "said" }, gang.message) : null,
      racks.length ? make("h3", {}, count(racks.length, "rack")) : null,
      make("ul", { class: "gangs" }, ...racks.map(([rack, gpus]) => make("li", {}, make("button", { type: "button", "data-key": `rack ${rack}`, onclick: () => this.view.select({ rack }) },
        rack, make("span", { class: "hint" }, count(gpus, "GPU")))))));
  }

  nearest(worst) {
    return worst ? make("p", { class: share(worst.watts, worst.limit) > 1.0005 ? "said alarm" : "said" }, `Nearest limit, ${nearest(worst)}.`) : null;
  }

  gangs(entries, gpus) {
    entries.sort((a, b) => gpus(b[1]) - gpus(a[1]));
    return make("div", {}, make("h3", {}, entries.length ? count(entries.length, "gang") : "No gang"),
      make("ul", { class: "gangs" }, ...entries.map(([key, gang]) => make("li", {}, make("button", { type: "button", "data-key": `gang ${key}`, onclick: () => this.view.select({ gang: key }) },
        key, make("span", { class: "hint" }, `${count(gpus(gang), "GPU")} · ${gang.phase}${gang.profile ? ` · ${gang.profile}` : ""}`))))));
  }
}

const pair = (words, value) => [make("dt", {}, words), make("dd", {}, String(value))];
const bar = (scale, part) => make("div", { class: "meter", "aria-hidden": "true" }, make("i", { "data-step": step(scale, part), "--part": Math.min(1, part) }));
const metered = (words, watts, limit, part = share(watts, limit)) => [...pair(words, ofLimit(watts, limit)), bar("l", part)];

class Queue {
  constructor(view) {
    this.view = view;
    this.list = byId("queue-list");
    this.count = byId("queue-count");
  }

  show(frame) {
    const waiting = Object.entries(frame.gangs).filter(([, gang]) => !gang.racks && (gang.phase === "Pending" || !gang.watts));
    waiting.sort(([a, x], [b, y]) => (x.position ?? Infinity) - (y.position ?? Infinity) || a.localeCompare(b));
    const all = frame.totals?.waiting ?? waiting.length;
    this.count.textContent = all > waiting.length ? `the first ${waiting.length} of ${whole.format(all)}` : all ? count(all, "gang") : "";
    const focused = this.list.contains(document.activeElement) ? document.activeElement.dataset.key : null;
    fill(this.list, waiting.length ? waiting.map(([key, gang]) => this.entry(key, gang, frame)) : make("li", { class: "empty" }, "Nobody waits."));
    if (focused) this.list.querySelector(`[data-key="${CSS.escape(focused)}"]`)?.focus();
  }

  entry(key, gang, frame) {
    const waited = gang.submitted ? span(frame.at - parsed(gang.submitted)) : "";
    return make("li", {},
      make("div", { class: "head" }, make("span", { class: "place", "aria-label": gang.position ? `place ${gang.position}` : "no place yet" }, String(gang.position ?? "–")),
        make("b", {}, key), make("button", { type: "button", "data-key": key, "aria-label": `Show ${key}`, onclick: () => this.view.select({ gang: key }) }, "Show")),
      make("p", { class: "hint" }, [gang.queue, count(gang.gpus ?? 0, "GPU"), waited && `waits ${waited}`, gang.estimate && `could start ${moment(parsed(gang.estimate), frame.at)}`].filter(Boolean).join(" · ")),
      gang.message ? make("p", { class: "why" }, gang.message) : null);
  }
}
