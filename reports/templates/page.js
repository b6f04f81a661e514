"use strict";
// Draws every island of data, lets a chooser pick one option of many, and marks the section being read.

const DRAW = {
  prose(node, block) {
    const p = element("p", "prose " + block.tone);
    p.textContent = block.text;
    node.append(p);
  },
  table: drawTable,
  chart: drawChart,
  tree: drawTree,
  beside: drawBeside,
  chooser: drawChooser,
};

function drawChooser(node, chooser) {
  const bar = element("div", "toolbar");
  const stage = element("div", "stage");
  node.append(bar, stage);
  const selects = chooser.labels.map((label, axis) => {
    const names = [...new Set(chooser.options.map((option) => option.names[axis]))].sort(NATURAL.compare);
    const select = labelled(bar, label, "select");
    select.append(...names.map((name) => new Option(name, name)));
    select.disabled = names.length < 2;
    select.addEventListener("change", () => show(nearest(axis)));
    return select;
  });
  // A combination that was not run gives the existing one that keeps the changed axis and most of the others.
  function nearest(axis) {
    const wanted = selects.map((select) => select.value);
    const agree = (option) => option.names.filter((name, i) => name === wanted[i]).length;
    const kept = chooser.options.filter((option) => option.names[axis] === wanted[axis]);
    return kept.reduce((best, option) => (agree(option) > agree(best) ? option : best));
  }
  function show(option) {
    selects.forEach((select, axis) => (select.value = option.names[axis]));
    stage.replaceChildren();
    option.blocks.forEach((block) => draw(stage, block));
  }
  show(chooser.options[0]);
}

// All boxes stand before the first is drawn: a picture takes the width that its box has then.
function drawBeside(node, { blocks }) {
  const boxes = blocks.map((block) => element("div", "block " + block.kind));
  node.append(...boxes);
  boxes.forEach((box, i) => DRAW[blocks[i].kind](box, blocks[i]));
}

function draw(node, block) {
  const box = element("div", "block " + block.kind);
  node.append(box);
  DRAW[block.kind](box, block);
}

async function unpack(script) {
  if (script.type === "application/json") return JSON.parse(script.textContent);
  const bytes = Uint8Array.from(atob(script.textContent), (char) => char.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return JSON.parse(await new Response(stream).text());
}

async function drawAll() {
  for (const island of document.querySelectorAll(".island")) {
    draw(island, await unpack(island.querySelector("script")));
  }
  document.documentElement.dataset.ready = "yes";
}

function markSection() {
  const links = new Map([...document.querySelectorAll("nav a")].map((a) => [a.hash.slice(1), a]));
  const seen = new IntersectionObserver(
    (entries) => {
      for (const entry of entries) {
        if (!entry.isIntersecting) continue;
        links.forEach((link) => link.removeAttribute("aria-current"));
        links.get(entry.target.id)?.setAttribute("aria-current", "true");
      }
    },
    { rootMargin: "-10% 0px -80% 0px" },
  );
  document.querySelectorAll("section").forEach((section) => seen.observe(section));
}

markSection();
drawAll();
