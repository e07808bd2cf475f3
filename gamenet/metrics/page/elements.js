// What the page is made of. Whatever a server or a player says goes in by textContent alone, so it
// stays text; a graph is an SVG that only numbers go into.

const WIDTH = 100; // of a graph, in units of its own

export const $ = (id) => document.getElementById(id);

export function make(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children); // a string becomes a text node
  return node;
}

export function draw(tag, attributes = {}) {
  const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  return node;
}

export function say(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

// One to two lines over the last 30 s. The newest is at the right, and null leaves a gap.
export class Graph {
  constructor(lines = 1, label = "") {
    this.node = draw("svg", { viewBox: `0 0 ${WIDTH} 20`, preserveAspectRatio: "none" });
    for (const [name, value] of label ? [["role", "img"], ["aria-label", label]] : [["aria-hidden", "true"]])
      this.node.setAttribute(name, value);
    this.lines = Array.from({ length: lines }, () => this.node.appendChild(draw("path")));
  }

  // "least" is the least top of the scale; "places" says where each point is, from 0 to 1.
  show(least, lines, places) {
    const top = lines.reduce((most, line) => line.reduce((one, two) => Math.max(one, two), most), least);
    lines.forEach((values, index) => {
      let path = "";
      let pen = "M";
      values.forEach((value, point) => {
        if (value == null) { pen = "M"; return; }
        path += `${pen}${(WIDTH * places[point]).toFixed(1)} ${(20 - (19 * value) / top).toFixed(1)}`;
        pen = "L";
      });
      this.lines[index].setAttribute("d", path);
    });
    return top;
  }
}

// Names with a bar each, the largest first; rows stay where they are while their numbers change.
export class Bars {
  constructor(holder, label, nothing) {
    this.table = make("table", { class: "list", "aria-label": label });
    this.body = this.table.appendChild(make("tbody"));
    this.nothing = make("p", { class: "none" }, nothing);
    this.rows = new Map();
    holder.append(this.table, this.nothing);
  }

  show(entries) { // of [name, amount, text, more]
    const most = Math.max(...entries.map((entry) => entry[1]), 1e-9);
    const gone = new Set(this.rows.keys());
    this.table.hidden = !entries.length;
    this.nothing.hidden = entries.length > 0;
    entries.forEach(([name, amount, text, more], index) => {
      gone.delete(name);
      let row = this.rows.get(name);
      if (!row) {
        const chart = draw("svg", { viewBox: "0 0 100 1", preserveAspectRatio: "none", "aria-hidden": "true" });
        const bar = chart.appendChild(draw("rect", { height: 1 }));
        const cells = [make("td"), make("td"), make("td")];
        cells[0].append(chart);
        row = { bar, cells, node: make("tr", {}, make("th", { scope: "row", title: name }, name), ...cells) };
        this.rows.set(name, row);
      }
      row.bar.setAttribute("width", ((100 * amount) / most).toFixed(1));
      say(row.cells[1], text);
      say(row.cells[2], more);
      if (this.body.children[index] !== row.node) this.body.insertBefore(row.node, this.body.children[index] ?? null);
    });
    for (const name of gone) { this.rows.get(name).node.remove(); this.rows.delete(name); }
  }
}

// Plain pairs of a name and what there is to say.
export class Facts {
  constructor(holder, label) {
    this.body = make("tbody");
    this.rows = new Map();
    holder.append(make("table", { class: "list facts", "aria-label": label }, this.body));
  }

  show(pairs) {
    for (const [name, text] of pairs) {
      if (!this.rows.has(name)) {
        this.rows.set(name, make("td"));
        this.body.append(make("tr", {}, make("th", { scope: "row" }, name), this.rows.get(name)));
      }
      say(this.rows.get(name), text);
    }
  }
}
