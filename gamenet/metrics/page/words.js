// Numbers as people read them.

export const NONE = "–";
const UNIT = "\u202f"; // between a number and its unit

export function short(number, digits = 1) {
  return number === 0 || number >= 10 ? number.toFixed(0) : number.toFixed(digits);
}

export function millis(seconds) {
  return seconds == null ? NONE : short(1000 * seconds) + UNIT + "ms";
}

export function share(part) {
  return part == null ? NONE : short(100 * part) + UNIT + "%";
}

export function size(bytes, tail = "") {
  if (bytes == null) return NONE;
  let unit = 0;
  while (bytes >= 1000 && unit < 4) { bytes /= 1000; unit += 1; }
  return (unit ? short(bytes) : bytes.toFixed(0)) + UNIT + ["B", "kB", "MB", "GB", "TB"][unit] + tail;
}

export function count(number) {
  return number == null ? NONE : number.toLocaleString("en");
}

export function duration(seconds) {
  const [days, hours, minutes] = [86400, 3600, 60].map((unit) => Math.floor(seconds / unit));
  if (days) return `${days}${UNIT}d ${hours % 24}${UNIT}h`;
  if (hours) return `${hours}${UNIT}h ${minutes % 60}${UNIT}min`;
  if (minutes >= 10) return `${minutes}${UNIT}min`;
  return minutes ? `${minutes}${UNIT}min ${Math.floor(seconds % 60)}${UNIT}s` : `${Math.floor(seconds)}${UNIT}s`;
}

export function clock() {
  return new Date().toLocaleTimeString("en-GB");
}

export function middle(numbers, at) {
  const sorted = numbers.filter((number) => number != null).sort((one, two) => one - two);
  return sorted.length ? sorted[Math.min(sorted.length - 1, Math.floor(at * sorted.length))] : null;
}

export function mean(numbers) {
  const known = numbers.filter((number) => number != null);
  return known.length ? known.reduce((sum, number) => sum + number, 0) / known.length : null;
}


export function over(number, by) {
  return number == null ? null : number / by;
}

export function spaced(name) {
  return name.replaceAll("_", " ");
}

// Where the points of a player's history are in a graph, the newest at its right end.
export function places(player, { points }) {
  const length = player.history?.rtt.length ?? 0;
  return Array.from({ length }, (_, index) => 1 - (length - 1 - index) / (points - 1));
}

// A player's history as numbers that a graph can draw; a time of 0 is not known.
export function series(player, name, { time_unit_seconds: time, loss_unit: loss }) {
  const isLoss = name.startsWith("loss");
  return (player.history?.[name] ?? []).map((value) => (isLoss ? value * loss : value ? value * time : null));
}
