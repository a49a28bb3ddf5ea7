"use strict";
// The power path from the sources down to rows of racks, drawn in layers with what flows along each line.

/** Sizes of a box and of what is between boxes; the narrow ones where many stand side by side. */
const WIDE = { width: 168, height: 66, gap: 22, layer: 54, name: 15, kind: 10 };
const NARROW = { width: 122, height: 66, gap: 10, layer: 44, name: 14, kind: 0 };
/** Beyond so many in a layer boxes are narrow. */
const SIDE_BY_SIDE = 7;
/** Drawings are fitted to their panel within these bounds; beyond them it scrolls. */
const [SMALLEST, LARGEST] = [0.86, 1.15];
/** Elements beyond which only those of one hall are drawn at first. */
const MANY = 40;

/** These elements, and all that they hang on. */
function elementsAbove(layout, names) {
  const byName = new Map(layout.elements.map((e) => [e.name, e]));
  const found = new Set();
  const climb = (from) => {
    for (const name of from) {
      if (found.has(name) || !byName.has(name)) continue;
      found.add(name);
      climb([...(byName.get(name).parents ?? []), ...(byName.get(name).standby ?? [])]);
    }
  };
  climb(names);
  return found;
}

class Power {
  constructor(view) {
    this.view = view;
    this.graph = byId("graph");
    this.table = byId("power-table");
    this.of = byId("power-of");
    this.layout = null;
    this.of.addEventListener("change", () => {
      this.build();
      this.show(view.frame, this.layout);
    });
    new ResizeObserver(() => this.fit()).observe(this.graph);
    this.graph.addEventListener("keydown", (event) => this.move(event));
    view.tips(this.graph, ".node", (node) => this.tip(node.dataset.node));
  }

  show(frame, layout) {
    if (layout !== this.layout) {
      this.layout = layout;
      this.choices();
      this.build();
    }
    this.frame = frame;
    let most = 1;
    for (const edge of this.edges) {
      edge.watts = edge.below.racks ? this.rowFlow(edge.below, edge.above.name) : (frame.elements[edge.below.name]?.sources?.[edge.above.name] ?? 0);
      most = Math.max(most, edge.watts);
    }
    for (const edge of this.edges) {
      edge.path.classList.toggle("none", !edge.watts);
      edge.path.style.strokeWidth = edge.watts ? 1.5 + (12 * edge.watts) / most : 1.2;
    }
    for (const node of this.nodes.values()) this.paint(node);
    if (this.view.tables) this.tabulate();
  }

  /** The whole facility, or one hall of it. */
  choices() {
    const halls = [...new Set(rowsOf(this.layout).map((row) => row.hall))];
    const kept = this.of.value;
    fill(this.of, make("option", { value: "" }, "all"), ...halls.map((hall) => make("option", { value: hall }, hall)));
    this.of.value = halls.includes(kept) ? kept : this.layout.elements.length > MANY && halls.length > 1 ? halls[0] : "";
    this.of.parentElement.hidden = halls.length < 2;
  }

  build() {
    const hall = this.of.value;
    const rows = rowsOf(this.layout).filter((row) => !hall || row.hall === hall);
    const groups = new Map();
    for (const row of rows) {
      for (const place of row.racks) {
        const key = JSON.stringify([row.hall, row.name, place.feeds]);
        if (!groups.has(key)) groups.set(key, { name: row.name, key: `rows ${key}`, racks: [], parents: place.feeds ?? [] });
        groups.get(key).racks.push(place.name);
      }
    }
    const chosen = hall ? this.around([...groups.values()]) : new Set(this.layout.elements.map((e) => e.name));
    this.nodes = new Map();
    for (const place of this.layout.elements) {
      if (chosen.has(place.name)) {
        const parents = [...(place.parents ?? []), ...(place.standby ?? [])];
        this.nodes.set(place.name, { key: place.name, name: place.name, type: place.type || "PowerDomain", parents });
      }
    }
    for (const group of groups.values()) this.nodes.set(group.key, { ...group, type: count(group.racks.length, "rack") });
    this.edges = [];
    for (const below of this.nodes.values()) {
      for (const name of below.parents) {
        const above = this.nodes.get(name);
        if (above) this.edges.push({ above, below });
      }
    }
    this.arrange();
    this.draw();
  }

  /** What feeds these rows, and what hangs beside them and feeds no racks, such as the pumps' supply. */
  around(groups) {
    const above = (names) => elementsAbove(this.layout, names);
    const found = above(groups.flatMap((group) => group.parents));
    const feeding = above(this.layout.racks.flatMap((rack) => rack.feeds ?? []));
    const elsewhere = above(this.layout.racks.filter((r) => !groups.some((g) => g.racks.includes(r.name))).flatMap((r) => r.feeds ?? []));
    for (const e of this.layout.elements) {
      if (!feeding.has(e.name) && (e.parents ?? []).some((p) => found.has(p) && !elsewhere.has(p))) found.add(e.name);
    }
    return found;
  }

  /** Layers by the longest way from a source; in a layer next to what it hangs on. */
  arrange() {
    const depth = (node, seen = new Set()) => {
      if (node.depth !== undefined) return node.depth;
      if (seen.has(node)) return 0; // a cycle is an error that the operator names; it is drawn all the same
      seen.add(node);
      const above = node.parents.map((p) => this.nodes.get(p)).filter(Boolean);
      return (node.depth = above.length ? 1 + Math.max(...above.map((p) => depth(p, seen))) : 0);
    };
    for (const node of this.nodes.values()) depth(node);
    const deepest = Math.max(0, ...[...this.nodes.values()].filter((n) => !n.racks).map((n) => n.depth));
    this.layers = [];
    this.svg = null;
    for (const node of this.nodes.values()) {
      if (node.racks) node.depth = deepest + 1;
      (this.layers[node.depth] ??= []).push(node);
    }
    this.layers = this.layers.filter(Boolean);
    this.box = Math.max(...this.layers.map((layer) => layer.length)) > SIDE_BY_SIDE ? NARROW : WIDE;
    const NODE = this.box;
    const beside = (node) => this.edges.flatMap((e) => (e.below === node ? [e.above] : e.above === node ? [e.below] : []));
    const pitch = NODE.width + NODE.gap;
    for (const layer of this.layers) layer.forEach((node, i) => (node.x = (i - (layer.length - 1) / 2) * pitch));
    const neighbours = new Map([...this.nodes.values()].map((node) => [node, beside(node)]));
    const mean = (node, upper) => {
      const near = neighbours.get(node).filter((n) => (upper ? n.depth < node.depth : n.depth > node.depth));
      return near.length ? near.reduce((sum, n) => sum + n.x, 0) / near.length : node.x;
    };
    for (let sweep = 0; sweep < 12; sweep += 1) {
      const down = sweep % 2 === 0;
      for (const layer of down ? this.layers : [...this.layers].reverse()) {
        const wanted = new Map(layer.map((node) => [node, mean(node, down)]));
        layer.sort((a, b) => wanted.get(a) - wanted.get(b));
        let last = -Infinity;
        for (const node of layer) last = node.x = Math.max(wanted.get(node), last + pitch);
        const shift = layer.reduce((sum, node) => sum + wanted.get(node) - node.x, 0) / layer.length;
        for (const node of layer) node.x += shift;
      }
    }
    const left = Math.min(0, ...[...this.nodes.values()].map((n) => n.x));
    for (const [i, layer] of this.layers.entries()) {
      for (const node of layer) {
        node.x += NODE.gap - left;
        node.y = 8 + i * (NODE.height + NODE.layer);
      }
    }
  }

  draw() {
    if (!this.nodes.size) {
      fill(this.graph, make("p", { class: "hint" }, "There are no PowerDomains yet."));
      return;
    }
    const NODE = this.box;
    const width = Math.max(...[...this.nodes.values()].map((n) => n.x)) + NODE.width + NODE.gap;
    const height = this.layers.length * (NODE.height + NODE.layer) - NODE.layer + 18;
    const svg = make("svg", { width, height, viewBox: `0 0 ${width} ${height}`, role: "group", "aria-label": "Power path" });
    for (const edge of this.edges) {
      const [x1, y1, x2, y2] = [edge.above.x + NODE.width / 2, edge.above.y + NODE.height, edge.below.x + NODE.width / 2, edge.below.y];
      const bend = Math.min((y2 - y1) / 2, 60);
      edge.path = make("path", { class: "flow", d: `M${x1} ${y1}C${x1} ${y1 + bend} ${x2} ${y2 - bend} ${x2} ${y2}` });
      svg.append(edge.path);
    }
    // From the sources down and from left to right, as they are read and gone through.
    for (const node of this.layers.flat()) svg.append(this.boxOf(node));
    svg.querySelector(".node")?.setAttribute("tabindex", "0");
    fill(this.graph, svg);
    Object.assign(this, { svg, extent: [width, height] });
    this.fit();
    this.graph.scrollLeft = (this.graph.scrollWidth - this.graph.clientWidth) / 2;
  }

  fit() {
    if (!this.svg || !this.graph.clientWidth) return;
    const [width, height] = this.extent;
    const scale = Math.min((this.graph.clientWidth - 28) / width, Math.max(240, this.graph.clientHeight - 20) / height);
    const bounded = Math.min(LARGEST, Math.max(SMALLEST, scale));
    this.svg.setAttribute("width", width * bounded);
    this.svg.setAttribute("height", height * bounded);
  }

  boxOf(node) {
    const NODE = this.box;
    const at = (x, y, kind, text) => make("text", { x, y, class: kind }, text ?? "");
    const inner = NODE.width - 20;
    node.load = make("rect", { x: 10, y: 28, height: 7, rx: 2, class: "load" });
    node.mark = make("rect", { y: 25, width: 2.5, height: 13, class: "mark" });
    node.figures = at(10, 48, "small");
    node.verdict = at(10, 61, "small verdict");
    node.element = make("g", { class: "node", tabindex: "-1", role: "button", "data-node": node.key, transform: `translate(${node.x} ${node.y})`,
      onclick: () => this.choose(node), onkeydown: (event) => {
        if (event.key === "Enter" || event.key === " ") {
          event.preventDefault();
          this.choose(node);
        }
      } },
      make("rect", { class: "box", width: NODE.width, height: NODE.height, rx: 7 }),
      make("text", { x: 10, y: 18 }, make("tspan", { class: "name" }, cut(node.name, NODE.name)),
        NODE.kind || node.racks ? make("tspan", { class: "small", dx: 6 }, cut(node.type, NODE.kind || 8)) : null),
      make("rect", { x: 10, y: 28, width: inner, height: 7, rx: 2, class: "back" }), node.load, node.mark, node.figures, node.verdict);
    return node.element;
  }

  /** Figures of a node: an element's own, or the sums of its racks. */
  of_(node) {
    if (!node.racks) return this.frame.elements[node.name] ?? {};
    const rows = node.racks.map((name) => this.frame.racks[name] ?? {});
    const sum = (key) => rows.reduce((total, row) => total + (row[key] ?? 0), 0);
    let worst = null;
    for (const row of rows) if (row.worst && (!worst || share(row.worst.watts, row.worst.limit) > share(worst.watts, worst.limit))) worst = row.worst;
    return { watts: sum("watts"), limit: sum("limit"), worst, live: rows.some((row) => Object.keys(row.feeds ?? {}).length) };
  }

  rowFlow(node, element) {
    return node.racks.reduce((sum, name) => sum + (this.view.frame.racks[name]?.feeds?.[element] ?? 0), 0);
  }

  paint(node) {
    const figures = this.of_(node);
    const out = figures.live === false;
    const part = share(figures.watts, figures.limit);
    const later = node.racks || !figures.worst ? part : share(figures.worst.watts, figures.worst.limit);
    const inner = this.box.width - 20;
    const over = later > 1.0005 || part > 1.0005;
    node.load.setAttribute("width", inner * Math.min(1, out ? 0 : part));
    node.load.dataset.step = step("l", out ? null : part);
    node.mark.setAttribute("x", 10 + inner * Math.min(1, later) - 1.25);
    node.mark.style.display = out || node.racks ? "none" : "";
    node.figures.textContent = out ? "out of service" : (this.box === NARROW ? briefly : ofLimit)(figures.watts, figures.limit);
    node.verdict.textContent = out || node.racks ? "" : this.verdict(figures, later);
    node.element.classList.toggle("out", out);
    node.element.classList.toggle("over", over && !out);
    const words = out ? "out of service" : [ofLimit(figures.watts, figures.limit), nearest(figures.worst)].filter(Boolean).join(", ");
    node.element.setAttribute("aria-label", `${node.name}, ${node.type}: ${words}`);
  }

  verdict(figures, later) {
    const worst = figures.worst;
    if (!worst) return "";
    const sign = later > 1.0005 ? "▲ " : "";
    if (this.box === NARROW) return `${sign}${percent(later)} at worst`;
    return cut(worst.loss ? `${sign}${percent(later)} if ${worst.loss} is lost` : `${sign}${percent(later)}, no loss is worse`, 28);
  }

  tip(key) {
    const node = this.nodes.get(key);
    const figures = this.of_(node);
    return [
      `${node.name}, ${node.type}`,
      figures.live === false ? "out of service" : `now ${ofLimit(figures.watts, figures.limit)}`,
      figures.worst && `nearest limit, ${nearest(figures.worst)}`,
      !node.racks && figures.survives === false && "▲ its loss would put something over a limit, or racks without a feed",
      !node.racks && figures.survives === true && "its loss is survived",
      ...Object.entries(figures.sources ?? {}).map(([name, watts]) => `takes ${power(watts)} from ${name}`),
    ].filter(Boolean).join("\n");
  }

  choose(node) {
    this.view.select(node.racks ? { racks: node.racks, name: node.name } : { element: node.name });
  }

  /** Every rack that hangs on an element, near or far. */
  below(name) {
    const found = new Set([name]);
    for (let more = true; more; ) {
      more = false;
      for (const e of this.layout.elements) {
        if (!found.has(e.name) && [...(e.parents ?? []), ...(e.standby ?? [])].some((p) => found.has(p))) {
          found.add(e.name);
          more = true;
        }
      }
    }
    return new Set(this.layout.racks.filter((rack) => (rack.feeds ?? []).some((f) => found.has(f))).map((rack) => rack.name));
  }

  light(element) {
    for (const node of this.nodes?.values() ?? []) node.element?.setAttribute("aria-pressed", String(node.name === element && !node.racks));
  }

  move(event) {
    const at = event.target.closest?.(".node");
    if (!at || event.altKey || event.ctrlKey || event.metaKey) return;
    const node = this.nodes.get(at.dataset.node);
    const layer = this.layers.findIndex((nodes) => nodes.includes(node));
    const beside = this.layers[layer];
    const nearestIn = (nodes) => nodes?.reduce((best, n) => (Math.abs(n.x - node.x) < Math.abs(best.x - node.x) ? n : best));
    const to = {
      ArrowLeft: () => beside[beside.indexOf(node) - 1],
      ArrowRight: () => beside[beside.indexOf(node) + 1],
      ArrowUp: () => nearestIn(this.layers[layer - 1]),
      ArrowDown: () => nearestIn(this.layers[layer + 1]),
    }[event.key]?.();
    if (to) {
      event.preventDefault();
      this.graph.querySelector('.node[tabindex="0"]')?.setAttribute("tabindex", "-1");
      to.element.setAttribute("tabindex", "0");
      to.element.focus();
    }
  }

  tabulate() {
    const rows = this.layout.elements.map((place) => {
      const row = this.frame.elements[place.name] ?? {};
      return [[place.name], [place.type ?? ""], [(place.parents ?? []).join(", ")], one.format((row.watts ?? 0) / 1e3), one.format((row.limit ?? 0) / 1e3),
        row.live === false ? "" : percent(share(row.watts, row.limit)), [row.survives === undefined ? "" : row.survives ? "survived" : "not survived"], [row.live === false ? "out of service" : nearest(row.worst)]];
    });
    const zones = this.layout.zones.map((place) => {
      const row = this.frame.zones[place.name] ?? {};
      return [[place.name], [place.medium], one.format((row.watts ?? 0) / 1e3), one.format((row.limit ?? 0) / 1e3), percent(share(row.watts, row.limit)),
        `${row.running ?? 0} of ${row.installed ?? 0}`, row.needed ?? 0, [nearest(row.worst)]];
    });
    fill(this.table,
      tableOf("Power domains", [["element"], ["type"], ["fed from"], "kW", "limit kW", "load", ["its loss"], ["nearest limit"]], rows),
      zones.length ? tableOf("Cooling zones", [["zone"], ["medium"], "heat kW", "limit kW", "load", "units run", "needed", ["nearest limit"]], zones) : null);
  }
}

const cut = (text, most) => (text.length > most ? `${text.slice(0, most - 1)}…` : text);
