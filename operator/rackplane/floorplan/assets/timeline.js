"use strict";
// The last hour, or a recording, as a slider above a picture of it; the last position follows what happens.

class Timeline {
  constructor(view) {
    this.view = view;
    this.range = byId("time");
    this.output = byId("clock");
    this.play = byId("play");
    this.liveButton = byId("live");
    this.spark = byId("spark");
    /** Whether the latest is shown as it comes. */
    this.following = true;
    this.range.addEventListener("input", () => this.seek(Number(this.range.value)));
    this.play.addEventListener("click", () => this.run(!this.timer));
    this.liveButton.addEventListener("click", () => this.follow());
  }

  get moments() { return this.view.source.moments; }

  /** A moment has come, or more of them are known. */
  grown() {
    const { moments } = this;
    this.range.max = Math.max(0, moments.length - 1);
    if (this.following) this.range.value = this.range.max;
    else if (this.shownAt) this.range.value = moments.findIndex((m) => m.at >= this.shownAt);
    const now = Date.now();
    if (now - (this.drawn ?? 0) > 1000) {
      this.drawn = now;
      this.draw();
    }
    this.tell();
  }

  async seek(index) {
    this.following = index >= this.moments.length - 1 && !this.view.recorded;
    this.shownAt = this.moments[index]?.at;
    this.tell();
    if (this.following) return this.follow();
    const wanted = (this.wanted = index);
    try {
      const [frame, layout] = await this.view.source.frameAt(index);
      // Who drags on asks for many: only the last one counts.
      if (wanted === this.wanted && !this.following) this.view.show(frame, layout);
    } catch {
      byId("announce").textContent = "That moment could not be read.";
    }
  }

  follow() {
    this.run(false);
    this.following = true;
    this.range.value = this.range.max;
    this.tell();
    const { source } = this.view;
    if (source.frame) this.view.show(source.frame, source.layouts[source.frame.layout]);
  }

  /** One moment after the other, a recording once more from its beginning if it has ended. */
  run(on) {
    clearInterval(this.timer);
    this.timer = null;
    this.play.setAttribute("aria-pressed", String(on));
    this.play.textContent = on ? "Pause" : "Play";
    if (!on) return;
    if (Number(this.range.value) >= Number(this.range.max)) this.range.value = 0;
    this.seek(Number(this.range.value));
    this.timer = setInterval(() => {
      const next = Number(this.range.value) + 1;
      if (next > Number(this.range.max)) return this.run(false);
      this.range.value = next;
      this.seek(next);
    }, 250);
  }

  tell() {
    const { moments } = this;
    const at = moments[Number(this.range.value)]?.at;
    this.liveButton.setAttribute("aria-pressed", String(this.following));
    if (!at) return;
    const ago = moments.at(-1).at - at;
    const words = this.view.recorded ? `${clock(at)}, ${span(at - moments[0].at)} in` : this.following ? `${clock(at)}, now` : `${clock(at)}, ${span(ago)} ago`;
    this.output.textContent = words;
    this.range.setAttribute("aria-valuetext", words);
  }

  draw() {
    const { moments } = this;
    if (moments.length < 2) return;
    const most = Math.max(1, ...moments.map((m) => m.waiting ?? 0));
    const x = (i) => ((1000 * i) / (moments.length - 1)).toFixed(1);
    const used = moments.map((m, i) => `L${x(i)} ${(40 - 36 * share(m.used, m.gpus)).toFixed(1)}`).join("");
    const waiting = moments.map((m, i) => `${i ? "L" : "M"}${x(i)} ${(39 - (30 * (m.waiting ?? 0)) / most).toFixed(1)}`).join("");
    fill(this.spark, make("path", { class: "used", d: `M0 40${used}L1000 40Z` }), make("path", { class: "waiting", d: waiting }));
  }
}
