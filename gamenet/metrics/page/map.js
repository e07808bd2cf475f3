// What the game shows: a map, with walls drawn once and heroes that glide from where they were to where
// they are, or whatever else as text.

import { $, say } from "./elements.js";
import { choose, labelOf, look } from "./players.js";

const MOST_NAMES = 80;
const GLIDE_MS = 1000; // from one look at the server to the next
const FRAME_MS = 50;
const CROWDED = 200; // heroes from which on it is drawn less often
const CROWDED_FRAME_MS = 250;
const JUMP_TILES = 12; // beyond that a hero did not walk

const stillness = matchMedia("(prefers-reduced-motion: reduce)");
const map = { canvas: $("map"), back: document.createElement("canvas"), view: null, from: new Map(), at: 0, drawn: 0, seen: false };

export function showMap(view) {
  const isMap = view?.kind === "map";
  $("world").hidden = !view;
  $("main").classList.toggle("has-map", Boolean(view));
  map.canvas.hidden = !isMap;
  $("view").hidden = isMap;
  if (!view) { map.view = null; return; }
  if (!isMap) { showText(view); return; }
  say($("world-kind"), "Map");
  const isNew = map.view?.walls.join() !== view.walls.join();
  map.from = new Map((map.view?.heroes ?? []).map((hero) => [hero.id, hero]));
  map.view = view;
  map.at = performance.now();
  if (isNew) drawWalls();
  const many = view.heroes.length > MOST_NAMES;
  say($("world-note"), `${view.heroes.length} heroes${many ? ", names where you point" : ""}`);
  map.canvas.setAttribute("aria-label", `Live map with ${view.heroes.length} heroes`);
  requestAnimationFrame(drawMap);
}

// What no picture is known for.
function showText(view) {
  map.view = null;
  say($("world-kind"), "The game shows");
  say($("world-note"), "");
  say($("view"), JSON.stringify(view, null, 2));
}

function drawWalls() {
  const { canvas, back, view } = map;
  if (!view || !canvas.clientWidth) return;
  const ratio = devicePixelRatio || 1;
  const tile = Math.max(1, Math.floor((canvas.clientWidth * ratio) / view.width));
  for (const one of [canvas, back]) { one.width = tile * view.width; one.height = tile * view.height; }
  const style = getComputedStyle(document.documentElement);
  map.colour = (name) => style.getPropertyValue(`--${name}`).trim();
  const pen = back.getContext("2d");
  view.walls.forEach((line, row) => [...line].forEach((letter, column) => {
    pen.fillStyle = map.colour({ "#": "wall", "~": "water", "=": "bridge" }[letter] ?? "ground");
    pen.fillRect(column * tile, row * tile, tile, tile);
  }));
  map.tile = tile;
}

function drawMap(now) {
  const { view, canvas, tile } = map;
  if (!view || !tile || !map.seen) return;
  const part = stillness.matches ? 1 : Math.min(1, (now - map.at) / GLIDE_MS);
  if (part < 1) requestAnimationFrame(drawMap);
  if (part < 1 && now - map.drawn < (view.heroes.length < CROWDED ? FRAME_MS : CROWDED_FRAME_MS)) return;
  map.drawn = now;
  const pen = canvas.getContext("2d");
  const ratio = devicePixelRatio || 1;
  pen.drawImage(map.back, 0, 0);
  pen.font = `${11 * ratio}px system-ui, sans-serif`;
  pen.textAlign = "center";
  pen.lineJoin = "round";
  pen.strokeStyle = map.colour("card");
  const names = [];
  const few = view.heroes.length <= MOST_NAMES;
  for (const hero of view.heroes) {
    const was = map.from.get(hero.id) ?? hero;
    const jumps = Math.abs(hero.x - was.x) + Math.abs(hero.y - was.y) > JUMP_TILES;
    const x = tile * (jumps ? hero.x : was.x + (hero.x - was.x) * part);
    const y = tile * (jumps ? hero.y : was.y + (hero.y - was.y) * part);
    const special = hero.id === look.chosen || hero.id === look.pointed;
    pen.beginPath();
    pen.arc(x, y, Math.max(3 * ratio, tile * (special ? 0.7 : 0.45)), 0, 7);
    pen.fillStyle = map.colour(labelOf(hero.id));
    pen.lineWidth = (special ? 3 : 1) * ratio;
    pen.fill();
    pen.stroke();
    if (few || special) names.push([hero.name, x, y - tile * 0.6 - 2 * ratio, special]);
  }
  writeNames(pen, names, ratio);
}

// Names that would cover another one are left out; those that somebody asks for come first.
function writeNames(pen, names, ratio) {
  const written = [];
  const high = 12 * ratio;
  pen.lineWidth = 3 * ratio;
  pen.fillStyle = map.colour("ink");
  for (const [name, near, low] of names.sort((one, two) => two[3] - one[3])) {
    const half = pen.measureText(name).width / 2;
    const x = Math.min(Math.max(near, half), map.canvas.width - half);
    const y = Math.max(low, high);
    if (written.some((at) => Math.abs(at.y - y) < high && Math.abs(at.x - x) < at.half + half)) continue;
    written.push({ x, y, half });
    pen.strokeText(name, x, y);
    pen.fillText(name, x, y);
  }
}

new IntersectionObserver(([{ isIntersecting }]) => { map.seen = isIntersecting; requestAnimationFrame(drawMap); }).observe(map.canvas);
new ResizeObserver(() => { drawWalls(); requestAnimationFrame(drawMap); }).observe($("world"));
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { drawWalls(); requestAnimationFrame(drawMap); });
map.canvas.addEventListener("click", (event) => {
  if (!map.view) return;
  const scale = map.view.width / map.canvas.clientWidth;
  const [x, y] = [event.offsetX * scale, event.offsetY * scale];
  const near = map.view.heroes.map((hero) => [Math.hypot(hero.x - x, hero.y - y), hero.id]).sort((a, b) => a[0] - b[0])[0];
  if (near?.[0] < 2 ) choose(near[1]);
});
