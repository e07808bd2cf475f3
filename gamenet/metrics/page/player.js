// One player, looked at closely: larger graphs, bytes by type, and every figure there is.

import { ALL_BUTTONS, buttonsFor, offered } from "./actions.js";
import { $, Bars, Facts, Graph, make, say } from "./elements.js";
import { NONE, count, millis, places, series, share, size, spaced } from "./words.js";

// [what a history calls it, the least top of the scale, how to say it]
const GRAPHS = {
  "Round trip": ["rtt", 0.05, millis],
  "Jitter": ["jitter", 0.02, millis],
  "Loss in": ["loss_in", 0.05, share],
  "Loss out": ["loss_out", 0.05, share],
};
let one = null;

export function openOne(isOpen) {
  $("one").hidden = !isOpen;
  $("one-body").replaceChildren();
  one = null;
  if (!isOpen) return;
  const [left, right, traffic] = [make("div"), make("div"), make("div")];
  $("one-body").append(left, traffic, right);
  one = { facts: new Facts(right, "Figures"), graphs: {} };
  one.in = new Bars(traffic, "Bytes in by type", "Nothing comes in.");
  one.out = new Bars(traffic, "Bytes out by type", "Nothing goes out.");
  for (const title of Object.keys(GRAPHS)) {
    const graph = { text: make("span"), graph: new Graph(1, `${title}, the last 30 seconds`) };
    left.append(graph.text, graph.graph.node);
    one.graphs[title] = graph;
  }
}

export function showOne(player, units) {
  say($("one-gone"), player ? "" : "has left");
  if (!player) return;
  if (one.offered !== offered() || one.name !== player.name) {
    one.offered = offered();
    one.name = player.name;
    $("one-do").replaceChildren(...buttonsFor(player, ALL_BUTTONS));
  }
  say($("one-title"), player.name);
  for (const [title, [name, least, words]] of Object.entries(GRAPHS)) {
    const values = series(player, name, units);
    const top = one.graphs[title].graph.show(least, [values], places(player, units));
    say(one.graphs[title].text, `${title} ${words(values.at(-1))}, top ${words(top)}`);
  }
  for (const way of ["in", "out"]) {
    one[way].show(Object.entries(player[`types_${way}`] ?? {}).sort((a, b) => b[1] - a[1])
      .map(([type, bytes]) => [`${way} ${spaced(type)}`, bytes, size(bytes, "/s"), ""]));
  }
  one.facts.show(Object.entries(player).filter(([, value]) => value === null || typeof value !== "object").map(([name, value]) => [
    spaced(name.replace(/_seconds$/, "")),
    typeof value !== "number" ? String(value ?? NONE)
      : name.endsWith("_seconds") ? millis(value) : name.startsWith("loss") ? share(value) : count(Math.round(value)),
  ]));
}
