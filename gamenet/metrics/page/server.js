// The server as a whole: its name and state, the tiles, the lists of what it counts.

import { $, Bars, Facts, Graph, make, say } from "./elements.js";
import { NONE, count, duration, mean, middle, millis, over, share, size, spaced } from "./words.js";

const GRAPH_SECONDS = 30;

// What each tile shows: the number, a note, what its graph draws, and the least top of the graph.
const TILES = {
  "Players": (now) => [`${now.players.length}`,
    `${now.paths.udp ?? 0} udp · ${now.paths.tcp ?? 0} tcp`, [now.players.length], 4],
  "Ticks a second": ({ ticks }) => [ticks.per_second == null ? NONE : ticks.per_second.toFixed(1),
    `of ${ticks.rate || NONE} · ${count(ticks.skipped)} skipped`, [ticks.per_second], ticks.rate || 1],
  "Tick late, p99": ({ ticks }) => [millis(over(ticks.late_p99_ms, 1000)),
    `median ${millis(over(ticks.late_p50_ms, 1000))}`, [ticks.late_p99_ms], 5],
  "CPU": (now, was, seconds) => {
    const part = seconds ? (now.cpu_seconds - was.cpu_seconds) / seconds : null;
    return [share(part), "of one core", [part], 0.25];
  },
  "RTT, median": ({ players }) => {
    const times = players.map((player) => player.rtt_seconds);
    return [millis(middle(times, 0.5)), `p95 ${millis(middle(times, 0.95))}`, [middle(times, 0.5), middle(times, 0.95)], 0.05];
  },
  "Loss out": ({ players }) => {
    const [inward, outward] = [mean(players.map((one) => one.loss_in)), mean(players.map((one) => one.loss_out))];
    return [share(outward), `in ${share(inward)}`, [outward, inward], 0.02];
  },
  "Traffic out": ({ players }) => {
    const [inward, outward] = ["bytes_per_second_in", "bytes_per_second_out"].map((name) =>
      players.reduce((sum, player) => sum + (player[name] ?? 0), 0));
    return [size(outward, "/s"), `in ${size(inward, "/s")}`, [outward, inward], 1000];
  },
  "Uptime": (now) => [duration(now.uptime_seconds), `${count(now.counters.joins)} joins`, null, 1],
};

const tiles = new Map();
let past = []; // {at, tile title: numbers}, of the last 30 s

const panels = {
  types: new Bars($("types"), "Bytes by type of message or frame", "Nothing was sent yet."),
  drops: new Bars($("drops"), "Drops by cause", "Nothing was dropped."),
  refusals: new Bars($("refusals"), "Refusals by reason", "Nobody was refused."),
  inside: new Facts($("inside"), "Inside the server"),
  ticks: new Bars($("inside"), "Ticks by how long they took", ""),
};

function showTiles(now, was, seconds) {
  const sample = { at: now.uptime_seconds };
  past = [...past.filter((one) => one.at > sample.at - GRAPH_SECONDS), sample];
  const places = past.map((one) => 1 - (sample.at - one.at) / GRAPH_SECONDS);
  for (const [title, tell] of Object.entries(TILES)) {
    const [text, note, numbers, least] = tell(now, was, seconds);
    if (!tiles.has(title)) {
      const tile = { value: make("b"), note: make("small"), graph: numbers && new Graph(numbers.length) };
      const cell = make("dd", {}, tile.value, tile.note);
      if (tile.graph) cell.append(tile.graph.node);
      $("tiles").append(make("div", {}, make("dt", {}, title), cell));
      tiles.set(title, tile);
    }
    const { value, note: small, graph } = tiles.get(title);
    say(value, text);
    say(small, note);
    small.title = note;
    if (!graph) continue;
    sample[title] = numbers;
    graph.show(least, numbers.map((_, line) => past.map((one) => one[title]?.[line] ?? null)), places);
  }
}

// What there is to say of each type of message, or of frame.
function byType(now, was, seconds, tail) {
  return ["out", "in"].flatMap((way) => Object.entries(now[way]).map(([type, { bytes }]) => {
    const speed = seconds ? (bytes - (was[way][type]?.bytes ?? 0)) / seconds : null;
    return [`${way} ${spaced(type)}${tail}`, bytes, size(speed, "/s"), size(bytes)];
  }));
}

function showPanels(now, was, seconds) {
  panels.types.show([
    ...byType(now.types, was.types, seconds, ""), ...byType(now.frames, was.frames, seconds, " by TCP"),
  ].sort((one, two) => two[1] - one[1]));
  for (const [name, panel] of [["drops", panels.drops], ["refusals", panels.refusals]]) {
    const entries = Object.entries(now[name]).filter((entry) => entry[1]).sort((one, two) => two[1] - one[1]);
    panel.show(entries.map(([cause, number]) => {
      const more = seconds ? number - (was[name][cause] ?? 0) : 0;
      return [spaced(cause.replace(/^drop_/, "")).toLowerCase(), number, count(number), more ? `+${count(more)}` : ""];
    }));
  }
  const { ticks, queues, inputs } = now;
  panels.inside.show([
    ["a tick takes", `${millis(over(ticks.took_p50_ms, 1000))}, worst ${millis(over(ticks.took_p99_ms, 1000))}`],
    ["reactor late", `${millis(over(now.reactor.beat_late_max_ms, 1000))} at most${now.stalled ? ", stalled now" : ""}`],
    ["queues", `${count(queues.events)} events, ${count(queues.commands)} commands`],
    ["inputs", `${count(inputs.missing)} missing, ${count(inputs.late)} late`],
    ["room for", `${count(now.max_players)} players`],
    ["suspended", `${count(now.suspended)} may return`],
    ["clients", `${now.secure ? "over TLS" : "insecure"}`],
  ]);
  const { bounds = [], counts = [] } = now.histograms?.tick_seconds ?? {};
  panels.ticks.show(counts.map((number, index) => [
    index < bounds.length ? `ticks to ${millis(bounds[index])}` : "ticks beyond", number, count(number), ""]).filter((entry) => entry[1]));
}

function showHead(now) {
  say($("game"), now.game);
  say($("about"), `gamenet ${now.version}`);
  document.title = `${now.players.length} on ${now.game}`;
  const badges = [];
  if (now.draining) badges.push(typeof now.drain_seconds_left === "number" ? `draining, ${duration(now.drain_seconds_left)} left` : "draining");
  else if (!now.ready) badges.push("not ready");
  if (now.stalled) badges.push("stalled");
  if (!now.secure) badges.push("insecure");
  if (now.errors) badges.push(`${count(now.errors)} errors in the log`);
  if ($("badges").dataset.shown !== badges.join()) {
    $("badges").dataset.shown = badges.join();
    $("badges").replaceChildren(...badges.map((badge) => make("li", {}, badge)));
  }
}

export function showServer(now, was, seconds) {
  if (!seconds) past = []; // the first look, or another process
  showHead(now);
  showTiles(now, was, seconds);
  showPanels(now, was, seconds);
}
