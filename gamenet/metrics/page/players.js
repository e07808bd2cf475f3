// The table of players. A row is made once and its text replaced; what is out of sight is left alone
// until it comes into sight, so that a thousand players cost no more than those one can see.

import { buttonsFor, offered } from "./actions.js";
import { $, Graph, make, say } from "./elements.js";
import { openOne, showOne } from "./player.js";
import { NONE, count, millis, places, series, share, size, spaced } from "./words.js";

const collator = new Intl.Collator(undefined, { numeric: true });

// [title, class, what to sort by, true if it changes by itself]
const COLUMNS = [
  ["Name", "name", (player) => player.name, false],
  ["Quality", "label", (player) => ["bad", "poor", "fair", "good", "excellent", "unknown"].indexOf(player.label), true],
  ["Path", "path", (player) => player.path, true],
  ["Round trip", "graph", (player) => player.rtt_seconds, true],
  ["Jitter", "graph", (player) => player.jitter_seconds, true],
  ["Loss in / out", "loss", (player) => Math.max(player.loss_in, player.loss_out), true],
  ["In", "rate", (player) => player.bytes_per_second_in, true],
  ["Out", "rate", (player) => player.bytes_per_second_out, true],
  ["Mostly", "types", (player) => mostly(player)[1], true],
  ["Queue", "few", (player) => player.queued_messages, true],
  ["Address", "address", (player) => player.address, false],
];
const rows = new Map();
const sorted = { column: 0, down: false };
let units = {}; // of what a history holds

// Ids of players: the one that is looked at, and the one under the pointer.
export const look = { chosen: null, pointed: null };

const sight = new IntersectionObserver((seen) => {
  for (const { target, isIntersecting } of seen) {
    const row = rows.get(Number(target.dataset.player));
    if (row?.node !== target) continue;
    row.visible = isIntersecting;
    if (isIntersecting) row.paint();
  }
}, { root: document.querySelector(".scroll"), rootMargin: "150px" });

function mostly(player) {
  const types = [...Object.entries(player.types_out ?? {}), ...Object.entries(player.types_in ?? {})];
  const most = types.reduce((top, one) => (one[1] > top[1] ? one : top), ["", 0]);
  return [...most, types.reduce((sum, [, bytes]) => sum + bytes, 0)];
}

class Row {
  constructor(player) {
    this.player = player;
    this.visible = false;
    this.pill = make("span");
    this.texts = COLUMNS.map(() => make("span"));
    this.texts[0] = make("button", { type: "button" });
    this.texts[0].addEventListener("click", () => choose(player.id));
    this.texts[1] = this.pill;
    this.cells = COLUMNS.map(([, style], index) => make("td", { class: style, role: "cell" }, this.texts[index]));
    this.buttons = make("td", { class: "do", role: "cell" });
    this.node = make("tr", { role: "row", "data-player": player.id }, ...this.cells, this.buttons);
    this.write();
    sight.observe(this.node);
  }

  write() {
    const player = this.player;
    const [type, bytes, sum] = mostly(player);
    const texts = [
      player.name, player.suspended ? "suspended" : player.label, player.path,
      millis(player.rtt_seconds), millis(player.jitter_seconds), `${share(player.loss_in)} / ${share(player.loss_out)}`,
      size(player.bytes_per_second_in, "/s"), size(player.bytes_per_second_out, "/s"),
      bytes ? `${spaced(type)} ${share(bytes / sum)}` : NONE,
      count(player.queued_messages), player.address,
    ];
    texts.forEach((text, index) => say(this.texts[index], text));
    this.pill.className = `pill ${player.label}`;
    for (const index of [0, 10]) this.texts[index].title = texts[index];
    this.cells[6].title = `${size(player.bytes_in)} in all`;
    this.cells[7].title = `${size(player.bytes_out)} in all`;
  }

  paint() {
    if (!this.graphs) {
      this.graphs = [new Graph(), new Graph(), new Graph(2)];
      this.graphs.forEach((graph, index) => this.cells[3 + index].append(graph.node));
    }
    this.write();
    const at = places(this.player, units);
    const [rtt, jitter, ...losses] = ["rtt", "jitter", "loss_in", "loss_out"].map((name) => series(this.player, name, units));
    this.graphs[0].show(0.1, [rtt], at);
    this.graphs[1].show(0.05, [jitter], at);
    this.graphs[2].show(0.05, losses, at);
    if (this.offered !== offered()) this.offer();
  }

  offer() {
    this.offered = offered();
    this.buttons.replaceChildren(...buttonsFor(this.player));
  }
}

export function showPlayers(now) {
  units = now.history;
  const gone = new Set(rows.keys());
  const fresh = document.createDocumentFragment();
  for (const player of now.players) {
    gone.delete(player.id);
    const row = rows.get(player.id);
    if (row) {
      if (row.player.name !== player.name || row.player.address !== player.address) row.offered = null;
      row.player = player;
      if (row.visible) row.paint();
    } else {
      rows.set(player.id, new Row(player));
      fresh.append(rows.get(player.id).node);
    }
  }
  const isNew = fresh.hasChildNodes();
  $("rows").append(fresh);
  for (const id of gone) {
    const { node } = rows.get(id);
    const focused = node.contains(document.activeElement);
    sight.unobserve(node);
    node.remove();
    rows.delete(id);
    if (focused) $("filter").focus();
  }
  filter();
  if (isNew || COLUMNS[sorted.column][3]) arrange(false);
  if (look.chosen !== null) showOne(rows.get(look.chosen)?.player, units);
}

// Rows stay where they are while somebody points at one, or is in one with the keyboard.
function arrange(now) {
  const body = $("rows");
  const held = !now && (look.pointed !== null || body.contains(document.activeElement));
  $("held").classList.toggle("on", held && COLUMNS[sorted.column][3]);
  if (held) return;
  const key = COLUMNS[sorted.column][2];
  const sign = sorted.down ? -1 : 1;
  const order = [...rows.values()].map((row) => [key(row.player), row]);
  order.sort(([one, row], [two, other]) => {
    if (one == null || two == null) return (one == null) - (two == null) || row.player.id - other.player.id;
    const way = typeof one === "string" ? collator.compare(one, two) : one - two;
    return sign * way || row.player.id - other.player.id;
  });
  let place = body.firstChild;
  for (const [, { node }] of order) {
    if (node === place) place = place.nextSibling;
    else body.insertBefore(node, place);
  }
}

function filter() {
  const words = $("filter").value.toLowerCase().split(/\s+/).filter(Boolean);
  let shown = 0;
  for (const { player, node } of rows.values()) {
    const text = `${player.name} ${player.address} ${player.path} ${player.label}`.toLowerCase();
    node.hidden = !words.every((word) => text.includes(word));
    shown += !node.hidden;
  }
  say($("shown"), words.length ? `${shown} of ${rows.size}` : `${rows.size}`);
  $("nobody").hidden = shown > 0;
  say($("nobody"), rows.size ? "Nobody matches the filter." : "Nobody is here.");
}

function heads() {
  COLUMNS.forEach(([title, style], column) => {
    const button = make("button", { type: "button" }, title);
    const head = $("heads").appendChild(make("th", { scope: "col", role: "columnheader", class: style }, button));
    if (!column) head.setAttribute("aria-sort", "ascending");
    button.addEventListener("click", () => {
      // The most of a number comes first, and the worst quality.
      sorted.down = sorted.column === column ? !sorted.down : ["graph", "loss", "rate", "few", "types"].includes(style);
      sorted.column = column;
      for (const other of $("heads").children) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", sorted.down ? "descending" : "ascending");
      arrange(true);
    });
  });
  $("heads").append(make("td", { class: "do", role: "cell" }));
}

// Look at a player, or no longer.
export function choose(id) {
  rows.get(look.chosen)?.node.classList.remove("chosen");
  look.chosen = id === look.chosen ? null : id;
  rows.get(look.chosen)?.node.classList.add("chosen");
  openOne(look.chosen !== null);
  if (look.chosen !== null) showOne(rows.get(look.chosen)?.player, units);
}

// Look at nobody; whoever goes by the keyboard goes on where the look began.
function close() {
  rows.get(look.chosen)?.texts[0].focus({ preventScroll: true });
  choose(null);
}

export function labelOf(id) {
  return rows.get(id)?.player.label ?? "unknown";
}

$("filter").addEventListener("input", filter);
$("one-close").addEventListener("click", close);
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape" && !$("ask").open && look.chosen !== null) close();
});
$("rows").addEventListener("pointerover", (event) => {
  if (event.pointerType === "mouse") look.pointed = Number(event.target.closest("tr")?.dataset.player) || null;
});
$("rows").addEventListener("pointerleave", () => { look.pointed = null; });
heads();
