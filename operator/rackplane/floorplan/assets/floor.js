"use strict";
// Halls and rows of racks as tiles, or as a table.

class Floor {
  constructor(view) {
    this.view = view;
    this.halls = byId("halls");
    this.table = byId("rack-table");
    this.tiles = new Map();
    this.rows = [];
    this.layout = null;
    this.halls.addEventListener("keydown", (event) => this.move(event));
    this.halls.addEventListener("click", (event) => {
      const tile = event.target.closest(".tile");
      if (tile) view.select({ rack: tile.dataset.rack });
    });
    view.tips(this.halls, ".tile", (tile) => this.tip(tile.dataset.rack));
  }

  /** Draw the halls anew if the facility is another one, and the tiles that have changed. */
  show(frame, layout, anew) {
    if (layout !== this.layout) {
      this.build(layout);
      anew = true;
    }
    const measure = MEASURES[this.view.measure];
    // A zone's heat is that of other racks too.
    const all = anew || this.view.measure === "heat";
    for (const tile of this.tiles.values()) {
      const row = frame.racks[tile.place.name] ?? {};
      if (all || row !== tile.row) this.paint(tile, row, measure, frame);
    }
    if (this.view.tables) this.tabulate(frame);
  }

  build(layout) {
    this.layout = layout;
    this.tiles.clear();
    this.rows = [];
    const size = layout.racks.length;
    const density = this.density = size <= 24 ? "large" : size <= 240 ? "medium" : "small";
    this.halls.className = `scroll ${density}`;
    let longest = 0;
    for (const row of rowsOf(layout)) longest = Math.max(longest, row.racks.length);
    this.halls.style.setProperty("--row-name", `${Math.min(90, 16 + 7 * Math.max(0, ...rowsOf(layout).map((r) => r.name.length)))}px`);
    this.halls.style.setProperty("--hall", density === "small" ? `min(100%, ${Math.min(longest, 12) * 36 + 76}px)` : "100%");
    const halls = grouped(rowsOf(layout), (row) => row.hall);
    const drawn = [];
    for (const [name, rows] of halls) {
      const number = rows.reduce((sum, row) => sum + row.racks.length, 0);
      const hall = make("div", { class: "hall", role: "group", "aria-label": `${name}, ${count(number, "rack")}` },
        make("h3", {}, name, make("span", { class: "hint" }, count(number, "rack"))));
      for (const row of rows) {
        const tiles = row.racks.map((place) => this.tile(place));
        this.rows.push(tiles);
        hall.append(make("div", { class: "row", role: "group", "aria-label": row.name },
          make("span", { class: "row-name", title: row.name }, row.name), make("div", { class: "tiles" }, ...tiles)));
      }
      drawn.push(hall);
    }
    fill(this.halls, drawn.length ? drawn : make("p", { class: "hint" }, "There are no Racks yet."));
    this.rows[0]?.[0]?.setAttribute("tabindex", "0");
  }

  tile(place) {
    const name = make("span", { class: "name" }, place.name);
    const value = make("span", { class: "value" });
    const element = make("button", { class: "tile", type: "button", tabindex: "-1", "data-rack": place.name }, name, value);
    this.tiles.set(place.name, { place, element, value, row: null });
    return element;
  }

  paint(tile, row, measure, frame) {
    const part = measure.part(row, tile.place, frame);
    const { element } = tile;
    tile.row = row;
    element.dataset.step = step(measure.scale, part);
    tile.value.textContent = part === null ? "–" : Number.isFinite(part) ? `${percentage(part)}${this.density === "small" ? "" : " %"}` : "∞";
    element.style.setProperty("--part", Math.min(1, part ?? 0));
    const [mark] = marks(row);
    if (mark) element.dataset.mark = mark[0];
    else delete element.dataset.mark;
    element.toggleAttribute("data-hatch", Boolean(row.problem) || (row.state ?? "Active") !== "Active");
    element.setAttribute("aria-label", this.said(tile.place, row, measure, part));
  }

  said(place, row, measure, part) {
    const about = marks(row).map(([, words]) => words).join(", ");
    const value = part === null ? "does not apply" : percent(part);
    return `${place.name}: ${measure.label} ${value}, ${row.used ?? 0} of ${count(row.gpus ?? 0, "GPU")}, ${ofLimit(row.watts, row.limit)}${about && `, ${about}`}`;
  }

  tip(name) {
    const { place, row } = this.tiles.get(name);
    const frame = this.view.frame;
    const [zone, heat] = hottest(place, frame);
    return [
      name,
      `${row.used ?? 0} of ${count(row.gpus ?? 0, "GPU")} in use`,
      `${ofLimit(row.watts, row.limit)}, may add ${power(row.headroom)}`,
      zone && `heat: ${zone} at ${percent(heat)}`,
      row.worst && `nearest limit, ${nearest(row.worst)}`,
      ...marks(row).map(([sign, words]) => `${sign} ${words}`),
    ].filter(Boolean).join("\n");
  }

  /** Light up some racks, dim all others; none: as ever. */
  light(names, selected) {
    for (const [name, tile] of this.tiles) {
      tile.element.classList.toggle("lit", Boolean(names?.has(name)));
      tile.element.classList.toggle("dim", Boolean(names) && !names.has(name));
      tile.element.setAttribute("aria-pressed", String(name === selected));
    }
  }

  focus(name) {
    const tile = this.tiles.get(name);
    if (tile) this.go(tile.element);
  }

  /** One stop for Tab; arrows go from rack to rack and from row to row. */
  move(event) {
    const at = event.target.closest?.(".tile");
    if (!at || event.altKey || event.ctrlKey || event.metaKey) return;
    const r = this.rows.findIndex((row) => row.includes(at));
    const c = this.rows[r].indexOf(at);
    const row = (n) => this.rows[Math.min(Math.max(n, 0), this.rows.length - 1)];
    const beside = (n, column) => row(n)[Math.min(column, row(n).length - 1)];
    const to = {
      ArrowLeft: () => this.rows[r][c - 1] ?? this.rows[r - 1]?.at(-1),
      ArrowRight: () => this.rows[r][c + 1] ?? this.rows[r + 1]?.[0],
      ArrowUp: () => beside(r - 1, c),
      ArrowDown: () => beside(r + 1, c),
      Home: () => this.rows[r][0],
      End: () => this.rows[r].at(-1),
      PageUp: () => beside(r - 6, c),
      PageDown: () => beside(r + 6, c),
    }[event.key]?.();
    if (to) {
      event.preventDefault();
      this.go(to);
    }
  }

  go(element) {
    this.halls.querySelector('.tile[tabindex="0"]')?.setAttribute("tabindex", "-1");
    element.setAttribute("tabindex", "0");
    element.focus();
  }

  tabulate(frame) {
    const rows = this.layout.racks.map((place) => {
      const row = frame.racks[place.name] ?? {};
      const [zone, heat] = hottest(place, frame);
      return [[place.name], [place.hall ?? ""], [rowName(place)], row.used ?? 0, row.gpus ?? 0, one.format((row.watts ?? 0) / 1e3),
        one.format((row.limit ?? 0) / 1e3), one.format((row.headroom ?? 0) / 1e3), zone ? percent(heat) : "",
        [[nearest(row.worst), ...marks(row).map(([, words]) => words)].filter(Boolean).join("; ")]];
    });
    fill(this.table, tableOf("Racks", [["rack"], ["hall"], ["row"], "GPUs used", "GPUs", "kW", "limit kW", "may add kW", "heat", ["nearest limit, remarks"]], rows));
  }
}

/** Racks without a row stand beside those on the same feeds. */
const rowName = (place) => place.row || `on ${(place.feeds ?? []).join(", ")}`;

/** Rows in the order of the layout: a hall's name, the row's own, and its racks. */
function rowsOf(layout) {
  const found = new Map();
  const sites = new Set(layout.racks.map((place) => place.site)).size > 1;
  for (const place of layout.racks) {
    const hall = [sites && place.site, place.hall].filter(Boolean).join(", ") || "no hall";
    const name = rowName(place);
    const key = JSON.stringify([hall, name]);
    if (!found.has(key)) found.set(key, { hall, name, racks: [] });
    found.get(key).racks.push(place);
  }
  return [...found.values()];
}

function grouped(items, key) {
  const found = new Map();
  for (const item of items) found.set(key(item), [...(found.get(key(item)) ?? []), item]);
  return found;
}

/** A table; headings and cells that are in a list are text, all others figures. The first cell names the row. */
function tableOf(caption, headings, rows) {
  const cell = (tag, value, more = {}) => make(tag, { ...more, class: Array.isArray(value) ? "text" : null }, String(Array.isArray(value) ? value[0] : value));
  return make("table", {}, make("caption", {}, caption),
    make("thead", {}, make("tr", {}, ...headings.map((h) => cell("th", h, { scope: "col" })))),
    make("tbody", {}, ...rows.map((row) => make("tr", {},
      ...row.map((value, i) => (i ? cell("td", value) : cell("th", value, { scope: "row" })))))));
}
