"use strict";
// Puts the page together: what is shown, what is selected, and where it comes from.

class View {
  constructor() {
    this.measure = remembered("measure") in MEASURES ? remembered("measure") : "gpus";
    this.selection = {};
    this.tables = false;
    this.frame = null;
    this.layout = null;
    this.tipFor = null;
    this.totals = new Totals();
    this.floor = new Floor(this);
    this.powerPath = new Power(this);
    this.details = new Details(this);
    this.queue = new Queue(this);
    this.time = new Timeline(this);
    this.controls();
  }

  start() {
    const recording = byId("recording");
    this.recorded = Boolean(recording);
    if (this.recorded) {
      this.source = new Recorded(JSON.parse(recording.textContent));
      byId("live").hidden = true;
      this.state("recorded", this.source.title ? `recorded: ${this.source.title}` : "recorded");
      this.time.following = false;
      this.time.grown();
      byId("time").value = byId("time").max;
      this.time.seek(this.source.moments.length - 1);
      this.time.tell();
      return;
    }
    this.source = new Live({
      onState: (kind, words) => this.state(kind, words),
      onMoments: () => this.time.grown(),
      onFrame: (frame, layout) => {
        if (this.time.following) this.show(frame, layout);
        this.time.grown();
      },
    });
  }

  state(kind, words) {
    const chip = byId("state");
    if (chip.dataset.kind !== kind) chip.dataset.kind = kind;
    if (chip.textContent !== words) chip.textContent = words;
  }

  show(frame, layout) {
    const anew = layout !== this.layout;
    Object.assign(this, { frame, layout });
    this.floor.show(frame, layout, false);
    this.powerPath.show(frame, layout);
    this.totals.show(frame, layout);
    this.details.show(frame);
    this.queue.show(frame);
    this.mark();
    this.warn(frame);
    if (anew) this.find();
    if (this.tipFor) this.tip.textContent = this.tipFor();
  }

  /** What is newly over a limit or out of service is said once to who listens. */
  warn(frame) {
    const bad = new Set();
    for (const [name, row] of Object.entries(frame.elements)) {
      if (row.live === false) bad.add(`${name} is out of service`);
      else if ((row.headroom ?? 0) < 0) bad.add(`${name} is over its limit`);
    }
    const news = [...bad].filter((words) => !this.warned?.has(words));
    if (this.warned && news.length) byId("announce").textContent = news.slice(0, 5).join(". ");
    this.warned = bad;
  }

  select(selection) {
    this.selection = selection;
    if (!this.frame) return;
    this.details.show(this.frame);
    this.mark();
    byId("detail-body").scrollTop = 0;
  }

  mark() {
    const { rack, racks, element, gang } = this.selection;
    const wanted = racks ? new Set(racks) : element ? this.powerPath.below(element)
      : gang ? new Set(Object.keys(this.frame.gangs[gang]?.racks ?? {})) : this.found;
    this.floor.light(wanted?.size ? wanted : null, rack);
    this.powerPath.light(element);
  }

  /** Racks by name, hall or row, or by the name or queue of a gang on them. */
  find() {
    const text = byId("find").value.trim().toLowerCase();
    this.found = null;
    if (text && this.frame) {
      const has = (...words) => words.some((word) => word?.toLowerCase().includes(text));
      this.found = new Set(this.layout.racks.filter((r) => has(r.name, r.hall, r.row)).map((r) => r.name));
      for (const [key, gang] of Object.entries(this.frame.gangs)) {
        if (has(key, gang.queue)) for (const rack of Object.keys(gang.racks ?? {})) this.found.add(rack);
      }
      byId("announce").textContent = count(this.found.size, "rack");
    }
    if (this.frame) this.mark();
  }

  controls() {
    for (const [name, measure] of Object.entries(MEASURES)) {
      const input = make("input", { type: "radio", name: "measure", value: name, onchange: () => this.by(name) });
      input.checked = name === this.measure;
      byId("measures").append(make("label", { title: measure.title }, input, measure.label));
    }
    this.legend();
    byId("find").addEventListener("input", () => this.find());
    byId("find").addEventListener("keydown", (event) => {
      if (event.key === "Enter" && this.found?.size) this.floor.focus([...this.found][0]);
    });
    byId("as-table").addEventListener("change", (event) => {
      this.tables = event.target.checked;
      for (const id of ["rack-table", "power-table"]) byId(id).hidden = !this.tables;
      for (const id of ["halls", "graph"]) byId(id).hidden = this.tables;
      if (this.frame) this.show(this.frame, this.layout);
    });
    const theme = byId("theme");
    theme.value = remembered("theme") ?? "";
    const dress = () => {
      if (theme.value) document.documentElement.dataset.theme = theme.value;
      else delete document.documentElement.dataset.theme;
    };
    theme.addEventListener("change", () => {
      remember("theme", theme.value);
      dress();
    });
    dress();
    document.addEventListener("keydown", (event) => {
      if (event.key !== "Escape") return;
      if (!this.tip.hidden) this.hideTip();
      else this.select({});
    });
  }

  by(name) {
    this.measure = name;
    remember("measure", name);
    this.legend();
    if (this.frame) this.floor.show(this.frame, this.layout, true);
  }

  legend() {
    const { scale, title } = MEASURES[this.measure];
    fill(byId("legend"), make("li", {}, title), ...LEGENDS[scale].map((words, i) => make("li", { "data-step": scale + i }, words)));
  }

  /** Numbers beside what is under the pointer or has the focus. */
  tips(root, selector, words) {
    this.tip = byId("tip");
    const show = (event) => {
      const on = event.target.closest?.(selector);
      if (!on || !this.frame) return this.hideTip();
      this.tipFor = () => words(on);
      this.tip.textContent = words(on);
      this.tip.hidden = false;
      const box = on.getBoundingClientRect();
      const { offsetWidth: width, offsetHeight: height } = this.tip;
      const below = box.bottom + 8 + height < innerHeight;
      this.tip.style.left = `${Math.max(4, Math.min(box.left, innerWidth - width - 8))}px`;
      this.tip.style.top = `${below ? box.bottom + 8 : Math.max(4, box.top - height - 8)}px`;
      on.setAttribute("aria-describedby", "tip");
    };
    root.addEventListener("pointerover", show);
    root.addEventListener("focusin", (event) => (event.target.matches?.(":focus-visible") ? show(event) : null));
    root.addEventListener("pointerleave", () => this.hideTip());
    root.addEventListener("focusout", () => this.hideTip());
    root.addEventListener("scroll", () => this.hideTip(), { passive: true });
  }

  hideTip() {
    this.tip.hidden = true;
    this.tipFor = null;
    document.querySelector('[aria-describedby="tip"]')?.removeAttribute("aria-describedby");
  }
}

/** A page from a disk, or in a browser that forbids it, has nothing to remember with. */
function remembered(name) {
  try {
    return localStorage.getItem(`rackplane ${name}`);
  } catch {
    return null;
  }
}

function remember(name, value) {
  try {
    localStorage.setItem(`rackplane ${name}`, value);
  } catch {
    // Then it lasts as long as the page.
  }
}

new View().start();
