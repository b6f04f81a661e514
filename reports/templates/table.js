"use strict";
// A table that sorts by its headers and, where asked, filters; rows are made as they come into view.

const NATURAL = new Intl.Collator("en", { numeric: true, sensitivity: "base" });
const FIRST = 60;
const CHUNK = 120;
const SVG = "http://www.w3.org/2000/svg";
const LONG = 160;

function element(tag, className = "") {
  const node = document.createElement(tag);
  if (className) node.className = className.trim();
  return node;
}

function labelled(parent, text, tag) {
  const label = element("label");
  const control = element(tag);
  label.append(text, control);
  parent.append(label);
  return control;
}

function drawTable(node, table) {
  const rows = table.rows.map((cells) => cells.map(readCell));
  const spans = table.columns.map((column, i) => (column.kind === "bar" ? barSpan(column, rows, i) : null));
  const state = { column: -1, direction: 1, shown: rows, made: 0 };
  if (table.title) node.append(Object.assign(element("h3"), { textContent: table.title }));
  const filters = table.search ? toolbar(node, table, rows, () => refresh()) : null;
  const frame = element("div", "frame");
  const grid = element("table");
  const body = element("tbody");
  grid.append(head(table.columns, state, () => refresh()), body);
  frame.append(grid);
  node.append(frame);

  function refresh() {
    state.shown = sorted(filters ? rows.filter(filters.keep) : rows, state);
    state.made = 0;
    body.replaceChildren();
    frame.scrollTop = 0;
    more(FIRST);
    filters?.count(state.shown.length);
  }
  function more(count) {
    const upTo = Math.min(state.made + count, state.shown.length);
    const made = document.createDocumentFragment();
    for (; state.made < upTo; state.made++) made.append(tableRow(table.columns, state.shown[state.made], spans));
    body.append(made);
    freeze(grid, table.frozen);
  }
  frame.addEventListener("scroll", () => {
    const below = frame.scrollHeight - frame.scrollTop - frame.clientHeight;
    if (below < 1500 && state.made < state.shown.length) more(CHUNK);
  });
  window.addEventListener("beforeprint", () => more(Infinity));
  refresh();
}

// Leading columns stay in view; where they stand follows from the widths that the rows so far give them.
function freeze(grid, columns) {
  let left = 0;
  const lefts = [...grid.tHead.rows[0].cells].slice(0, columns).map((th) => (left += th.offsetWidth) - th.offsetWidth);
  for (const row of grid.rows) {
    lefts.forEach((left, index) => {
      row.cells[index].classList.add("frozen");
      row.cells[index].style.left = left + "px";
    });
  }
}

function readCell(cell) {
  const [text, sort = null, tone = "", hint = "", bar = null] = typeof cell === "string" ? [cell] : cell;
  return { text: text ?? "", sort, tone: tone ?? "", hint: hint ?? "", bar };
}

function head(columns, state, refresh) {
  const thead = element("thead");
  const row = element("tr");
  columns.forEach((column, index) => {
    const th = element("th", column.kind);
    th.scope = "col";
    th.title = column.hint;
    const button = element("button");
    button.type = "button";
    button.append(column.title);
    if (column.unit) button.append(Object.assign(element("span", "unit"), { textContent: column.unit }));
    button.addEventListener("click", () => {
      const again = state.column === index;
      state.direction = again ? -state.direction : 1;
      state.column = again && state.direction === 1 ? -1 : index;
      for (const other of row.children) other.removeAttribute("aria-sort");
      if (state.column >= 0) th.setAttribute("aria-sort", state.direction > 0 ? "ascending" : "descending");
      refresh();
    });
    th.append(button);
    row.append(th);
  });
  thead.append(row);
  return thead;
}

// Numbers by value, text in natural order; what is missing stays last either way.
function sorted(rows, { column, direction }) {
  if (column < 0) return rows;
  const numeric = rows.some((row) => row[column].sort !== null);
  const missing = (cell) => (numeric ? cell.sort === null : cell.text === "" || cell.text === "–");
  return [...rows].sort((a, b) => {
    const [left, right] = [a[column], b[column]];
    if (missing(left) || missing(right)) return missing(left) - missing(right);
    return direction * (numeric ? left.sort - right.sort : NATURAL.compare(left.text, right.text));
  });
}

function toolbar(node, table, rows, refresh) {
  const bar = element("div", "toolbar");
  node.append(bar);
  const selects = [];
  table.columns.forEach((column, index) => {
    if (!column.filter) return;
    const values = [...new Set(rows.map((row) => row[index].text))].sort(NATURAL.compare);
    if (values.length < 2) return;
    const select = labelled(bar, column.title, "select");
    select.append(new Option("all", ""), ...values.map((value) => new Option(value || "(none)", "=" + value)));
    select.addEventListener("change", refresh);
    selects.push([index, select]);
  });
  const search = labelled(bar, "search", "input");
  search.type = "search";
  search.addEventListener("input", refresh);
  const count = element("output");
  bar.append(count);
  const haystacks = new Map(rows.map((row) => [row, row.map((c) => c.text + " " + c.hint).join(" ").toLowerCase()]));
  return {
    keep(row) {
      const words = search.value.toLowerCase().split(/\s+/);
      return (
        selects.every(([index, select]) => !select.value || select.value === "=" + row[index].text) &&
        words.every((word) => haystacks.get(row).includes(word))
      );
    },
    count(shown) {
      count.textContent = `${shown.toLocaleString("en")} of ${rows.length.toLocaleString("en")} rows`;
    },
  };
}

function tableRow(columns, cells, spans) {
  const row = element("tr");
  columns.forEach((column, index) => {
    const cell = cells[index];
    const td = element("td", column.kind + " " + (column.kind === "badge" ? "" : cell.tone));
    td.title = cell.hint;
    if (cell.bar) td.append(barPicture(column, cell.bar, spans[index]));
    else if (column.kind === "badge") td.append(badge(cell));
    else if (column.kind === "message" && cell.text.length > LONG) td.append(folded(cell.text));
    else if (column.kind === "name") td.append(clamped(cell.text));
    else td.textContent = cell.text;
    row.append(td);
  });
  return row;
}

function badge(cell) {
  return Object.assign(element("span", "badge " + cell.tone), { textContent: cell.text });
}

// A long name is cut after three lines by the style; a click shows all of it.
function clamped(text) {
  const span = Object.assign(element("span", "clamped"), { textContent: text });
  span.addEventListener("click", () => span.classList.toggle("whole"));
  return span;
}

function folded(text) {
  const details = element("details");
  const summary = element("summary");
  summary.textContent = text.slice(0, LONG).replace(/\s+/g, " ") + " …";
  details.append(summary, text);
  return details;
}

function barSpan(column, rows, index) {
  const ends = rows.flatMap((row) => row[index].bar?.slice(0, 3) ?? []).filter((end) => end !== null);
  const low = Math.min(column.reference, ...ends);
  const high = Math.max(column.reference, ...ends);
  return high > low ? [low, high] : [column.reference - 1, column.reference + 1];
}

function barPicture(column, [value, low, high, colour], [from, to]) {
  const width = 120;
  const at = (x) => 2 + ((x - from) / (to - from)) * (width - 4);
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", `0 0 ${width} 16`);
  svg.setAttribute("aria-hidden", "true");
  const shape = (tag, className, attributes) => {
    const node = document.createElementNS(SVG, tag);
    node.setAttribute("class", className);
    for (const [name, number] of Object.entries(attributes)) node.setAttribute(name, number);
    svg.append(node);
    return node;
  };
  const [start, end] = [at(column.reference), at(value)];
  const fill = shape("rect", "fill", { x: Math.min(start, end), y: 3, width: Math.abs(end - start), height: 10 });
  if (typeof colour === "number") fill.style.fill = `var(--c${colour % COLOURS})`;
  shape("line", "reference", { x1: start, x2: start, y1: 0, y2: 16 });
  if (typeof low === "number") {
    shape("line", "whisker", { x1: at(low), x2: at(high), y1: 8, y2: 8 });
    for (const x of [at(low), at(high)]) shape("line", "whisker", { x1: x, x2: x, y1: 5, y2: 11 });
  }
  return svg;
}
