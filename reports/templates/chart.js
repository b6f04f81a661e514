"use strict";
// Builds plotly figures from plain traces. plotly reads a part of HTML in every text, so every text is escaped here.

const charts = [];
// The buttons are named one by one: plotly's own choice has one that uploads the data.
const OPTIONS = {
  displaylogo: false,
  responsive: true,
  typesetMath: false,
  plotlyServerURL: "",
  modeBarButtons: [["toImage"], ["zoom2d", "pan2d", "autoScale2d"]],
};
const SYMBOLS = ["circle", "square", "diamond", "triangle-up", "cross", "x", "star", "hexagon"];
const NAME_LENGTH = 46;
const TAIL = 26;
const COLOURS = 10;
const SHALLOW_FROM = 400;

function safe(text) {
  return text.replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");
}

function ink(index) {
  return colour("c" + (index % COLOURS));
}

// The middle goes: the head says what kind of layer it is, the tail which one.
function cut(name) {
  return name.length > NAME_LENGTH ? name.slice(0, NAME_LENGTH - TAIL - 1) + "…" + name.slice(-TAIL) : name;
}

function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue("--" + name).trim();
}

function drawChart(node, chart) {
  if (chart.title) node.append(Object.assign(element("h3"), { textContent: chart.title }));
  const plot = element("div", "plot");
  node.append(plot);
  charts.push([plot, chart]);
  paint(plot, chart);
}

function paint(plot, chart) {
  const stacked = plot.clientWidth < 760;
  if (chart.kind === "tree") {
    const frame = { ...base(), uniformtext: { minsize: 10, mode: "hide" }, margin: { l: 2, r: 2, t: 6, b: 2 }, height: stacked ? 420 : 520 };
    Plotly.react(plot, [areas(chart)], frame, { ...OPTIONS, modeBarButtons: [["toImage"]] });
    return;
  }
  Plotly.react(plot, chart.traces.map((trace) => SHAPES[trace.shape](trace)), layout(chart, stacked), OPTIONS);
}

const SHAPES = { points, line, bars, curve };

function points(trace) {
  const shade = ink(trace.colours[0]);
  return {
    ...common(trace),
    mode: "markers",
    showlegend: trace.panel === 0,
    legendgroup: safe(trace.name),
    text: hover(trace),
    marker: { color: shade, size: 9, symbol: SYMBOLS[trace.colours[0] % 8], line: { color: colour("paper"), width: 1 } },
    error_x: {
      type: "data",
      symmetric: false,
      array: trace.x_high.map((high, i) => high - trace.x[i]),
      arrayminus: trace.x_low.map((low, i) => trace.x[i] - low),
      color: shade,
      thickness: 1.2,
      width: 3,
    },
  };
}

function line(trace) {
  return {
    ...common(trace),
    mode: "lines+markers",
    showlegend: trace.panel === 0,
    legendgroup: "line " + safe(trace.name),
    hoverinfo: "skip",
    line: { color: colour("faint"), width: 1.5, dash: "dot", shape: "hv" },
    marker: { size: 17, symbol: "circle-open", color: colour("faint"), line: { width: 1.5 } },
  };
}

function bars(trace) {
  return {
    type: "bar",
    orientation: "h",
    x: trace.x,
    y: trace.x.map((_, i) => i),
    name: safe(trace.name),
    text: hover(trace),
    textposition: "none",
    hovertemplate: "%{text}<extra></extra>",
    ...(trace.base.length ? { base: trace.base } : {}),
    marker: { color: trace.colours.map(ink) },
  };
}

function curve(trace) {
  return {
    ...common(trace),
    mode: "lines+markers",
    text: hover(trace),
    line: { color: colour("faint"), width: 1 },
    marker: { color: trace.colours.map(ink), size: trace.x.length > 150 ? 5 : 8 },
  };
}

function drawTree(node, tree) {
  if (tree.title) node.append(Object.assign(element("h3"), { textContent: tree.title }));
  const plot = element("div", "plot");
  node.append(plot);
  charts.push([plot, tree]);
  paint(plot, tree);
}

// plotly takes ids for the hierarchy, so that equal names stay apart.
function areas(tree) {
  return {
    type: "treemap",
    ids: tree.names.map((_, i) => String(i)),
    labels: tree.names.map((name) => safe(cut(name))),
    parents: tree.parents.map((parent) => (parent < 0 ? "" : String(parent))),
    values: tree.values,
    branchvalues: "total",
    text: hover(tree),
    textinfo: "label+percent root",
    hovertemplate: "%{text}<extra></extra>",
    marker: { colors: tree.colours.map(ink), line: { width: 0.5, color: colour("paper") }, pad: { t: 20, l: 2, r: 2, b: 2 } },
    tiling: { packing: "squarify", pad: 1 },
    textfont: { color: colour("paper") },
    pathbar: { visible: true, thickness: 22 },
    sort: false,
    // Fitting the text of a thousand areas takes a second: a large tree shows two levels, a click the third.
    maxdepth: tree.names.length > SHALLOW_FROM ? 3 : -1,
  };
}

function common(trace) {
  const panel = trace.panel ? { xaxis: "x2", yaxis: "y2" } : {};
  return { type: "scatter", name: safe(trace.name), x: trace.x, y: trace.y, hovertemplate: "%{text}<extra></extra>", ...panel };
}

function hover(trace) {
  return trace.hover.map((lines) => lines.map(safe).join("<br>"));
}

function base() {
  return {
    paper_bgcolor: "rgba(0,0,0,0)",
    plot_bgcolor: "rgba(0,0,0,0)",
    font: { family: "system-ui, sans-serif", size: 12.5, color: colour("ink") },
    hoverlabel: { bgcolor: colour("paper"), bordercolor: colour("rule"), font: { color: colour("ink") }, align: "left", namelength: -1 },
    modebar: { bgcolor: "rgba(0,0,0,0)", color: colour("faint"), activecolor: colour("accent") },
  };
}

function layout(chart, stacked) {
  const two = chart.y.length > 1;
  const names = chart.traces[0].names;
  const figure = {
    ...base(),
    margin: { l: 64, r: 16, t: 10, b: 48 },
    height: names.length ? 70 + 22 * names.length : two && stacked ? 760 : 440,
    showlegend: chart.legend,
    legend: { orientation: "h", y: 1.02, yanchor: "bottom", x: 0 },
    bargap: 0.25,
    hovermode: "closest",
    xaxis: axis(chart.x, chart.traces.flatMap((trace) => [...trace.x, ...trace.x_low, ...trace.x_high])),
    yaxis: { ...axis(chart.y[0]), ...heights(chart, 0) },
  };
  if (names.length) Object.assign(figure.yaxis, labels(names));
  if (two) Object.assign(figure, panels(chart, figure, stacked));
  return figure;
}

function panels(chart, figure, stacked) {
  const xaxis2 = { ...figure.xaxis, anchor: "y2", matches: "x" };
  const yaxis2 = { ...axis(chart.y[1]), ...heights(chart, 1), anchor: "x2" };
  if (stacked) {
    figure.yaxis.domain = [0.56, 1];
    yaxis2.domain = [0, 0.44];
  } else {
    figure.xaxis.domain = [0, 0.45];
    xaxis2.domain = [0.55, 1];
  }
  return { xaxis2, yaxis2 };
}

// Where all stand at one height, plotly would draw from 1 below to 1 above, whatever the unit.
function heights(chart, panel) {
  const values = chart.traces.filter((trace) => trace.panel === panel).flatMap((trace) => trace.y);
  if (!values.length || Math.max(...values) > Math.min(...values)) return { automargin: true };
  const room = Math.abs(values[0]) / 10 || 0.005;
  return { automargin: true, range: [values[0] - room, values[0] + room] };
}

function labels(names) {
  return {
    tickmode: "array",
    tickvals: names.map((_, i) => i),
    ticktext: names.map((name) => safe(cut(name)) + " "),
    autorange: "reversed",
    automargin: true,
    showgrid: false,
    ticks: "",
  };
}

function axis(described, values = []) {
  const ink = { color: colour("muted"), gridcolor: colour("grid"), linecolor: colour("rule"), zerolinecolor: colour("rule") };
  const shape = { title: { text: safe(described.title), standoff: 8 }, ticks: "outside", showline: true, zeroline: false };
  const log = described.log ? { type: "log", dtick: logStep(values), tickformat: ",~g" } : {};
  const ticks = { tickmode: "array", tickvals: described.ticks.map((t) => t[0]), ticktext: described.ticks.map((t) => safe(t[1])) };
  return { ...ink, ...shape, ...log, ...(described.ticks.length ? ticks : {}) };
}

// Ten, three or one labelled tick a decade: a narrow range would otherwise have one label or none.
function logStep(values) {
  const decades = Math.log10(Math.max(...values) / Math.min(...values));
  return decades < 1 ? "D1" : decades < 2.5 ? "D2" : 1;
}

function repaint() {
  for (const [plot, chart] of charts) if (plot.isConnected) paint(plot, chart);
}

matchMedia("(prefers-color-scheme: dark)").addEventListener("change", repaint);
matchMedia("print").addEventListener("change", repaint);
