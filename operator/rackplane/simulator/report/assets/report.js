"use strict";
// The plots are there without this script. It says what is under the pointer, or at the cursor that arrow keys move, on
// all plots at once, and shows the figures of a plot as a table.
const report = JSON.parse(document.getElementById("data").textContent);
const plots = [...document.querySelectorAll(".plot")].map(node => ({
  node, chart: report.charts[node.dataset.chart], cursor: node.querySelector(".cursor"),
  outputs: [...node.closest("figure").querySelectorAll("output")], moment: node.closest("figure").querySelector(".moment"),
}));
const format = (chart, value) => value === null || value === undefined ? "–"
  : (value / chart.size + 0).toLocaleString("en", {maximumFractionDigits: chart.digits}) + (chart.unit ? " " + chart.unit : "");
const steps = chart => Math.max(1, Math.ceil(chart.seconds / chart.stretch));
// Of series that hold for other stretches, as those of other runs may, each has its own.
const place = (chart, line, seconds) => Math.floor(seconds / (line.stretch || chart.stretch));
const valueAt = (chart, line, seconds) => Array.isArray(line.values) ? line.values[place(chart, line, seconds)] : line.values;

function when(seconds) {
  const date = new Date(1000 * (report.begin + seconds)).toISOString();
  const day = (seconds / 86400).toLocaleString("en", {maximumFractionDigits: 2});
  return `day ${day}, ${date.slice(0, 10)} ${date.slice(11, 16)} UTC`;
}

function say(plot, seconds) {
  const {chart} = plot;
  chart.lines.forEach((line, i) => {
    const value = valueAt(chart, line, seconds);
    if (plot.outputs[i]) plot.outputs[i].textContent = format(chart, value);
  });
}

let pointed = null;
function point(seconds) {
  pointed = seconds;
  for (const plot of plots) {
    const {chart} = plot;
    const shown = seconds !== null && seconds <= chart.seconds;
    plot.node.classList.toggle("pointed", shown);
    if (!shown) {
      for (const output of plot.outputs) output.textContent = output.dataset.total;
      plot.moment.textContent = "";
      continue;
    }
    const at = Math.min(steps(chart) - 1, Math.floor(seconds / chart.stretch));
    const across = `${100 * seconds / (chart.seconds || 1)}%`;
    plot.cursor.setAttribute("x1", across);
    plot.cursor.setAttribute("x2", across);
    say(plot, Math.min(seconds, chart.seconds - 1));
    plot.moment.textContent = when(at * chart.stretch);
    plot.node.setAttribute("aria-valuenow", at);
    const told = plot.chart.lines.map((line, i) => `${line.label} ${plot.outputs[i] ? plot.outputs[i].textContent : ""}`);
    plot.node.setAttribute("aria-valuetext", `${when(at * chart.stretch)}: ${told.join(", ")}`);
  }
}

for (const plot of plots) {
  const {node, chart} = plot, most = steps(chart) - 1;
  node.tabIndex = 0;
  node.setAttribute("role", "slider");
  node.setAttribute("aria-valuemin", 0);
  node.setAttribute("aria-valuemax", most);
  node.setAttribute("aria-valuenow", 0);
  node.setAttribute("aria-valuetext", "the whole run; arrow keys go through it");
  node.addEventListener("pointermove", event => {
    const box = node.querySelector("svg").getBoundingClientRect();
    const share = (event.clientX - box.left) / box.width;
    point(share < 0 || share > 1 ? null : share * chart.seconds);
  });
  node.addEventListener("pointerleave", () => point(null));
  node.addEventListener("blur", () => point(null));
  node.addEventListener("keydown", event => {
    const now = pointed === null ? -1 : Math.min(most, Math.floor(pointed / chart.stretch));
    const to = {ArrowRight: now + 1, ArrowLeft: now - 1, PageDown: now + 24, PageUp: now - 24, Home: 0, End: most}[event.key];
    if (event.key === "Escape") point(null);
    else if (to === undefined) return;
    else point(Math.min((Math.max(0, Math.min(most, to)) + .5) * chart.stretch, chart.seconds));
    event.preventDefault();
  });
  node.closest("figure").append(asTable(chart));
  // What is said of a moment must not move what is below.
  for (const output of plot.outputs) output.style.minWidth = `${Math.ceil(output.getBoundingClientRect().width)}px`;
}

function asTable(chart) {
  const details = document.createElement("details"), summary = document.createElement("summary");
  details.className = "as-table";
  summary.textContent = "As a table";
  details.append(summary);
  details.addEventListener("toggle", () => {
    if (!details.open || details.children.length > 1) return;
    const frame = document.createElement("div"), table = document.createElement("table");
    frame.className = "scroll";
    frame.tabIndex = 0;
    frame.setAttribute("role", "region");
    frame.setAttribute("aria-label", `${chart.title} as a table`);
    const row = (cells, kind) => {
      const line = document.createElement("tr");
      cells.forEach((text, i) => {
        const cell = document.createElement(i ? kind : "th");
        cell.textContent = text;
        if (i) cell.className = "figure";
        cell.scope = kind === "th" ? "col" : i ? "" : "row";
        line.append(cell);
      });
      return line;
    };
    const unit = chart.unit ? `, ${chart.unit}` : "", bare = {...chart, unit: ""};
    // Of a line with a band: its mean, least and most.
    const columns = chart.lines.flatMap(line => line.low
      ? [[`${line.label}, mean`, line], [`${line.label}, least`, {...line, values: line.low}], [`${line.label}, most`, {...line, values: line.high}]]
      : [[line.label, line]]);
    table.createTHead().append(row(["from", ...columns.map(([label]) => label + unit)], "th"));
    const body = table.createTBody();
    for (let i = 0; i < steps(chart); i++) {
      const from = i * chart.stretch;
      body.append(row([when(from), ...columns.map(([, line]) => format(bare, valueAt(chart, line, from)))], "td"));
    }
    frame.append(table);
    details.append(frame);
  });
  return details;
}

const theme = document.getElementById("theme");
theme.closest("label").hidden = false;
theme.addEventListener("change", () => { document.documentElement.dataset.theme = theme.value; });
